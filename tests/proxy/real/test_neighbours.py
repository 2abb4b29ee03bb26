"""Strangers, also at a trusted peer's address, and other trusted peers, on real connections."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lookup.peer import Peer
from tests.proxy.real.dialog import answer, branch, hosts, pool, proxied
from tests.service.daemon import Daemon
from tests.service.fixtures import Run
from tests.tls.authority import Authority
from tests.tls.client import SERVER, client_context

FRONT_END, OTHER = "fe01.contoso.com", "fe02.contoso.com"
LISTEN = ["tls://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"]
QUIET = 0.3  # seconds


@pytest.fixture
def daemon_of(run_daemon: Run, tls: Callable[..., dict[str, Any]]) -> Callable[[int], Daemon]:
    """A daemon that trusts two certificates and no address."""

    def run(port: int) -> Daemon:
        return run_daemon(
            listen=LISTEN,
            endpoints=[proxied(port)],
            dns=hosts(),
            trusted_peers=[],
            tls=tls(allowed_peers=[FRONT_END, OTHER]),
        )

    return run


@contextlib.contextmanager
def over_tls(daemon: Daemon, context: ssl.SSLContext, host: str = "127.0.0.1") -> Iterator[Peer]:
    plain = socket.create_connection(daemon.address("tls"), 30, (host, 0))
    with Peer("tls", ("", 0), accepted=context.wrap_socket(plain, server_hostname=SERVER)) as peer:
        yield peer


def write(method: str, call_id: str, via: str, to: str = "") -> bytes:
    return (
        f"{method} sip:ocschat@contoso.com SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>{to}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <sip:a@127.0.0.1:9>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def quiet(peer: Peer) -> bool:
    """Whether nothing comes."""
    peer.socket.settimeout(QUIET)
    try:
        return not peer.socket.recv(65536)
    except TimeoutError:
        return True
    finally:
        peer.socket.settimeout(30)


def test_whose_a_pending_request_is(
    daemon_of: Callable[[int], Daemon], authority: Authority, context: ssl.SSLContext
) -> None:
    """RFC 3261 §9.2, §17.2.1, §18.2.2: only its sender repeats, confirms and cancels an INVITE.

    Nobody but the pool answers it, and its sender's next connection goes on.
    """
    theirs = client_context(authority.file, authority.issue(OTHER, file="other-front-end"))
    with pool() as made, contextlib.ExitStack() as stack:
        daemon = daemon_of(made.port)
        other = stack.enter_context(over_tls(daemon, theirs, "127.0.0.9"))
        neighbours = [stack.enter_context(Peer(t, daemon.address(t))) for t in ("tcp", "udp")]
        call_id, via = branch(), f"SIP/2.0/TLS 127.0.0.1:9;branch={branch()};rport"
        invite, cancel = write("INVITE", call_id, via), write("CANCEL", call_id, via)
        with over_tls(daemon, context) as caller:
            caller.send(invite)
            member = made.accept()
            got = member.receive()
            member.send(answer(got, "180 Ringing"))
            assert [caller.receive().status for _ in range(2)] == [100, 180]
            for peer, refusal in ((other, 482), *((each, 403) for each in neighbours)):
                peer.send(invite)
                peer.send(cancel)
                assert [peer.receive().status for _ in range(2)] == [refusal, 481]
                peer.send(answer(got, "486 Busy Here"))
                if peer is not other:  # whose ACK goes on to the pool, as a message of its own
                    peer.send(write("ACK", call_id, via, ";tag=FE123"))
                assert quiet(peer)
            assert quiet(caller)
            assert quiet(member)
        with over_tls(daemon, context, "127.0.0.5") as caller:  # the same name speaks for it
            caller.send(invite)
            assert caller.receive().status == 180
            caller.send(cancel)
            assert caller.receive().kind == "200 CANCEL"
            assert member.receive().kind == "CANCEL"
            member.send(answer(got, "487 Request Terminated"))
            assert caller.receive().kind == "487 INVITE"
            for peer, refusal in ((other, 482), *((each, 403) for each in neighbours)):
                peer.send(invite)
                assert peer.receive().status == refusal
