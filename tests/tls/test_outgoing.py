"""Health pings over TLS: whom we believe, what we show, and what the log says of everybody else."""

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.dns.real_servers import Nsd, free_port
from tests.probe.peers import Peer, always, tcp_peer
from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import DAY, NOW, Authority, Leaf, key_pem, peer_context

POOL = "pcpool.contoso.com"
FRONT_END = "fe01.contoso.com"
OURS = "sip.contoso.com"
HEALTH = {"interval": 3.0, "timeout": 3.0, "losses": 1}
OFTEN = {"interval": 1.0, "timeout": 1.0, "losses": 1, "successes": 1}

Ping = Callable[..., Daemon]


def recovers(message: bytes, number: int) -> list[bytes]:
    """At first 503, so that the log has a line when the next one is 200."""
    return always("200 OK" if number else "503 Service Unavailable")(message, number)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def ping(run_daemon: Run, authority: Authority) -> Ping:
    """Start a daemon that pings POOL on a port; further keys go to its section `tls`."""

    def run(
        port: int | None,
        loop: str = "auto",
        *,
        health: dict[str, Any] = HEALTH,
        dns: dict[str, Any] | None = None,
        **keys: Any,
    ) -> Daemon:
        return run_daemon(
            loop=loop,
            endpoints=[endpoint(port=port)],  # None: DNS says which
            health=health,
            tls={"ca": str(authority.file)} | keys,
            dns=dns or {"hosts": {POOL: ["127.0.0.1"]}},
        )

    return run


def is_up(daemon: Daemon, port: int) -> None:
    daemon.event("target_up", target=f"tls://127.0.0.1:{port}", answer="200 OK")
    eventually(lambda: status(daemon) == 302, "a redirection")


def is_down(daemon: Daemon, peer: Peer, why: str, host: str = POOL) -> None:
    """One clear line, nothing sent to the peer, and callers hear that there is nobody."""
    line = daemon.event("target_down", target=f"tls://127.0.0.1:{peer.port}", host=host)
    assert line["why"] == why
    assert line["level"] == "warning"
    assert peer.received == []
    assert status(daemon) == 480


def status(daemon: Daemon) -> int:
    with talk("udp", daemon.address("udp")) as client:
        response = ask(client, request())
        assert response is not None
        return response.status


# -- who is believed -----------------------------------------------------------------------------


def test_mutual(ping: Ping, loop: str, tmp_path: Path) -> None:
    """Each side shows a certificate from an authority below another, and verifies the other's."""
    root = trustme.CA()
    issuing = root.create_child_ca()
    theirs, ours = issuing.issue_cert(POOL, FRONT_END), issuing.issue_cert(OURS)
    root.cert_pem.write_to_path(str(tmp_path / "root.pem"))
    both = tmp_path / "ours.pem"
    ours.private_key_and_cert_chain_pem.write_to_path(str(both))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.configure_cert(context)
    root.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with tcp_peer(recovers, tls=context) as peer:
        daemon = ping(
            peer.port, loop, health=OFTEN, ca=str(tmp_path / "root.pem"), certificate=str(both)
        )
        is_up(daemon, peer.port)
        eventually(lambda: len(peer.received) >= 3, "three pings")
        assert daemon.stop() == 0
    assert set(peer.methods) == {"OPTIONS"}
    assert all(b"\r\nVia: SIP/2.0/TLS 127.0.0.1:" in each for each in peer.received)
    assert set(peer.names) == {POOL}
    for certificate in peer.certificates:
        assert certificate["subjectAltName"] == (("DNS", OURS),)


def test_another_name(ping: Ping, authority: Authority, loop: str) -> None:
    """A good certificate of somebody else (RFC 5922 §7.2)."""
    leaf = authority.issue(FRONT_END, "other.contoso.com")
    with tcp_peer(recovers, tls=peer_context(leaf)) as peer:
        is_down(
            ping(peer.port, loop),
            peer,
            f"its certificate names {FRONT_END}, other.contoso.com, not {POOL}; "
            "pool_fqdn has to be a name in it",
        )


@pytest.mark.parametrize(
    ("names", "common_name", "key", "why"),
    [
        ((), POOL, "common_name", "its certificate names no SIP identity"),
        (("*.contoso.com",), "", "wildcards", "its certificate names *.contoso.com"),
    ],
)
def test_names_that_count_if_told_to(
    ping: Ping, authority: Authority, names: tuple[str, ...], common_name: str, key: str, why: str
) -> None:
    """The line says which key it is; with the key the target is up."""
    leaf = authority.issue(*names, common_name=common_name, file="leaf")
    with tcp_peer(recovers, tls=peer_context(leaf)) as peer:
        line = ping(peer.port).event("target_down")
        assert line["why"].startswith(f"{why}, not {POOL}; tls.{key}: true would let its ")
        is_up(ping(peer.port, health=OFTEN, **{key: True}), peer.port)


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Nsd]:
    """A name server."""
    name_server = Nsd(tmp_path / "nsd")
    yield name_server
    name_server.stop()


