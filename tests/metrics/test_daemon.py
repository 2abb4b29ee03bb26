"""A daemon with everything, real traffic of every kind, and what its metrics say of it."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from chatredirect.control.client import ControlError, ask
from chatredirect.metrics.catalogue import CATALOGUE
from tests.dns.conftest import Servers
from tests.dns.real_servers import DnsServer
from tests.lookup.peer import Peer
from tests.lookup.test_daemon import Recorded
from tests.metrics.pool_member import Member
from tests.ports import free_port
from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf
from tests.tls.client import talk_tls

PROMTOOL = shutil.which("promtool")
REDIRECTED, LOOKED_UP = "sip:redirected@contoso.com", "sip:ocschat@contoso.com"
PROXIED, LOST = "sip:proxied@contoso.com", "sip:lost@contoso.com"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scraped:
    """The metrics of a daemon at one time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {each.name: each for each in text_string_to_metric_families(text)}
        self.samples: Samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels, and perhaps others."""
        return sum(
            value
            for (each, has), value in self.samples.items()
            if each == f"chatredirect_{name}" and labels.items() <= dict(has).items()
        )


def http(daemon: Daemon) -> str:
    """Where its HTTP is."""
    return str(daemon.events("http_listening")[-1]["where"])


def fetch(daemon: Daemon, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(http(daemon) + page, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scrape(daemon: Daemon) -> Scraped:
    status, text = fetch(daemon, "/metrics")
    assert status == 200
    return Scraped(text)


def reaches(daemon: Daemon, name: str, least: float, **labels: str) -> None:
    """Wait until a metric has come to a value."""

    def there() -> bool:
        if scrape(daemon).value(name, **labels) >= least:
            return True
        time.sleep(0.3)
        return False

    eventually(there, f"{name} {labels} to be {least}")


def reload(daemon: Daemon, change: Callable[[dict[str, Any]], None]) -> None:
    settings = yaml.safe_load(daemon.config.read_text())
    change(settings)
    daemon.config.write_text(yaml.safe_dump(settings))
    daemon.send_signal(signal.SIGHUP)


class Busy:
    """The daemon after its traffic, and what stood around it."""

    def __init__(self, daemon: Daemon, folder: Path, dns: DnsServer) -> None:
        self.daemon = daemon
        self.folder = folder
        self.dns = dns
        self.control = str(folder / "control")
        self.early: Scraped

    # -- what is done to it -----------------------------------------------------------------

    def all(self, context: ssl.SSLContext) -> None:
        self.redirects(context)
        self.wrong()
        self.lookup()
        self.proxy()
        self.early = scrape(self.daemon)  # transactions are forgotten after half a minute
        self.connections()
        self.commands()
        self.reloads()
        self.renew()  # after the reloads, which would take up the file as well
        self.flood()

    def renew(self) -> None:
        """The certificate's file is written again; the daemon looks every five seconds."""
        file = self.folder / "certificate.pem"
        file.write_bytes(file.read_bytes() + b"\n")

    def redirects(self, context: ssl.SSLContext) -> None:
        for transport in ("udp", "tcp"):
            with talk(transport, self.daemon.address(transport)) as client:
                assert sip.ask(client, request(uri=REDIRECTED)) is not None
        with talk_tls(self.daemon.address("tls"), context) as client:
            client.send(request("SUBSCRIBE", REDIRECTED))
            assert client.receive().status == 302

    def wrong(self) -> None:
        with talk("udp", self.daemon.address()) as client:
            for data, status in (
                (request("BREW", REDIRECTED), 302),
                (request(uri="sip:nobody@contoso.com"), 404),
                (request(uri=REDIRECTED, cseq="1 OPTIONS"), 400),
                (request("ACK", REDIRECTED), None),
                (b"no SIP at all", None),
                (request(uri=LOST), 480),
            ):
                answer = sip.ask(client, data)
                assert (None if answer is None else answer.status) == status

    def lookup(self) -> None:
        with Peer("udp", self.daemon.address()) as peer:
            recorded = Recorded(peer)
            peer.send(recorded.message(1))
            recorded.learn(peer.receive())
            peer.send(recorded.message(1))  # again: its answer may have been lost
            peer.receive()
            peer.send(recorded.message(2))
            peer.send(recorded.message(3))
            while not peer.receive().start.startswith("INFO "):
                pass
            peer.receive()  # our INFO, again, since it isn't answered
            peer.send(recorded.message(5))

    def proxy(self) -> None:
        """Callers enough that some come to the member that says 503 first."""
        with Peer("tcp", self.daemon.address("tcp")) as peer:
            via = "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK{n};rport"
            for number in range(30):
                caller = f"<sip:user{number}@contoso.com>;tag=f{{n}}"
                more = "Max-Forwards: 70\r\nContact: <sip:user@192.0.2.1>\r\n"
                peer.send(request(uri=PROXIED, via=via, from_=caller, more=more))
                while peer.receive().kind == "100 INVITE":
                    pass

    def connections(self) -> None:
        with talk("tcp", self.daemon.address("tcp")) as client:
            client.send(b"INVITE sip:a@contoso.com SIP/2.0\r\nContent-Length: many\r\n\r\n")
            client.rest()
        for _ in range(12):  # more handshakes than one peer may ask for at once
            with suppress(OSError), socket.create_connection(self.daemon.address("tls")) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")

    def commands(self) -> None:
        assert ask(self.control, "reload") is not None
        with pytest.raises(ControlError):
            ask(self.control, "brew")

    def reloads(self) -> None:
        reload(self.daemon, lambda settings: settings.update(listen=["udp://300.1.1.1:5060"]))
        self.daemon.event("reload_refused")
        reload(self.daemon, lambda settings: settings.update(listen=LISTEN))
        ask(self.control, "reload")  # which comes after the other one
        assert fetch(self.daemon, "/nothing")[0] == 404

    def flood(self) -> None:
        """More datagrams than the receive buffer holds, while the daemon stands still."""
        self.daemon.send_signal(signal.SIGSTOP)
        with talk("udp", self.daemon.address()) as client:
            for _ in range(500):
                client.send(request(uri=REDIRECTED))
        self.daemon.send_signal(signal.SIGCONT)


