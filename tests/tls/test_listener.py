"""TLS listeners of the process: versions, ciphers, who is let in, who is trusted; on both loops."""

import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.service.client import ask, read_answer, request, talk
from tests.service.daemon import Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER, client_context, talk_tls
from tests.tls.conftest import FRONT_END
from tests.tls.openssl import OLD, s_client

Section = Callable[..., dict[str, Any]]
TLS = "tls://127.0.0.1:0"
DEFAULT, OLD_PEERS, OPTIONAL, UNVERIFIED = range(4)
TRUSTED_ONLY = "sip:trusted@contoso.com"


@pytest.fixture(scope="module")
def daemon(loop: str, run_shared_daemon: Run, tls: Section) -> Daemon:
    """Four TLS listeners that differ, and no trust in addresses."""
    # listen has one port 0 for all: what is written under tls.listeners needs names that differ
    addresses = [f"tls://127.0.0.{number}:0" for number in range(1, 5)]
    section = tls(
        listeners={
            addresses[OLD_PEERS]: {"minimum_version": "TLSv1"},
            addresses[OPTIONAL]: {"verify_peer": "optional"},
            addresses[UNVERIFIED]: {"verify_peer": "none", "allowed_peers": []},
        }
    )
    return run_shared_daemon(
        loop=loop,
        listen=[*addresses, "tcp://127.0.0.1:0"],
        tls=section,
        trusted_peers=[],
        endpoints=[endpoint(), endpoint(TRUSTED_ONLY, peers="trusted")],
    )


def address(daemon: Daemon, number: int) -> tuple[str, int]:
    transport, host, port = daemon.listening[number]
    assert transport == "tls"
    return host, port


def status(daemon: Daemon, number: int, context: ssl.SSLContext, uri: str) -> int:
    with talk_tls(address(daemon, number), context) as client:
        answer = ask(client, request(uri=uri))
        assert answer is not None
        return answer.status


# -- versions and ciphers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "version", "agreed"),
    [
        (DEFAULT, "-tls1_3", "TLSv1.3"),
        (DEFAULT, "-tls1_2", "TLSv1.2"),
        (DEFAULT, "-tls1_1", ""),
        (DEFAULT, "-tls1", ""),
        (OLD_PEERS, "-tls1_3", "TLSv1.3"),
        (OLD_PEERS, "-tls1_2", "TLSv1.2"),
        (OLD_PEERS, "-tls1_1", "TLSv1.1"),
        (OLD_PEERS, "-tls1", "TLSv1"),
    ],
)
def test_versions(
    daemon: Daemon, ca_file: Path, front_end: Leaf, number: int, version: str, agreed: str
) -> None:
    """Old versions only where the listener is told to, with OpenSSL 3 as well."""
    to = address(daemon, number)
    shown = s_client(to, ca_file, version, "-cipher", OLD, leaf=front_end, data=b"Q\n")
    assert shown.version == agreed, shown.text
    if not agreed:
        why = daemon.event("tls_handshake_failed", why=f"{NO_VERSION}")
        assert why["level"] == "warning"


NO_VERSION = "no TLS version in common; old peers need tls.minimum_version"


def test_old_versions_are_warned_of(daemon: Daemon) -> None:
    """What it opens, and where."""
    text = " ".join(each["why"] for each in daemon.events("configuration_doubtful"))
    assert "listener tls://127.0.0.2:0: minimum_version: TLSv1 lets peers use TLS 1.0" in text
    assert "security level 0 opens the door" in text
    assert "listener tls://127.0.0.1:0: minimum" not in text


