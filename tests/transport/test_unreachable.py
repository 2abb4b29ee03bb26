"""ICMP errors over loopback: they are heard, and nobody else's datagrams are lost for them."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from chatredirect.config import ListenUrl
from chatredirect.transport.binding import bind
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.peer_identity import TrustedPeers
from chatredirect.transport.udp_listener import UdpListener
from chatredirect.transport.udp_sender import UdpSender
from tests.ports import free_port
from tests.waiting import wait_until

Runner = Callable[[Coroutine[Any, Any, None]], None]
BOUND = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "127.0.0.1"}


async def beside_a_closed_port(bound: str, host: str) -> None:
    """Datagrams go to a closed and to a working port in turn, and the working one sends, too."""
    loop = asyncio.get_running_loop()
    trust = TrustedPeers(())
    came: list[bytes] = []
    told: list[tuple[str, int]] = []

    def answer(data: bytes, source: Any, return_path: Any) -> None:
        came.append(data)

    sock = DatagramSocket(bind(ListenUrl("udp", bound, 0), only_ipv6=False, receive_buffer=1 << 22))
    listener = UdpListener(sock, answer, trust, loop)
    udp_sender = UdpSender(loop, lambda: [listener], answer, trust, 1 << 20)
    udp_sender.serve(answer, trust)
    udp_sender.on_unreachable = told.extend
    peer = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    peer.bind((host, 0))
    peer.settimeout(5)
    working, closed = (
        udp_sender.to(host, peer.getsockname()[1]),
        udp_sender.to(host, free_port()),  # where nobody is
    )
    assert working is not None
    assert closed is not None
    rounds, each = 100, 31  # an odd number, so that either comes first in a batch
    try:
        for number in range(rounds):
            sock.batching = number % 2 == 0
            for _ in range(each):
                closed.send(b"to nobody")
                working.send(b"to the peer")
                peer.sendto(b"to us", (host, sock.port))
            sock.batching = False
            sock.flush()
            for _ in range(each):
                assert await loop.run_in_executor(None, peer.recv, 100) == b"to the peer"
        await wait_until(lambda: len(came) == rounds * each)
        assert set(told) == {(host, closed.peer_port)}
        told.clear()
        closed.send(b"once more, nothing else being under way")
        await wait_until(lambda: bool(told))
        await asyncio.sleep(0.05)
        peer.sendto(b"to us", (host, sock.port))  # the socket is still watched
        await wait_until(lambda: len(came) == rounds * each + 1)
        assert sock.unsent == 0
        assert listener.failures == 0
    finally:
        peer.close()
        listener.close()
        udp_sender.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("bound", BOUND)
def test_a_closed_port_costs_nobody_a_datagram(bound: str, run: Runner) -> None:
    """RFC 3261 §18.4: ICMP is heard with address and port, and fails no other system call."""
    run(beside_a_closed_port(bound, BOUND[bound]))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_socket_of_our_own_hears_it(run: Runner) -> None:
    """Where no listener gets there."""

    async def scenario() -> None:
        loop, trust = asyncio.get_running_loop(), TrustedPeers(())
        told: list[tuple[str, int]] = []
        udp_sender = UdpSender(loop, lambda: [], lambda *_: None, trust, 65536)
        udp_sender.on_unreachable = told.extend
        closed = udp_sender.to("127.0.0.1", free_port())
        assert closed is not None
        closed.send(b"to nobody")
        await wait_until(lambda: bool(told))
        assert told == [("127.0.0.1", closed.peer_port)]
        udp_sender.close()

    run(scenario())
