"""A UDP socket in its turns."""

import asyncio
import socket
from typing import cast

from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.response import Peer
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.peer_identity import TrustedPeers
from chatredirect.transport.udp_listener import UdpListener

_SO_TIMESTAMP = 29  # asm-generic/socket.h; the socket module doesn't name it


class Loop:
    """Watches nothing: what comes is asked for."""

    def add_reader(self, *args: object) -> None:
        """Nobody is told."""

    remove_reader = add_reader


def test_at_least_one_datagram_in_each_turn() -> None:
    """Its share may be over before it begins, with a thousand connections that wait as well."""
    taken: list[bytes] = []

    def answer(data: bytes, source: Peer, return_path: ReturnPath) -> None:
        taken.append(data)

    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    loop = cast(asyncio.AbstractEventLoop, Loop())
    listener = UdpListener(DatagramSocket(sock), answer, TrustedPeers(()), loop)
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        for number in range(3):
            peer.sendto(b"%d" % number, sock.getsockname())
    for count in range(1, 4):
        listener.work(0.0, 0)
        assert taken == [b"%d" % number for number in range(count)]
    listener.close()


def test_time_stamps_of_an_inherited_socket_stop_no_response() -> None:
    """A socket with `Timestamping=` of systemd.socket(5): time stamps can't be sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
        datagrams = DatagramSocket(sock)
        peer.sendto(b"request", sock.getsockname())
        ((_, name, control),) = datagrams.receive()
        datagrams.put(b"response", name, control)
        assert datagrams.unsent == 0
        peer.settimeout(10)
        assert peer.recv(100) == b"response"
        datagrams.close()
