"""Connections that end in every way, in every order: others are answered in time, and once."""

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable

import pytest

from tests.attack.extent import extent
from tests.ports import free_port
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
    assert longest < STALL
    assert daemon.stop() == 0