LISTEN = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]


@pytest.fixture(scope="module")
def busy(
    run_shared_daemon: Run,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    server: Leaf,
    context: ssl.SSLContext,
) -> Iterator[Busy]:
    """Everything at once, then DNS is taken away."""
    folder = tmp_path_factory.mktemp("busy")
    servers = Servers(folder / "dns")
    (folder / "certificate.pem").write_bytes(Path(server.certificate).read_bytes())
    port = free_port()
    members = [Member("127.0.0.1", port, "200 OK"), Member("127.0.0.2", port, "503 No")]
    dns = servers.nsd("pcpool A 127.0.0.1")
    pool = {"pool_fqdn": "members.contoso.com", "port": port, "transport": "tcp"}
    try:
        daemon = run_shared_daemon(
            listen=LISTEN,
            advertise="127.0.0.1",
            endpoints=[
                endpoint(REDIRECTED, port=port, transport="tcp"),
                endpoint(
                    LOOKED_UP,
                    mode="lookup",
                    channel_uris=["sip:gc-channel@pcpool.contoso.com"],
                    port=port,
                    transport="tcp",
                ),
                endpoint(PROXIED, mode="proxy", **pool),
                endpoint(LOST, pool_fqdn="lost.contoso.com", port=port, transport="tcp"),
            ],
            dns={
                "nameservers": [str(dns.address)],
                "hosts_file": "/dev/null",
                "hosts": {
                    "members.contoso.com": ["127.0.0.1", "127.0.0.2"],
                    "lost.contoso.com": ["127.0.0.3"],
                },
                "timeout": 0.3,
                "lifetime": 0.6,
                "retry": 0.5,
            },
            tls={
                "certificate": str(folder / "certificate.pem"),
                "private_key": str(server.private_key),
                "ca": str(authority.file),
            },
            # a member that a busy machine holds up isn't down: callers would hear 480
            health={"interval": 1.0, "timeout": 1.0, "losses": 2, "successes": 1},
            limits={"receive_buffer": 4096, "handshakes_per_peer": 3},
            log={"requests": False},
            control={"socket": str(folder / "control")},
            http={"listen": "127.0.0.1:0"},
            usage={"store": f"sqlite://{folder}/usage.db"},
        )
        daemon.event("target_down")
        daemon.event("pool_resolved", pool="pcpool.contoso.com")
        busy = Busy(daemon, folder, dns)
        busy.all(context)
        dns.stop()
        daemon.event("pool_stale")
        yield busy
    finally:
        servers.stop()
        for member in members:
            member.close()