def test_an_old_peer_is_served(daemon: Daemon, ca_file: Path, front_end: Leaf) -> None:
    """A request over TLS 1.0, as Windows Server 2008 R2 sends it."""
    to = address(daemon, OLD_PEERS)
    arguments = ("-tls1", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", "-ign_eof")
    # the framing fault behind it makes the daemon close, so that openssl ends
    data = request() + b"x\r\n\r\n"
    shown = s_client(to, ca_file, *arguments, leaf=front_end, data=data)
    assert (shown.version, shown.cipher) == ("TLSv1", "ECDHE-ECDSA-AES128-SHA")
    assert "SIP/2.0 302 Moved Temporarily" in shown.text


def test_ciphers(run_daemon: Run, loop: str, tls: Section, ca_file: Path, front_end: Leaf) -> None:
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(ciphers="ECDHE+CHACHA20"))
    to = daemon.address("tls")
    for offered, agreed in (
        ("ECDHE+CHACHA20:ECDHE+AESGCM", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("ECDHE+AESGCM", ""),
    ):
        shown = s_client(to, ca_file, "-tls1_2", "-cipher", offered, leaf=front_end, data=b"Q\n")
        assert shown.cipher == agreed, shown.text
    daemon.event("tls_handshake_failed", why="no cipher in common; old peers need tls.ciphers")


# -- who is let in -------------------------------------------------------------------------------


def test_the_named_front_end(daemon: Daemon, context: ssl.SSLContext) -> None:
    with talk_tls(address(daemon, DEFAULT), context) as client:
        client.send(request(via="SIP/2.0/TLS fe01.contoso.com:5061;branch=z9hG4bK{n};rport"))
        answer = client.receive()
    assert answer.status == 302
    assert f";rport={client.port};received=127.0.0.1" in answer["Via"]


def test_a_stranger(daemon: Daemon, ca_file: Path, stranger: Leaf) -> None:
    """A good certificate with other names: refused, logged with them, and not served a bit."""
    refused(daemon, DEFAULT, client_context(ca_file, stranger), "stranger")
    line = daemon.event("peer_refused")
    assert line["why"] == (
        "its certificate names other.contoso.com; tls.allowed_peers has none of these"
    )


def refused(daemon: Daemon, number: int, context: ssl.SSLContext, call_id: str) -> None:
    """No answer, also for a request that comes right behind the handshake."""
    with talk_tls(address(daemon, number), context) as client:
        with suppress(OSError):  # closed that soon
            client.send(request(call_id=call_id) * 3)
        assert client.rest().removesuffix(b"<reset>").removesuffix(b"<alert>") == b""
    assert call_id not in daemon.log_text


@pytest.mark.parametrize("number", [DEFAULT, OPTIONAL])
def test_a_uri_outranks_a_dns_name(daemon: Daemon, authority: Authority, number: int) -> None:
    """RFC 5922 §7.1: who has a sip: URI is that domain, whatever host it is."""
    leaf = authority.issue(FRONT_END, uris=["sip:fabrikam.com"], file="uri")
    refused(daemon, number, client_context(authority.file, leaf), "outranked")
    daemon.event(
        "peer_refused",
        why="its certificate names fabrikam.com; tls.allowed_peers has none of these",
    )


@pytest.mark.parametrize(
    ("number", "certificate", "anyone", "trusted"),
    [
        (DEFAULT, "front_end", 302, 302),
        (OLD_PEERS, "front_end", 302, 302),
        (OPTIONAL, "front_end", 302, 302),
        (OPTIONAL, None, 302, 403),
        (UNVERIFIED, "front_end", 302, 403),
        (UNVERIFIED, "stranger", 302, 403),
        (UNVERIFIED, None, 302, 403),
    ],
)
def test_who_is_trusted(
    daemon: Daemon,
    ca_file: Path,
    request: pytest.FixtureRequest,
    number: int,
    certificate: str | None,
    anyone: int,
    trusted: int,
) -> None:
    """A name of `allowed_peers` that a certificate has proved, and nothing less."""
    leaf = None if certificate is None else request.getfixturevalue(certificate)
    context = client_context(ca_file, leaf)
    assert status(daemon, number, context, "sip:ocschat@contoso.com") == anyone
    assert status(daemon, number, context, TRUSTED_ONLY) == trusted


def test_a_good_stranger_where_certificates_are_optional(
    daemon: Daemon, ca_file: Path, stranger: Leaf
) -> None:
    """Showing none is better than showing another's."""
    refused(daemon, OPTIONAL, client_context(ca_file, stranger), "optional-stranger")


def test_403_comes_after_404_and_before_405(daemon: Daemon) -> None:
    """The order of the table of answers, over TCP, where nobody is trusted here."""
    with talk("tcp", daemon.address("tcp")) as client:
        for method, uri, wanted in (
            ("INVITE", "sip:nobody@contoso.com", 404),
            ("INVITE", TRUSTED_ONLY, 403),
            ("OPTIONS", TRUSTED_ONLY, 403),
            ("CANCEL", TRUSTED_ONLY, 200),
            ("INVITE", "sip:ocschat@contoso.com", 302),
        ):
            answer = ask(client, request(method, uri))
            assert answer is not None
            assert answer.status == wanted
            if wanted == 403:
                assert answer.reason == "Forbidden"


def test_trusted_by_address(run_daemon: Run, loop: str) -> None:
    """`trusted_peers` and `allowed_peers` are one notion."""
    daemon = run_daemon(
        loop=loop,
        trusted_peers=["127.0.0.2"],
        endpoints=[endpoint(TRUSTED_ONLY, peers="trusted", methods=["INVITE"])],
    )
    for transport in ("udp", "tcp"):
        for bind, method, wanted in (
            ("127.0.0.2", "INVITE", 302),
            ("127.0.0.2", "MESSAGE", 405),
            ("127.0.0.1", "INVITE", 403),
            ("127.0.0.1", "MESSAGE", 403),
        ):
            with talk(transport, daemon.address(transport), bind) as client:
                client.send(request(method, TRUSTED_ONLY))
                assert client.receive().status == wanted


SERVER_ONLY = ExtendedKeyUsageOID.SERVER_AUTH
SIP_DOMAIN = ObjectIdentifier("1.3.6.1.5.5.7.3.20")  # RFC 5924


@pytest.mark.parametrize("usage", [SERVER_ONLY, SIP_DOMAIN])
def test_a_client_with_a_servers_certificate(
    run_daemon: Run, loop: str, tls: Section, authority: Authority, usage: ObjectIdentifier
) -> None:
    """As Lync's front ends have them: refused with a hint, and let in where that is allowed."""
    leaf = authority.issue(FRONT_END, file="purpose", usages=[usage])
    context = client_context(authority.file, leaf)
    strict, lenient = "tls://127.0.0.1:0", "tls://127.0.0.2:0"
    section = tls(listeners={lenient: {"any_purpose": True}})
    daemon = run_daemon(loop=loop, listen=[strict, lenient], tls=section)
    refused(daemon, 0, context, "for-servers-only")
    line = daemon.event("tls_handshake_failed")
    assert "unsuitable certificate purpose; tls.any_purpose takes" in line["why"]
    assert status(daemon, 1, context, "sip:ocschat@contoso.com") == 302


def test_without_an_authority_key_identifier(
    run_daemon: Run, loop: str, tls: Section, authority: Authority
) -> None:
    """As makeshift authorities issue them. Python 3.13 refuses them by default: no Python here."""
    server = authority.issue(SERVER, file="server-without", key_identifier=False)
    leaf = authority.issue(FRONT_END, file="client-without", key_identifier=False)
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(**server.files))
    context = client_context(authority.file, leaf)
    assert status(daemon, 0, context, "sip:ocschat@contoso.com") == 302