def test_the_name_from_dns(ping: Ping, authority: Authority, dns: Nsd) -> None:
    """An SRV record can be forged: its target's name proves nothing unless it is let (§4)."""
    leaf = authority.issue(FRONT_END)
    with tcp_peer(recovers, tls=peer_context(leaf)) as peer:
        dns.write(f"_sips._tcp.pcpool SRV 0 0 {peer.port} fe01\nfe01 A 127.0.0.1")
        dns.start()
        section = {"nameservers": [str(dns.address)], "hosts_file": "/dev/null"}
        is_down(
            ping(None, dns=section),
            peer,
            f"its certificate names {FRONT_END}, not {POOL}; "
            "tls.srv_names: true would let the name from DNS count",
            host=FRONT_END,
        )
        is_up(ping(None, health=OFTEN, dns=section, srv_names=True), peer.port)
    # it is the pool that is asked for, whatever may count as an answer
    assert set(peer.names) == {POOL}


def test_the_pools_name_behind_srv(ping: Ping, authority: Authority, dns: Nsd) -> None:
    with tcp_peer(recovers, tls=peer_context(authority.issue(POOL))) as peer:
        dns.write(f"_sips._tcp.pcpool SRV 0 0 {peer.port} fe01\nfe01 A 127.0.0.1")
        dns.start()
        section = {"nameservers": [str(dns.address)], "hosts_file": "/dev/null"}
        is_up(ping(None, health=OFTEN, dns=section), peer.port)


def _self_signed(authority: Authority) -> Leaf:
    """An authority's own certificate, whose key is a server's."""
    own = Authority(authority.folder / "own", POOL)
    leaf = own.issue(POOL)
    leaf.certificate.write_bytes(own.file.read_bytes())
    leaf.private_key.write_bytes(key_pem(own.key))
    return leaf


REFUSED: dict[str, tuple[Callable[[Authority], Leaf], str]] = {
    "expired": (
        lambda authority: authority.issue(POOL, not_after=NOW - timedelta(hours=1)),
        "certificate has expired",
    ),
    "not yet valid": (
        lambda authority: authority.issue(POOL, not_before=NOW + DAY),
        "certificate is not yet valid",
    ),
    "self-signed": (
        _self_signed,
        "self-signed certificate; tls.ca says which authorities count",
    ),
    "another authority": (
        lambda authority: Authority(authority.folder / "other", "Other CA").issue(POOL),
        "unable to get local issuer certificate; tls.ca says which authorities count",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_certificates(ping: Ping, authority: Authority, loop: str, case: str) -> None:
    """However little is asked of clients, a target is verified."""
    make, says = REFUSED[case]
    with tcp_peer(recovers, tls=peer_context(make(authority))) as peer:
        daemon = ping(peer.port, loop, verify_peer="none")
        is_down(daemon, peer, f"the peer's certificate was refused: {says}")


def test_no_tls_there(ping: Ping) -> None:
    with tcp_peer(recovers) as peer:
        daemon = ping(peer.port)
        # the peer waits for the end of a header that never comes
        assert daemon.event("target_down")["why"] == "no response within 3 s"


# -- what we show --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_no_certificate_of_ours(ping: Ping, authority: Authority, loop: str, version: str) -> None:
    """A server that asks for one: by TLS 1.3 it says so after the handshake."""
    context = peer_context(
        authority.issue(POOL), authority.file, maximum_version=ssl.TLSVersion[version]
    )
    with tcp_peer(recovers, tls=context) as peer:
        line = ping(peer.port, loop).event("target_down")
        assert "; tls.certificate is what would be shown" in line["why"] or (
            # a reset may be faster than the words
            version == "TLSv1_3"
            and line["why"].endswith("; it may have refused our certificate, see tls.certificate")
        )
        assert peer.received == []


def test_renewal(ping: Ping, authority: Authority) -> None:
    """New files are shown from the next ping on, without a restart or a reload."""
    ours = authority.issue(OURS)
    with tcp_peer(recovers, tls=peer_context(authority.issue(POOL), authority.file)) as peer:
        daemon = ping(peer.port, health=OFTEN, **ours.files)
        is_up(daemon, peer.port)
        (before,) = {certificate["serialNumber"] for certificate in peer.certificates}
        renewed = authority.issue(OURS, file="renewed")
        os.replace(renewed.private_key, ours.private_key)
        os.replace(renewed.certificate, ours.certificate)
        eventually(lambda: peer.certificates[-1]["serialNumber"] != before, "the new certificate")
        daemon.event("certificate_renewed")


# -- openssl as the peer -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_server(ping: Ping, authority: Authority, loop: str, version: str) -> None:
    """`openssl s_server`, which demands a certificate and stops at a bad one."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl isn't installed")
    theirs, port = authority.issue(POOL), free_port()
    command = [
        *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", version),
        *("-cert", str(theirs.certificate), "-key", str(theirs.private_key)),
        *("-CAfile", str(authority.file), "-Verify", "2", "-verify_return_error"),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            ends = (process.stdin.fileno(), process.stdout.fileno())
            answering = threading.Thread(target=_answer_all, args=ends)
            answering.start()
            daemon = ping(port, loop, health=OFTEN, **authority.issue(OURS).files)
            is_up(daemon, port)
            assert daemon.stop() == 0
        finally:
            process.kill()
            process.wait(PATIENCE)
            answering.join()


def _answer_all(to: int, out: int) -> None:
    """Answer the requests that a process receives and prints, until it ends."""
    data, number = b"", 0
    with suppress(OSError):
        while piece := os.read(out, 65536):
            data += piece
            while b"\r\n\r\n" in data:
                head, end, data = data.partition(b"\r\n\r\n")
                for message in recovers(head + end, number):
                    os.write(to, message)
                number += 1
