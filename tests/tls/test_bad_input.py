"""What goes wrong on TLS ports: each fault has its log line, and the other connections no harm.

One connection is open through all tests of a loop, and answers after each.
"""

import contextlib
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, Daemon, eventually
from tests.service.fixtures import Run
from tests.tls.authority import DAY, NOW, Authority, Leaf
from tests.tls.client import Tls, client_context, talk_tls
from tests.tls.conftest import FRONT_END
from tests.tls.openssl import s_client
from tests.tls.storm import Storm
from tests.transport.test_stream import descriptors, memory, never_reading

Section = Callable[..., dict[str, Any]]
TLS, TCP = "tls://127.0.0.1:0", "tcp://127.0.0.1:0"
LIMITS = {
    "handshake_timeout": 2.5,  # good handshakes take a while, too, on a busy machine
    "message_timeout": 1.0,
    "write_timeout": 1.0,
    "handshakes": 10_000,
    "handshakes_per_peer": 10_000,
}


@pytest.fixture(scope="module")
def daemon(loop: str, run_shared_daemon: Run, tls: Section) -> Daemon:
    return run_shared_daemon(loop=loop, listen=[TLS, TCP], tls=tls(), limits=LIMITS)


@pytest.fixture(scope="module")
def bystander(daemon: Daemon, context: ssl.SSLContext) -> Iterator[Tls]:
    """Somebody else's connection."""
    with talk_tls(daemon.address("tls"), context, "127.0.0.9") as client:
        yield client


@pytest.fixture(autouse=True)
def others_are_served(daemon: Daemon, bystander: Tls, context: ssl.SSLContext) -> Iterator[None]:
    """After each test: on a connection that is open, and on a new one."""
    yield
    serves(bystander)
    with talk_tls(daemon.address("tls"), context, "127.0.0.8") as newcomer:
        serves(newcomer)


def serves(client: Tls) -> None:
    answer = ask(client, request())
    assert answer is not None
    assert answer.status == 302


def closed(sock: socket.socket) -> bytes:
    """What the other side says before it closes."""
    sock.settimeout(PATIENCE)
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while more := sock.recv(65536):
            said += more
    return said


# -- no TLS, or not what it should be ------------------------------------------------------------


NO_TLS = "it doesn't speak TLS here (wrong_version_number)"
TOO_LONG = "the handshake took too long"
NO_HANDSHAKES = {
    "SIP": (request(), NO_TLS),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "it doesn't speak TLS here (http_request)"),
    "CRLF": (b"\r\n\r\n" * 4, NO_TLS),
    "garbage": (bytes(range(128, 256)) * 50, NO_TLS),
    "no hello": (b"\x16\x03\x01\x00\x20" + b"x" * 32, "unexpected message"),
    "a hello of garbage": (b"\x16\x03\x01\x00\x26\x01\x00\x00\x22\x03\x03" + b"y" * 32, None),
    "nothing": (b"", TOO_LONG),
    "an unfinished record": (b"\x16\x03\x01\x02", TOO_LONG),
}


@pytest.mark.parametrize("case", NO_HANDSHAKES)
def test_what_is_no_handshake(daemon: Daemon, case: str) -> None:
    """Plain text on a TLS port, garbage, a handshake left open: closed, and said."""
    data, why = NO_HANDSHAKES[case]
    before = daemon.log_text.count("tls_handshake_failed")
    with socket.create_connection(daemon.address("tls"), PATIENCE, ("127.0.0.2", 0)) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        closed(sock)
        peer = f"tls://127.0.0.2:{sock.getsockname()[1]}"
    if why is not None:
        line = daemon.event("tls_handshake_failed", why=why)
        assert line["peer"].startswith("tls://127.0.0.2:")
    else:
        eventually(
            lambda: daemon.log_text.count("tls_handshake_failed") > before, f"a line about {peer}"
        )


def test_a_handshake_that_goes_away(daemon: Daemon) -> None:
    """Somebody who only looks whether the port is open is no reason for a warning."""
    for linger in (False, True):
        sock = socket.create_connection(daemon.address("tls"), PATIENCE, ("127.0.0.3", 0))
        if linger:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    line = daemon.event("tls_handshake_failed", why="the peer closed the connection")
    assert line["level"] == "info"


def test_tls_on_a_plain_port(daemon: Daemon, context: ssl.SSLContext) -> None:
    """Closed at once, not after a timeout, and said."""
    for minimum in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.maximum_version = minimum
        try:
            with pytest.raises((ssl.SSLError, OSError)):
                Tls(daemon.address("tcp"), context)
        finally:
            context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    line = daemon.event("connection_closed", reason="tls_here")
    assert line["why"] == "it speaks TLS, and this connection isn't one of TLS"
    assert line["peer"].startswith("tcp://127.0.0.1:")