def test_any_purpose_is_no_authority(
    run_daemon: Run, loop: str, tls: Section, authority: Authority
) -> None:
    """With it, who has a certificate still can't issue one."""
    chain = authority.issue_by_a_leaf(FRONT_END)
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(any_purpose=True, allowed_peers=None))
    refused(daemon, 0, client_context(authority.file, chain), "by-an-impostor")
    line = daemon.event("tls_handshake_failed")
    assert "the peer's certificate was refused: invalid CA certificate" in line["why"]


# -- connections ---------------------------------------------------------------------------------


def test_many_requests_on_one_connection(daemon: Daemon, context: ssl.SSLContext) -> None:
    many = 500
    with talk_tls(address(daemon, DEFAULT), context) as client:
        client.send(b"".join(request(call_id=str(i)) for i in range(many)))
        assert [client.receive()["Call-ID"] for _ in range(many)] == list(map(str, range(many)))


@pytest.mark.parametrize("ending", ["close_notify", "FIN"])
def test_half_closed_connections_get_their_answers(
    daemon: Daemon, context: ssl.SSLContext, ending: str
) -> None:
    """A peer that says it sends no more, by TLS or by TCP, still reads."""
    for count in (1, 40):
        with HalfClosed(address(daemon, DEFAULT), context) as client:
            client.send(b"".join(request() for _ in range(count)))
            if ending == "FIN":
                client.finish()
            else:
                client.close_notify()
            data = client.rest()
        answers = [read_answer(each + b"\r\n\r\n") for each in data.split(b"\r\n\r\n")[:-1]]
        assert [each.status for each in answers] == [302] * count


