"""Names for flows, short enough for a token in a Record-Route (RFC 5626 §5.2).

A connection's name is a number that no other connection ever has, in this process or, by all
likelihood, in the one after it; a name of UDP says both ends, since there is nothing to remember.
Who uses a name has to see to it that nobody else can make one up.
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address

import structlog

from chatredirect.sip.flow import Flow
from chatredirect.transport.flow import DatagramFlow, StreamFlow
from chatredirect.transport.udp_sender import UdpSender

log = structlog.get_logger()

_NUMBER = 8  # octets
_WRAP = 1 << 8 * _NUMBER
_UDP4, _UDP6 = b"4", b"6"
_LENGTHS = {_UDP4: 13, _UDP6: 37}


class FlowTable:
    """All flows that have a name.

    Attributes:
        on_lost: is told of each connection with a name that is gone.
    """

    __slots__ = ("_by_name", "_next", "_udp_sender", "on_lost")

    def __init__(self, first: int, udp_sender: UdpSender) -> None:
        """Begin.

        Args:
            first: the first number, 64 random bits.
            udp_sender: finds the socket of a flow over UDP.
        """
        self._next = first % _WRAP
        self._udp_sender = udp_sender
        self._by_name: dict[bytes, StreamFlow] = {}
        self.on_lost: Callable[[Flow], None] = _nobody_cares

    def __len__(self) -> int:
        """How many connections have a name."""
        return len(self._by_name)

    def name(self, flow: Flow) -> bytes:
        """The name of a flow, the same whenever it is asked: 8 octets, with UDP 13 or 37."""
        if isinstance(flow, StreamFlow):
            if not flow.name:
                name = self._next.to_bytes(_NUMBER, "big")
                self._next = (self._next + 1) % _WRAP
                flow.named(name, self._over)
                if flow.open:  # else nobody will ever say that it is over
                    self._by_name[name] = flow
            return flow.name
        if isinstance(flow, DatagramFlow):
            if not flow.flow_name:
                flow.flow_name = _both_ends(flow)
            return flow.flow_name
        return _both_ends(flow)

    def find(self, name: bytes) -> Flow | None:
        """The flow of a name; None if it is gone, or the name is none."""
        if len(name) == _NUMBER:
            return self._by_name.get(name)
        if _LENGTHS.get(name[:1]) != len(name):
            return None
        family = socket.AF_INET if name[:1] == _UDP4 else socket.AF_INET6
        half = 5 + (len(name) - 5) // 2
        own = socket.inet_ntop(family, name[5:half]), int.from_bytes(name[1:3], "big")
        peer = socket.inet_ntop(family, name[half:]), int.from_bytes(name[3:5], "big")
        return self._udp_sender.between(own, peer)

    def _over(self, flow: StreamFlow) -> None:
        if self._by_name.pop(flow.name, None) is not None:
            try:
                self.on_lost(flow)
            except Exception:  # the connection has still more to tidy up
                log.exception("lost_flow_not_told", peer=flow.peer_host)


def _both_ends(flow: Flow) -> bytes:
    own, peer = ip_address(flow.host), ip_address(flow.peer_host)  # of one family
    kind = _UDP4 if own.version == 4 else _UDP6
    ports = flow.port.to_bytes(2, "big") + flow.peer_port.to_bytes(2, "big")
    return kind + ports + own.packed + peer.packed


def _nobody_cares(flow: Flow) -> None:
    """Nobody is told."""