def test_broken_records(daemon: Daemon, context: ssl.SSLContext) -> None:
    """Garbage between the records of a connection that is open."""
    with talk_tls(daemon.address("tls"), context) as client:
        client.send(request())
        assert client.receive().status == 302
        with socket.socket(fileno=socket.dup(client.socket.fileno())) as plain:
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"y" * 32)
            closed(plain)
    why = "the peer sent what is no TLS record, or one that can't be decrypted"
    daemon.event("tls_connection_failed", why=why)


# -- certificates --------------------------------------------------------------------------------


def expired(authority: Authority) -> Leaf:
    return authority.issue(FRONT_END, file="expired", not_before=NOW - 9 * DAY, not_after=NOW - DAY)


def not_yet_valid(authority: Authority) -> Leaf:
    return authority.issue(FRONT_END, file="not-yet", not_before=NOW + DAY)


def of_another_authority(authority: Authority) -> Leaf:
    return Authority(authority.folder / "other", "Somebody's CA").issue(FRONT_END)


def self_signed(authority: Authority) -> Leaf:
    return Leaf(*_self_signed(authority.folder / "self"))


def _self_signed(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    files = (folder / "self.pem", folder / "self.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-noenc", "-subj", "/CN=x", "-addext", f"subjectAltName=DNS:{FRONT_END}"),
            *("-out", str(files[0]), "-keyout", str(files[1])),
        ],
        check=True,
        capture_output=True,
    )
    return files


def none_at_all(_authority: Authority) -> None:
    return None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (expired, "the peer's certificate was refused: certificate has expired"),
        (not_yet_valid, "the peer's certificate was refused: certificate is not yet valid"),
        (
            of_another_authority,
            "the peer's certificate was refused: unable to get local issuer certificate",
        ),
        (self_signed, "the peer's certificate was refused: self-signed certificate"),
        (none_at_all, "the peer showed no certificate; tls.verify_peer: required asks for one"),
    ],
)
def test_certificates_that_are_no_good(
    daemon: Daemon,
    authority: Authority,
    made: Callable[[Authority], Leaf | None],
    why: str,
    version: ssl.TLSVersion,
) -> None:
    """No answer, though with TLS 1.3 the client is done before it is judged."""
    context = client_context(authority.file, made(authority))
    context.maximum_version = version
    with contextlib.suppress(OSError), talk_tls(daemon.address("tls"), context) as client:
        client.send(request(call_id="no-good"))
        assert client.rest().removesuffix(b"<reset>").removesuffix(b"<alert>") == b""
    daemon.event("tls_handshake_failed", why=why)
    assert "no-good" not in daemon.log_text


def test_a_certificate_that_names_another(daemon: Daemon, ca_file: Path, stranger: Leaf) -> None:
    with talk_tls(daemon.address("tls"), client_context(ca_file, stranger)) as client:
        assert client.rest().removesuffix(b"<reset>") == b""
    daemon.event(
        "peer_refused",
        why="its certificate names other.contoso.com; tls.allowed_peers has none of these",
    )


def test_a_certificate_that_names_nobody(daemon: Daemon, authority: Authority) -> None:
    leaf = authority.issue(common_name=FRONT_END, file="cn")
    with talk_tls(daemon.address("tls"), client_context(authority.file, leaf)) as client:
        assert client.rest().removesuffix(b"<reset>") == b""
    daemon.event(
        "peer_refused",
        why="its certificate names no SIP identity; tls.allowed_peers has none of these",
    )


def test_a_certificate_of_many_odd_names(daemon: Daemon, authority: Authority) -> None:
    """The line stays one line, of a bounded length."""
    odd = [f"sip:{'x' * 200}{number}.contoso.com" for number in range(200)]
    leaf = authority.issue(uris=["sip:a\r\n{}\x1b[2J.com", *odd], file="odd")
    with talk_tls(daemon.address("tls"), client_context(authority.file, leaf)) as client:
        assert client.rest().removesuffix(b"<reset>") == b""

    def told() -> bool:
        lines = [line for line in daemon.log_text.splitlines() if "xxxxx" in line]
        return bool(lines) and all(len(line) < 1500 and "\x1b" not in line for line in lines)

    eventually(told, "a line about it")


# -- patience ------------------------------------------------------------------------------------