def test_keep_alive(daemon: Daemon, context: ssl.SSLContext) -> None:
    """RFC 5626 §3.5.1: CRLF CRLF gets CRLF, over TLS as well."""
    with talk_tls(address(daemon, DEFAULT), context) as client:
        client.send(b"\r\n\r\n")
        assert client.socket.recv(2) == b"\r\n"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_keep_alives_of_our_own(
    run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext, transport: str
) -> None:
    """To a silent peer again and again; one that never says anything is given up all the same."""
    daemon = run_daemon(
        loop=loop,
        listen=[TLS, "tcp://127.0.0.1:0"],
        tls=tls(),
        limits={"keepalive": 0.2, "idle_timeout": 1.5},
    )
    to = daemon.address(transport)
    with talk_tls(to, context) if transport == "tls" else talk("tcp", to) as client:
        ends = time.monotonic() + 2.0
        while time.monotonic() < ends:  # longer than idle_timeout: the pong is a sign of life
            data = client.socket.recv(100)
            # several pings, for who was held up; two pongs in a row look like one, and are answered
            assert data
            assert not data.replace(b"\r\n", b"")
            client.send(b"\r\n")
        client.send(request())
        data = b""
        while not data.endswith(b"Content-Length: 0\r\n\r\n"):
            data += client.socket.recv(1000)
        assert data.lstrip().startswith(b"SIP/2.0 302 ")
        rest = client.rest()
        assert rest
        assert not rest.replace(b"\r\n\r\n", b"")
    daemon.event("connection_closed", reason="idle")


# -- start and reload ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"private_key": "nowhere.key"}, "nowhere.key: no such file or directory"),
        ({"ca": "nowhere.pem"}, "nowhere.pem: no such file or directory"),
        ({"ciphers": "NONSENSE"}, 'ciphers "NONSENSE" select nothing'),
    ],
)
def test_files_that_cant_be_used_at_start(
    run_daemon: Run, loop: str, tls: Section, keys: dict[str, str], says: str
) -> None:
    """Exit status 78 and one line, before anything listens."""
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(**keys), wait=False)
    assert daemon.process.wait(30) == 78
    assert says in daemon.log_text
    assert not daemon.events("started")


def test_reload(
    run_daemon: Run,
    loop: str,
    tls: Section,
    context: ssl.SSLContext,
    ca_file: Path,
    stranger: Leaf,
) -> None:
    """Files that can't be used refuse it as a whole; whom new rules don't let in is let go."""
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(), trusted_peers=[])
    good = yaml.safe_load(daemon.config.read_text())

    def reload(event: str, **keys: Any) -> None:
        seen = len(daemon.events(event))
        daemon.config.write_text(yaml.safe_dump(good | keys))
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: len(daemon.events(event)) > seen, event)

    to = daemon.address("tls")
    with talk_tls(to, context) as old:
        reload("reload_refused", tls=tls(certificate="nowhere.pem"), endpoints=[])
        assert "nowhere.pem" in daemon.event("reload_refused")["why"]
        old.send(request())
        assert old.receive().status == 302  # the endpoints are there as well
        reload("configuration_changed", tls=tls(minimum_version="TLSv1.3"))
        old.send(request())
        assert old.receive().status == 302
        reload("configuration_changed", tls=tls(allowed_peers=["other.contoso.com"]))
        assert old.rest() == b""
    with talk_tls(to, client_context(ca_file, stranger)) as client:
        client.send(request())
        assert client.receive().status == 302
        assert client.socket.version() == "TLSv1.3"
    daemon.event("peer_refused")


def test_without_uvloop_start_says_what_it_costs(run_daemon: Run, loop: str, tls: Section) -> None:
    """An idle TLS connection takes ten times the memory with asyncio's own loop."""
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls())
    assert len(daemon.events("no_uvloop")) == (loop == "asyncio")


class HalfClosed:
    """A client that can end its own direction alone, which `SSLSocket` can't."""

    def __init__(self, to: tuple[str, int], context: ssl.SSLContext) -> None:
        self._socket = socket.create_connection(to, 30)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="sip.contoso.com")
        self._until_done(self._tls.do_handshake)

    def __enter__(self) -> "HalfClosed":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def finish(self) -> None:
        """No more octets from us, without a word by TLS."""
        self._socket.shutdown(socket.SHUT_WR)

    def close_notify(self) -> None:
        """RFC 8446 §6.1: we send no more; reading goes on."""
        with suppress(ssl.SSLWantReadError):  # which it says when it has sent its own
            self._tls.unwrap()
        self._flush()

    def rest(self) -> bytes:
        """All that comes until the other side says that it sends no more."""
        data = b""
        while True:
            try:
                data += self._tls.read(65536)
            except ssl.SSLWantReadError:
                more = self._socket.recv(65536)
                if not more:
                    return data
                self._in.write(more)
            except ssl.SSLZeroReturnError:
                return data

    def _flush(self) -> None:
        self._socket.sendall(self._out.read())

    def _until_done(self, step: Callable[[], None]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._flush()
                self._in.write(self._socket.recv(65536))
                continue
            self._flush()
            return