#: What must have been counted, with these labels at least.
MOVED: list[tuple[str, dict[str, str]]] = [
    ("requests_total", {"endpoint": REDIRECTED, "method": "INVITE", "transport": "udp"}),
    ("requests_total", {"endpoint": REDIRECTED, "transport": "tcp", "status": "302"}),
    ("requests_total", {"endpoint": REDIRECTED, "method": "SUBSCRIBE", "transport": "tls"}),
    ("requests_total", {"endpoint": REDIRECTED, "method": "other", "status": "302"}),
    ("requests_total", {"endpoint": "none", "status": "404"}),
    ("requests_total", {"endpoint": LOST, "status": "480"}),
    ("requests_total", {"endpoint": LOOKED_UP, "method": "INVITE", "status": "200"}),
    ("requests_total", {"endpoint": PROXIED, "method": "INVITE", "status": "200"}),
    ("dropped_total", {"reason": "ack"}),
    ("malformed_total", {}),
    ("answer_seconds_count", {}),
    ("answer_seconds_sum", {}),
    ("receive_buffer_drops_total", {}),
    ("connections_begun_total", {}),
    ("connections_closed_total", {"reason": "framing"}),
    ("connections_closed_total", {"reason": "handshake"}),
    ("connections_refused_total", {"reason": "handshakes_per_peer"}),
    ("connections_limit", {}),
    ("certificate_expiry_time_seconds", {}),
    ("certificate_renewals_total", {"result": "done"}),
    ("lookups_limit", {}),
    ("lookups_begun_total", {}),
    ("lookup_answers_total", {"result": "found"}),
    ("lookups_ended_total", {"reason": "bye"}),
    ("transactions", {"role": "lookup"}),
    ("transactions", {"role": "proxy"}),
    ("retransmissions_total", {"role": "lookup", "direction": "in"}),
    ("retransmissions_total", {"role": "lookup", "direction": "out"}),
    ("outgoing_connections", {}),
    ("outgoing_connections_begun_total", {}),
    ("proxied_total", {"kind": "new"}),
    ("proxy_seconds_count", {}),
    ("proxy_responses_total", {}),
    ("proxy_failovers_total", {}),
    ("proxy_failures_total", {"reason": "503"}),
    ("proxy_open_requests_limit", {}),
    ("dns_queries_total", {"transport": "udp"}),
    ("dns_answers_total", {"result": "positive"}),
    ("dns_answers_total", {"result": "negative"}),
    ("dns_failures_total", {}),
    ("dns_stale_total", {}),
    ("pool_resolutions_total", {}),
    ("pools", {"state": "stale"}),
    ("pools", {"state": "usable"}),
    ("pools", {"state": "down"}),
    ("pools_oldest_answer_seconds", {}),
    ("pool_usable", {}),
    ("pool_stale", {}),
    ("pool_targets", {}),
    ("pool_live_targets", {}),
    ("pool_answer_age_seconds", {}),
    ("targets", {"state": "up"}),
    ("targets", {"state": "down"}),
    ("target_up", {}),
    ("pings_total", {}),
    ("pings_lost_total", {}),
    ("target_changes_total", {"to": "down"}),
    ("control_requests_total", {"command": "reload"}),
    ("control_faults_total", {"reason": "unknown"}),
    ("http_requests_total", {"page": "/metrics", "status": "200"}),
    ("http_requests_total", {"page": "other", "status": "404"}),
    ("build_info", {}),
    ("start_time_seconds", {}),
    ("ready", {}),
    ("configuration_time_seconds", {}),
    ("reloads_total", {"result": "done"}),
    ("reloads_total", {"result": "refused"}),
    ("endpoints", {"mode": "proxy", "state": "active"}),
    ("event_loop_lag_seconds_count", {}),
]
#: What is there and stays 0 in this test, and where it is made to move.
STILL = {
    "chatredirect_draining": "test_a_daemon_that_drains_isnt_ready",
    "chatredirect_log_lines_dropped_total": "tests/log",
    "chatredirect_usage_store_failing": "tests/usage",
    "chatredirect_usage_rows_waiting": "0 again every ten seconds",
    "chatredirect_usage_written_time_seconds": "tests/usage",
    "chatredirect_usage_last_use_time_seconds": "tests/usage/test_figures.py",
    "chatredirect_usage_callers": "tests/usage/test_figures.py",
    "chatredirect_usage_client_uses": "tests/usage/test_figures.py",
    "chatredirect_failures_total": "a fault of ours",
    "chatredirect_unsent_total": "tests/transport",
    "chatredirect_refusals_total": "tests/status/test_refused.py",
    "chatredirect_connections": "test_open_connections",
    "chatredirect_lookups": "0 again when all have said BYE",
    "chatredirect_outgoing_waiting": "tests/transport",
    "chatredirect_outgoing_failures_total": "tests/transport",
    "chatredirect_outgoing_connections_closed_total": "tests/transport",
    "chatredirect_proxy_open_requests": "tests/proxy",
    "chatredirect_proxy_late_responses_total": "tests/proxy",
    "chatredirect_proxy_cancelled_total": "tests/proxy",
    "chatredirect_proxy_refused_total": "tests/proxy",
    "chatredirect_dns_ignored_total": "tests/dns",
    "chatredirect_dns_cache_hits_total": "tests/dns",
    "chatredirect_dns_joined_total": "tests/dns",
    "chatredirect_pool_refused_targets_total": "tests/service",
    "chatredirect_http_refused_total": "test_http",
}


