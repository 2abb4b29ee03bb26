"""Connections that end in every way, in every order: others are answered in time, and once."""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.attack.beside import NO_STALL, RATIO, TRIES, waits
from tests.attack.extent import extent
from tests.lookup.peer import Peer
from tests.ports import free_port
from tests.proxy.real.dialog import answer, branch, proxied
from tests.service.client import Tcp, request
from tests.service.daemon import configuration, endpoint
from tests.service.fixtures import Run

Record = Callable[[str, object], None]
STALL = 2.0
VIA = "SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKbroken{n}"


def garbage(sock: socket.socket) -> None:
    """A request with what is no SIP behind it."""
    sock.sendall(request("OPTIONS", via=VIA) + b"\x00garbage\r\n\r\n")


def no_length(sock: socket.socket) -> None:
    """A request without Content-Length."""
    sock.sendall(request("OPTIONS", via=VIA).replace(b"Content-Length: 0\r\n", b"") + b"x" * 50)


def half_close(sock: socket.socket) -> None:
    """A request, and nothing will follow."""
    sock.sendall(request("OPTIONS", via=VIA))
    sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    """A request, and the answer is not wanted."""
    sock.sendall(request("OPTIONS", via=VIA))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def middle(sock: socket.socket) -> None:
    """Half of a message."""
    sock.sendall(request("OPTIONS", via=VIA)[:90])
    sock.close()


WAYS = (garbage, no_length, half_close, reset, middle)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("mode", ["redirect", "lookup", "proxy"])
def test_ends_in_every_order(
    run_daemon: Run, record_property: Record, loop: str, mode: str
) -> None:
    """RFC 3261 §18: what one connection does is no other's matter, in any mode."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    attacked = endpoint("sip:attacked@contoso.com", mode=mode, port=free_port(), transport="tcp")
    honest = endpoint("sip:ocschat@contoso.com")
    settings = configuration(
        endpoints=[honest, attacked],
        dns={"hosts": {"pcpool.contoso.com": ["127.0.0.2"]}},
        trusted_peers=["127.0.0.1"],
        loop=loop,
    )
    daemon = run_daemon(settings)
    undisturbed = waits(daemon, 40)
    chance = random.Random(14)
    client = Tcp(daemon.address("tcp"))
    left: list[socket.socket] = []
    longest = 0.0
    for _ in range(extent(60, 2000)):
        sock = socket.create_connection(daemon.address("tcp"))
        left.append(sock)
        with contextlib.suppress(OSError):
            sock.sendall(request("INVITE", "sip:attacked@contoso.com", via=VIA))
            chance.choice(WAYS)(sock)
        begun = time.monotonic()
        client.send(request())
        assert client.receive().status == 302
        longest = max(longest, time.monotonic() - begun)
        if len(left) > 20:
            left.pop(chance.randrange(len(left))).close()
    for each in left:
        each.close()
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.receive()  # nothing is answered twice
    client.close()
    record_property("figure longest wait", f"{longest * 1000:.0f} ms")
    assert longest < max(STALL, RATIO * undisturbed[-1])
    assert daemon.stop() == 0


@contextmanager
def member(host: str, broken: bool) -> Iterator[int]:
    """A pool's server over TCP: it answers as it should, or without Content-Length."""
    open_sockets: list[socket.socket] = []
    listening = socket.create_server((host, 0))

    def serve(peer: Peer) -> None:
        with contextlib.suppress(OSError, AssertionError):  # the daemon has closed it
            while True:
                data = answer(peer.receive(), "404 Not Found")
                peer.send(data.replace(b"Content-Length: 0\r\n", b"") if broken else data)

    def accept() -> None:
        with contextlib.suppress(OSError):  # it has been closed
            while True:
                sock, _ = listening.accept()
                open_sockets.append(sock)
                peer = Peer("tcp", ("", 0), accepted=sock)
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in (listening, *open_sockets):
            each.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_pool_without_content_length(run_daemon: Run, record_property: Record, loop: str) -> None:
    """RFC 3261 §18.3: its answers end its connection; callers of other pools wait for nothing."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    with member("127.0.0.1", broken=False) as good, member("127.0.0.2", broken=True) as bad:
        attacked = proxied(bad, sip_address="sip:attacked@contoso.com") | {
            "pool_fqdn": "broken.contoso.com"
        }
        hosts = {"pcpool.contoso.com": ["127.0.0.1"], "broken.contoso.com": ["127.0.0.2"]}
        daemon = run_daemon(
            endpoints=[proxied(good), attacked],
            dns={"hosts": hosts},
            trusted_peers=["127.0.0.1"],
            loop=loop,
        )
        at = daemon.address("tcp")
        with Peer("tcp", at) as honest, Peer("tcp", at) as other:
            seconds = [asked(honest, "ocschat") for _ in range(20)]
            most = max(NO_STALL[1][1], RATIO * max(seconds))
            for _ in range(TRIES):
                seconds.clear()
                for _ in range(extent(40, 400)):
                    other.send(options(other, "attacked"))
                    seconds.append(asked(honest, "ocschat"))
                if max(seconds) < most:
                    break
            honest.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                honest.receive()  # nothing is answered twice
        assert daemon.stop() == 0
    record_property("figure longest wait", f"{max(seconds) * 1000:.0f} ms")
    assert max(seconds) < most


def options(caller: Peer, user: str) -> bytes:
    """OPTIONS for an endpoint."""
    return (
        f"OPTIONS sip:{user}@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {caller.local};branch={branch()}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:{user}@contoso.com>\r\n"
        f"Call-ID: {branch()}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def asked(caller: Peer, user: str) -> float:
    """Seconds until a request is answered by its pool."""
    begun = time.monotonic()
    caller.send(options(caller, user))
    assert caller.receive().status == 404
    return time.monotonic() - begun
