"""Pools that DNS moves under the running daemon, with a real DNS server on loopback.

`contact: addresses` puts what DNS said into the answer, so the change can be seen from outside.
TTLs are a second.
"""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset

from tests.dns.conftest import Servers
from tests.dns.real_servers import DnsServer
from tests.service.client import Answer, ask, request, talk
from tests.service.daemon import PATIENCE, Daemon, configuration, endpoint, eventually
from tests.service.fixtures import Run


def asking(server: DnsServer, **keys: Any) -> dict[str, Any]:
    """A configuration for one pool in DNS that is asked of one server, with little patience."""
    dns = {"nameservers": [str(server.address)], "timeout": 0.3, "lifetime": 0.6, "retry": 0.5}
    return configuration(
        endpoints=[endpoint(contact="addresses", transport="tcp", port=5060)],
        dns=dns | {"hosts_file": "/dev/null"} | keys,
        retry_after=11,
    )


def answer(daemon: Daemon) -> Answer:
    with talk("udp", daemon.address()) as client:
        found = ask(client, request())
    assert found is not None
    return found


def hosts(daemon: Daemon) -> set[str]:
    """The addresses in the answer's Contacts, none if it is no redirect."""
    found = answer(daemon)
    contacts = found.all("Contact")
    assert bool(contacts) == (found.status == 302)
    return {
        contact.partition("@")[2].partition(";transport=tcp>")[0].removesuffix(":5060")
        for contact in contacts
    }


def becomes(daemon: Daemon, *expected: str) -> None:
    eventually(lambda: hosts(daemon) == set(expected), f"{expected} to be the targets")


def test_records_change_and_the_server_stops(run_daemon: Run, servers: Servers) -> None:
    dns = servers.nsd("pcpool A 192.0.2.20")
    daemon = run_daemon(asking(dns))
    becomes(daemon, "192.0.2.20")
    assert daemon.event("pool_resolved")["pool"] == "pcpool.contoso.com"

    dns.change("pcpool A 192.0.2.21\npcpool AAAA 2001:db8::21")
    becomes(daemon, "192.0.2.21", "[2001:db8::21]")

    def told() -> bool:  # in two events if A was asked for before the zone's change, AAAA after it
        changes = daemon.events("pool_changed")
        removed, added = (str([each[what] for each in changes]) for what in ("removed", "added"))
        return "192.0.2.20" in removed and "192.0.2.21" in added

    eventually(told, "the change in the log")

    # the last good answer serves on, and the log says so
    dns.stop()
    daemon.event("pool_stale")
    assert hosts(daemon) == {"192.0.2.21", "[2001:db8::21]"}

    dns.write("pcpool A 192.0.2.22")
    dns.start()
    becomes(daemon, "192.0.2.22")
    assert daemon.stop() == 0


def test_a_server_that_says_nothing(run_daemon: Run, servers: Servers) -> None:
    """Requests don't wait for it."""
    dns = servers.knot("pcpool A 192.0.2.20")
    daemon = run_daemon(asking(dns))
    becomes(daemon, "192.0.2.20")
    dns.pause()
    daemon.event("pool_stale")
    assert hosts(daemon) == {"192.0.2.20"}
    dns.go_on()
    daemon.event("pool_fresh")


def test_a_last_good_answer_grows_too_old(run_daemon: Run, servers: Servers) -> None:
    dns = servers.nsd("pcpool A 192.0.2.20")
    daemon = run_daemon(asking(dns, stale=1))
    becomes(daemon, "192.0.2.20")
    dns.stop()
    becomes(daemon)
    found = answer(daemon)
    assert (found.status, found["Retry-After"]) == (480, "11")
    assert "pcpool.contoso.com" in daemon.event("pool_failed")["pool"]
    dns.start()
    becomes(daemon, "192.0.2.20")


def test_a_pool_that_never_resolved(run_daemon: Run, servers: Servers) -> None:
    """480 with the reason; as soon as the name is there, 302. The start waits a second for DNS."""
    dns = servers.nsd("other A 192.0.2.1")
    dns.stop()
    daemon = run_daemon(asking(dns))
    found = answer(daemon)
    assert (found.status, found["Retry-After"]) == (480, "11")
    daemon.event("pool_failed")

    dns.start()

    def refused() -> bool:
        found = answer(daemon)
        assert found.status == 480
        return found["Warning"].startswith('399 chatredirect "pcpool.contoso.com: NXDOMAIN')

    eventually(refused, "NXDOMAIN as the reason")
    dns.change("pcpool A 192.0.2.20")
    becomes(daemon, "192.0.2.20")


def slow_name_server(listening: socket.socket) -> None:
    """Answer the first query after a while, and the others after that; until an empty one.

    The daemon waits a second: what is left of it is for a busy machine.
    """
    pause = 0.2
    while True:
        try:
            data, peer = listening.recvfrom(4096)
        except TimeoutError:
            return
        if not data:
            return
        time.sleep(pause)
        pause = 0
        answered = dns.message.make_response(dns.message.from_wire(data))
        name = answered.question[0].name
        if answered.question[0].rdtype == dns.rdatatype.A:
            answered.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.20"))
        listening.sendto(answered.to_wire(), peer)


def test_the_first_request_after_a_start(run_daemon: Run) -> None:
    """It waits until DNS has been asked: a restart brings no 480 for a pool that works."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(PATIENCE)
        thread = threading.Thread(target=slow_name_server, args=[listening])
        thread.start()
        nameserver = "{}:{}".format(*listening.getsockname())
        settings = {"nameservers": [nameserver], "hosts_file": "/dev/null"}
        daemon = run_daemon(configuration(dns=settings))
        assert answer(daemon).status == 302
        assert daemon.stop() == 0
        listening.sendto(b"", listening.getsockname())
        thread.join()


def test_dnsmasq(run_daemon: Run, servers: Servers) -> None:
    """Another server's dialect: names without TTL, AAAA answered empty."""
    dns = servers.dnsmasq(pcpool="192.0.2.20")
    daemon = run_daemon(asking(dns))
    becomes(daemon, "192.0.2.20")
    dns.stop()
    daemon.event("pool_stale")
    assert hosts(daemon) == {"192.0.2.20"}


def test_a_hosts_file_needs_no_server(run_daemon: Run, tmp_path: Path) -> None:
    """The daemon sees a change of it, too."""
    file = tmp_path / "hosts"
    file.write_text("192.0.2.30 pcpool.contoso.com\n")
    daemon = run_daemon(
        endpoints=[endpoint(contact="addresses", transport="tcp", port=5060)],
        dns={"nameservers": ["127.0.0.1:9"], "hosts_file": str(file)},
    )
    assert hosts(daemon) == {"192.0.2.30"}
    file.write_text("192.0.2.31 pcpool.contoso.com\n")
    becomes(daemon, "192.0.2.31")
