"""The flows of sockets (see `chatredirect.sip.flow`), and their names.

A UDP flow consists of the peer's address and ours. A connection has one flow and ends it: a
reference to it keeps nothing alive, and sending over it fails then.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import ClassVar, TypeAlias

import structlog

from chatredirect.sip.flow import Flow, peer_text
from chatredirect.transport.mmsg import DatagramSocket

log = structlog.get_logger()

MAX_UNREAD = 262_144
"""Octets that may wait for a peer to read them; with more, nothing can be sent."""

_NUMBER = 8  # octets
_WRAP = 1 << 8 * _NUMBER
_UDP4, _UDP6 = b"4", b"6"
_LENGTHS = {_UDP4: 13, _UDP6: 37}

Address: TypeAlias = tuple[str, int]


@dataclass(slots=True)
class DatagramFlow:
    """A UDP flow, for which no certificate and no connection exists.

    Attributes:
        host: our own address.
        name: peer_host and peer_port as a raw socket address.
        control: the control message that sets our own address as the source.
        flow_name: its name in the flow table; empty until it is needed.
    """

    transport: ClassVar[str] = "udp"
    peer_names: ClassVar[tuple[str, ...]] = ()
    open: ClassVar[bool] = True

    sock: DatagramSocket
    host: str
    port: int
    peer_host: str
    peer_port: int
    name: bytes
    control: bytes
    flow_name: bytes = b""

    def send(self, data: bytes) -> bool:
        """Send a datagram; False if the socket is closed. It may be lost."""
        return self.sock.put(data, self.name, self.control)

    def hold(self) -> None:
        """Do nothing: there is no connection to keep."""

    def release(self) -> None:
        """Do nothing: there is no connection to keep."""


@dataclass(slots=True, eq=False)
class StreamFlow:
    """The flow of a connection. There is one for each, so it can be the key of a dictionary.

    Attributes:
        host: our own address or, if we opened the connection, one where the peer can reach us.
        port: our own port likewise.
        peer_names: the names that the peer's certificate has proved.
        batch: takes what is sent while the connection handles messages, to be written at once;
            None while it doesn't.
        name: its name in the flow table; empty until it is needed.
        when_over: called when the connection is gone.
        held: how many requests of the peer's are pending.
        when_free: called when no request is pending any more.
    """

    transport: str
    host: str
    port: int
    peer_host: str
    peer_port: int
    _stream: asyncio.Transport | None
    peer_names: tuple[str, ...] = ()
    batch: list[bytes] | None = None
    name: bytes = b""
    when_over: Callable[["StreamFlow"], None] | None = None
    held: int = 0
    when_free: Callable[[], object] | None = None

    @property
    def open(self) -> bool:
        """Whether a message can be sent, as far as is known."""
        return self._stream is not None and not self._stream.is_closing()

    def send(self, data: bytes) -> bool:
        """Send a message; False if the connection is closed, or its peer doesn't read."""
        stream = self._stream
        if stream is None:
            return False
        try:
            if stream.is_closing() or stream.get_write_buffer_size() > MAX_UNREAD:
                return False
            if self.batch is None:
                stream.write(data)
            else:
                self.batch.append(data)
        except Exception:  # whatever the transport raises, it can't be used any more
            log.exception(
                "write_failed", peer=peer_text(self.transport, self.peer_host, self.peer_port)
            )
            self._stream = None
            with suppress(Exception):  # so that users of the flow learn that it is gone
                stream.abort()
            return False
        return True

    def hold(self) -> None:
        """One more request of the peer's is pending."""
        self.held += 1

    def release(self) -> None:
        """A request has been answered."""
        self.held -= 1
        if not self.held and self.when_free is not None:
            self.when_free()

    def end(self) -> None:
        """Allow no more messages: the connection is gone, or about to be."""
        self._stream = None
        when_over, self.when_over = self.when_over, None
        if when_over is not None:
            when_over(self)


def _ignore(flow: Flow) -> None:
    """The first `on_lost`."""


@dataclass(slots=True)
class FlowTable:
    """The flows that have a name, short enough for a token in a Record-Route (RFC 5626 §5.2).

    A connection's name is a number that no other connection of this process has and, in all
    probability, none of the next process. The name of a UDP flow consists of both ends, so nothing
    is stored. Whoever uses a name must sign it, since it can be guessed.

    Attributes:
        next_number: of the next connection; random at first, 64 bits.
        find_udp: returns the UDP flow between our address and port and a peer's, if there is one.
        on_lost: called with the flow of each named connection that is gone.
    """

    next_number: int
    find_udp: Callable[[Address, Address], Flow | None]
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
                flow.name, flow.when_over = name, self._over
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
        return self.find_udp(own, peer)

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