def test_renegotiation_is_refused(daemon: Daemon, ca_file: Path, front_end: Leaf) -> None:
    """openssl's "R" asks for one; it is told no, and gives up."""
    arguments = ("-tls1_2",)
    shown = s_client(daemon.address("tls"), ca_file, *arguments, leaf=front_end, data=b"R\n" * 5)
    assert "RENEGOTIATING" in shown.text
    assert "no renegotiation" in shown.text
    why = "the peer refused the handshake, or wanted another one, which there isn't"
    daemon.event("tls_connection_failed", why=why)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_storm_of_handshake_messages(
    run_daemon: Run,
    loop: str,
    tls: Section,
    authority: Authority,
    front_end: Leaf,
    context: ssl.SSLContext,
    version: str,
    reads: bool,
) -> None:
    """Renegotiations (TLS 1.2), key updates (1.3) by the thousand, their answers read or not.

    Others are served meanwhile, memory stays bounded, and as no SIP comes, the connection ends.
    """
    limits = LIMITS | {"idle_timeout": 1.0, "write_timeout": 0.5}
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(), limits=limits)
    to = daemon.address("tls")

    def others_are_served() -> None:
        with talk_tls(to, context) as other:  # a new one: an old one may have been idle too long
            serves(other)

    others_are_served()
    with Storm(to, authority, front_end, version) as storm:
        began, end = memory(daemon), time.monotonic() + PATIENCE
        while storm.blow(100, reads):
            others_are_served()
            assert memory(daemon) - began < 20_000_000
            assert time.monotonic() < end
    others_are_served()
    line = daemon.event("connection_closed")
    assert line["reason"] in ("idle", "not_reading")
    assert not daemon.events("tls_connection_failed")  # what it sent was good TLS


def test_a_peer_that_stops_reading(daemon: Daemon, context: ssl.SSLContext, bystander: Tls) -> None:
    """Back-pressure, then the end after `limits.write_timeout`, and said; memory stays bounded."""
    before, began = descriptors(daemon), memory(daemon)

    def dropped() -> list[dict[str, Any]]:
        serves(bystander)
        assert memory(daemon) - began < 20_000_000
        lines = daemon.events("connection_closed")
        return [each for each in lines if each["reason"] == "not_reading"]

    with (
        talk_tls(daemon.address("tls"), context, receive_buffer=4096) as client,
        never_reading(client),
    ):
        (line,) = eventually(dropped, "the slow reader to be closed")
        eventually(lambda: descriptors(daemon) <= before, "its descriptor to be given back")
    assert line["why"] == "it left answers unread for limits.write_timeout"


def test_a_peer_that_never_says_goodbye(daemon: Daemon, context: ssl.SSLContext) -> None:
    """We close, and no close_notify comes back: its place is free again all the same."""
    before = descriptors(daemon)
    with talk_tls(daemon.address("tls"), context) as client:
        client.send(b"no SIP at all\r\n\r\n")
        daemon.event("connection_closed", reason="framing")
        eventually(lambda: descriptors(daemon) <= before, "the connection to be gone")


def test_half_a_message(daemon: Daemon, context: ssl.SSLContext) -> None:
    with talk_tls(daemon.address("tls"), context) as client:
        client.send(request()[:-20])
        assert client.rest() == b""
    daemon.event("connection_closed", reason="half_sent")


def test_handshakes_left_open_are_counted(
    run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext
) -> None:
    """Who opens many and says nothing takes his own places, not those of others."""
    limits = {"connections": 20, "connections_per_peer": 5, "handshake_timeout": 2.5}
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(), limits=limits)
    to = daemon.address("tls")
    silent = [socket.create_connection(to, PATIENCE, ("127.0.0.2", 0)) for _ in range(8)]
    try:
        line = daemon.event("connection_refused")
        assert line["why"] == "limits.connections_per_peer is reached"
        assert line["peer"].startswith("tls://127.0.0.2:")
        with talk_tls(to, context) as client:
            serves(client)
        daemon.event("tls_handshake_failed", why="the handshake took too long")
    finally:
        for sock in silent:
            sock.close()
    with talk_tls(to, context, "127.0.0.2") as client:
        serves(client)


def test_handshake_rate(run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext) -> None:
    """So many a second from one address; connections that are open aren't touched."""
    limits = {"handshakes_per_peer": 3, "handshakes": 1000}
    daemon = run_daemon(loop=loop, listen=[TLS, TCP], tls=tls(), limits=limits)
    to = daemon.address("tls")
    with talk_tls(to, context, "127.0.0.2") as open_one:
        failures = 0
        for _ in range(30):
            try:
                Tls(to, context, "127.0.0.2").close()
            except OSError:
                failures += 1
        assert failures
        line = daemon.event("connection_refused")
        assert line["why"] == "limits.handshakes_per_peer is reached"
        serves(open_one)
        with talk_tls(to, context, "127.0.0.3") as other:
            serves(other)
        with talk("tcp", daemon.address("tcp"), "127.0.0.2") as plain:
            plain.send(request())
            assert plain.receive().status == 302
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:  # and there are new ones with time
            with contextlib.suppress(OSError):
                Tls(to, context, "127.0.0.2").close()
                break


def test_keys_never_reach_a_log(daemon: Daemon, authority: Authority, server: Leaf) -> None:
    """After all the above: not a line of a key, and nothing that failed without a name."""
    for leaf in (server, authority.issue("leaf.contoso.com")):
        for line in leaf.private_key.read_text().splitlines()[1:-1]:
            assert line not in daemon.log_text
    assert "Traceback" not in daemon.log_text
    assert "unhandled" not in daemon.log_text