def test_every_metric_is_there(busy: Busy) -> None:
    """With the kind, the meaning and the labels that the catalogue says."""
    scraped = scrape(busy.daemon)
    text = scraped.text
    described = dict(re.findall(r"^# TYPE (chatredirect_\w+) (\w+)$", text, flags=re.MULTILINE))
    assert described == {name: each.kind for name, each in CATALOGUE.items()}
    for name, each in CATALOGUE.items():
        family = scraped.families[name.removesuffix("_total")]
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(each.labels), name


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool (apt install prometheus)")
def test_prometheus_finds_nothing_wrong_with_it(busy: Busy) -> None:
    """Its own reader and its own rules for names and meanings."""
    assert PROMTOOL is not None
    text = fetch(busy.daemon, "/metrics")[1].encode()
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_metric_has_moved(busy: Busy) -> None:
    moved = {f"chatredirect_{name}" for name, _ in MOVED}
    listed = {re.sub(r"_(count|sum)$", "", name) for name in moved} | STILL.keys()
    assert CATALOGUE.keys() <= listed, "say in MOVED or STILL what becomes of it"


@pytest.mark.parametrize(("name", "labels"), MOVED, ids=str)
def test_it_has_moved(busy: Busy, name: str, labels: dict[str, str]) -> None:
    if not busy.early.value(name, **labels):
        reaches(busy.daemon, name, 1e-9, **labels)


def test_the_counts_are_right(busy: Busy) -> None:
    """What can be known to the last: each of these was asked once."""
    scraped = scrape(busy.daemon)
    for transport, method in (("tcp", "INVITE"), ("tls", "SUBSCRIBE")):
        labels = {"endpoint": REDIRECTED, "transport": transport, "method": method}
        assert scraped.value("requests_total", **labels, status="302") == 1
    assert scraped.value("requests_total", endpoint=REDIRECTED, method="other") == 1
    assert scraped.value("requests_total", endpoint=LOST) == 1
    assert scraped.value("requests_total", endpoint=PROXIED, status="200") == 30
    assert scraped.value("lookup_answers_total", result="found") == 1
    assert scraped.value("dropped_total", reason="ack") == 1
    assert scraped.value("endpoints") == 4
    udp = scraped.value("requests_total", transport="udp", endpoint=REDIRECTED)
    lost = scraped.value("receive_buffer_drops_total")
    assert udp + lost >= 500, "what the kernel dropped is what wasn't answered"
    assert scraped.value("reloads_total", result="refused") == 1


def test_open_connections(busy: Busy) -> None:
    before = scrape(busy.daemon).value("connections")
    with talk("tcp", busy.daemon.address("tcp")) as client:
        sip.ask(client, request(uri=REDIRECTED))
        reaches(busy.daemon, "connections", before + 1)


def test_ready_and_alive(busy: Busy) -> None:
    assert fetch(busy.daemon, "/healthz") == (200, "ok\n")
    assert fetch(busy.daemon, "/readyz") == (200, "ready\n")


def test_it_can_need_targets_to_be_ready(busy: Busy) -> None:
    def need(settings: dict[str, Any], needed: bool) -> None:
        settings["http"]["ready_needs_targets"] = needed

    reload(busy.daemon, lambda settings: need(settings, True))
    unready = (503, f"not ready\n{LOST} has no target that works\n")
    eventually(lambda: fetch(busy.daemon, "/readyz") == unready, "/readyz to say no")
    reaches(busy.daemon, "configuration_time_seconds", 1)
    reload(busy.daemon, lambda settings: need(settings, False))
    eventually(lambda: fetch(busy.daemon, "/readyz")[0] == 200, "/readyz to say yes")


