"""Names of flows, short enough for a token in a Record-Route (RFC 5626 §5.2).

A connection's name is a number that no other connection of this process has and, in all
probability, none of the next process. The name of a UDP flow consists of both ends, so nothing is
stored. Whoever uses a name must sign it, since it can be guessed.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

import structlog

from chatredirect.sip.flow import Flow
from chatredirect.transport.socket_flows import DatagramFlow, StreamFlow
from chatredirect.transport.udp_sender import UdpSender

log = structlog.get_logger()

_NUMBER = 8  # octets
_WRAP = 1 << 8 * _NUMBER
_UDP4, _UDP6 = b"4", b"6"
_LENGTHS = {_UDP4: 13, _UDP6: 37}


def _ignore(flow: Flow) -> None:
    """The first `on_lost`."""


@dataclass(slots=True)
class FlowTable:
    """The flows that have a name.

    Attributes:
        next_number: of the next connection; random at first, 64 bits.
        on_lost: called with the flow of each named connection that is gone.
    """

    next_number: int
    udp_sender: UdpSender
    on_lost: Callable[[Flow], None] = _ignore
    _by_name: dict[bytes, StreamFlow] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many connections have a name."""
        return len(self._by_name)

    def name(self, flow: Flow) -> bytes:
        """The name of a flow: 8 octets, for UDP 13 or 37."""
        if isinstance(flow, StreamFlow):
            if not flow.name:
                name = self.next_number.to_bytes(_NUMBER, "big")
                self.next_number = (self.next_number + 1) % _WRAP
                flow.named(name, self._over)
                if flow.open:  # else `_over` would never be called for it
                    self._by_name[name] = flow
            return flow.name
        if isinstance(flow, DatagramFlow):
            if not flow.flow_name:
                flow.flow_name = _both_ends(flow)
            return flow.flow_name
        return _both_ends(flow)

    def find(self, name: bytes) -> Flow | None:
        """The flow with a name; None if it is gone or the name is invalid."""
        if len(name) == _NUMBER:
            return self._by_name.get(name)
        if _LENGTHS.get(name[:1]) != len(name):
            return None
        family = socket.AF_INET if name[:1] == _UDP4 else socket.AF_INET6
        half = 5 + (len(name) - 5) // 2
        own = socket.inet_ntop(family, name[5:half]), int.from_bytes(name[1:3], "big")
        peer = socket.inet_ntop(family, name[half:]), int.from_bytes(name[3:5], "big")
        return self.udp_sender.between(own, peer)

    def _over(self, flow: StreamFlow) -> None:
        if self._by_name.pop(flow.name, None) is not None:
            try:
                self.on_lost(flow)
            except Exception:  # the connection must finish its cleanup
                log.exception("lost_flow_not_told", peer=flow.peer_host)


def _both_ends(flow: Flow) -> bytes:
    own, peer = ip_address(flow.host), ip_address(flow.peer_host)  # of one family
    kind = _UDP4 if own.version == 4 else _UDP6
    ports = flow.port.to_bytes(2, "big") + flow.peer_port.to_bytes(2, "big")
    return kind + ports + own.packed + peer.packed