def test_many_endpoints_are_counted_together(run_daemon: Run) -> None:
    """And many pools have no series of their own."""
    daemon = run_daemon(
        endpoints=[endpoint(REDIRECTED), endpoint(LOST, pool_fqdn="lost.contoso.com")],
        dns={"hosts": {"pcpool.contoso.com": ["192.0.2.20"], "lost.contoso.com": ["192.0.2.21"]}},
        http={"listen": ":0", "endpoints": 1, "pools": 1},
        health={},
    )
    with talk("udp", daemon.address()) as client:
        sip.ask(client, request(uri=REDIRECTED))
        sip.ask(client, request(uri=LOST))
    scraped = scrape(daemon)
    assert scraped.value("requests_total", endpoint="all", status="302") == 2
    assert not scraped.value("requests_total", endpoint=REDIRECTED)
    assert not scraped.families["chatredirect_pool_usable"].samples
    assert not scraped.families["chatredirect_target_up"].samples
    assert scraped.value("pools", state="usable") == 2


def test_a_reload_opens_moves_and_closes_it(run_daemon: Run) -> None:
    daemon = run_daemon()
    reload(daemon, lambda settings: settings.update(http={"listen": "127.0.0.1:0"}))
    daemon.event("http_listening")
    assert fetch(daemon, "/healthz")[0] == 200
    taken = socket.create_server(("127.0.0.1", 0))
    busy_port = taken.getsockname()[1]
    reload(daemon, lambda settings: settings.update(http={"listen": busy_port}))
    refused = daemon.event("reload_refused")
    assert refused["why"].startswith(f"can't listen on tcp://127.0.0.1:{busy_port}: ")
    assert "change `http.listen`" in refused["why"]
    assert fetch(daemon, "/healthz")[0] == 200, "the old one stays"
    taken.close()
    where = http(daemon)
    reload(daemon, lambda settings: settings.pop("http"))
    daemon.event("http_closed")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(where + "/healthz", timeout=5)


def test_a_daemon_that_drains_isnt_ready(run_daemon: Run) -> None:
    """A load balancer sends nothing more, while the lookup that has begun ends in its own time."""
    daemon = run_daemon(
        endpoints=[endpoint(mode="lookup", channel_uris=["sip:gc-channel@pcpool.contoso.com"])],
        http={"listen": ":0"},
    )
    assert fetch(daemon, "/readyz") == (200, "ready\n")
    with Peer("tcp", daemon.address("tcp")) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        recorded.learn(peer.receive())
        peer.send(recorded.message(2))
        daemon.send_signal(signal.SIGTERM)
        unready = (503, "not ready\nit is about to stop\n")
        eventually(lambda: fetch(daemon, "/readyz") == unready, "/readyz to say no")
        reaches(daemon, "draining", 1)
        scraped = scrape(daemon)
        assert scraped.value("ready") == 0
        assert scraped.value("lookups") == 1
        peer.send(recorded.message(5))
        assert peer.receive().kind == "200 BYE"
    assert daemon.process.wait(30) == 0


def test_a_port_that_is_taken_ends_the_daemon_at_its_start(run_daemon: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = run_daemon(http={"listen": taken.getsockname()[1]}, wait=False)
        assert daemon.process.wait(30) == 69
    assert "change `http.listen`" in daemon.log_text


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_http_that_means_harm_leaves_sip_alone(run_daemon: Run, loop: str) -> None:
    """A hundred connections that say nothing, half a request or garbage: SIP is answered."""
    daemon = run_daemon(http={"listen": ":0"}, loop=loop)
    host, _, port = http(daemon).removeprefix("http://").rpartition(":")
    socks = [socket.create_connection((host, int(port))) for _ in range(100)]
    try:
        for number, sock in enumerate(socks):
            with suppress(OSError):
                sock.sendall((b"", b"GET /metr", b"\x00" * 20_000)[number % 3])
        with talk("udp", daemon.address()) as client:
            for _ in range(20):
                answer = sip.ask(client, request())
                assert answer is not None
                assert answer.status == 302
    finally:
        for sock in socks:
            sock.close()
    eventually(lambda: fetch_quietly(daemon) == 200, "a place for one more")
    assert scrape(daemon).value("http_refused_total") > 0


def fetch_quietly(daemon: Daemon) -> int:
    with suppress(OSError):
        return fetch(daemon, "/healthz")[0]
    return 0
