"""A connection to one target for one exchange, over UDP, TCP or TLS.

A sender needs to know one difference only: on a wire that isn't `reliable` it retransmits.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from chatredirect.client.tls import NotSecureError, Remedy, Secured, not_secure, secured
from chatredirect.net.addresses import Transport
from chatredirect.net.target import Target
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import FramingFault, StreamFramer, parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Message
from chatredirect.transport.peer_identity import Security

#: From a target: a message, or why a datagram is no message.
Received: TypeAlias = Message | SipError

_WAITING = 16
"""Datagrams that wait to be received; from a target that floods, those that follow are lost."""


class Wire(Protocol):
    """A connection to one target.

    Attributes:
        local: our own address and port on it.
        reliable: whether the transport retransmits, so that the sender must not.
        secured: what TLS has agreed on; None without TLS.
    """

    local: tuple[str, int]
    reliable: bool
    secured: Secured | None

    def send(self, data: bytes) -> None:
        """Send a message. Raises OSError."""

    async def receive(self) -> Received:
        """The next message. Raises OSError when the connection is closed or broken."""

    def close(self) -> None:
        """Close the connection."""


#: Makes a wire to a target. Raises OSError.
Connect: TypeAlias = Callable[[Target], Awaitable[Wire]]


class UdpWire(asyncio.DatagramProtocol):
    """A connected UDP socket: ICMP errors come back, other senders don't get through."""

    reliable = False

    def __init__(self) -> None:
        """Begin unconnected; see `connect`."""
        self.local = ("", 0)
        self.secured: Secured | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._received: asyncio.Queue[Received | OSError] = asyncio.Queue(maxsize=_WAITING)

    @classmethod
    async def connect(cls, target: Target) -> Wire:
        """A wire to a target. Nothing is sent yet."""
        wire = cls()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: wire, remote_addr=(target.address, target.port)
        )
        wire._transport = transport
        wire.local = transport.get_extra_info("sockname")[:2]
        return wire

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        assert self._transport is not None
        self._transport.sendto(data)

    async def receive(self) -> Received:
        """The next datagram; OSError if ICMP says that nobody listens."""
        received = await self._received.get()
        if isinstance(received, OSError):
            raise received
        return received

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Called by asyncio."""
        try:
            self._put(parse_datagram(data, DEFAULT))
        except SipError as error:
            self._put(error)

    def error_received(self, exc: Exception) -> None:
        """Called by asyncio."""
        self._put(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def _put(self, received: Received | OSError) -> None:
        if not self._received.full():
            self._received.put_nowait(received)


@dataclass(slots=True)
class StreamWire:
    """A connection of asyncio's streams, TCP or TLS."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    secured: Secured | None = None
    reliable: bool = True
    local: tuple[str, int] = field(init=False)
    _framer: StreamFramer = field(default_factory=lambda: StreamFramer(DEFAULT))
    _messages: list[Message] = field(default_factory=list)
    _broken: ConnectionError | None = None
    _heard: bool = False

    def __post_init__(self) -> None:
        """Ask for our own address."""
        self.local = self._writer.get_extra_info("sockname")[:2]

    def send(self, data: bytes) -> None:
        """Send a message; it is small, so nothing waits until it is sent."""
        self._writer.write(data)

    async def receive(self) -> Received:
        """The next message."""
        while not self._messages:
            if self._broken is not None:
                raise self._broken
            for event in self._framer.feed(await self._read()):
                if isinstance(event, FramingFault):
                    # what came whole before it still counts
                    self._broken = ConnectionError(f"sent no SIP ({event.error})")
                elif isinstance(event, Message):
                    self._messages.append(event)
        return self._messages.pop(0)

    def close(self) -> None:
        """Close the connection without waiting for the peer to do so."""
        if self.secured is not None and not self._writer.is_closing():
            self._writer.close()  # sends close_notify (RFC 8446 §6.1)
        self._writer.transport.abort()

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(4096)
        except ssl.SSLError as error:
            raise not_secure(error) from None
        except ConnectionError:
            if self.secured is None or self._heard:
                raise
            data = b""
        if not data:
            why = "closed the connection without a response"
            if self.secured is None or self._heard:
                raise ConnectionError(why)
            # in TLS 1.3 a server may refuse our certificate after the handshake
            raise NotSecureError(why, Remedy.OURS)
        self._heard = True
        return data


async def connect_tcp(target: Target) -> Wire:
    """A new TCP connection for one exchange: a ping also tests that one can be made."""
    return StreamWire(*await asyncio.open_connection(target.address, target.port))


def tls_connect(security: Callable[[], Security]) -> Connect:
    """A function that connects over TLS, with the current `security`; see `secured`."""

    async def connect(target: Target) -> Wire:
        outgoing = security()
        try:
            reader, writer = await asyncio.open_connection(
                target.address, target.port, ssl=outgoing.context, server_hostname=target.domain
            )
        except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
            raise not_secure(error) from None
        try:
            agreed = secured(writer.get_extra_info("ssl_object"), outgoing, target)
        except NotSecureError:
            writer.transport.abort()
            raise
        return StreamWire(reader, writer, agreed)

    return connect


#: Functions that connect over the transports without certificates; see `tls_connect`.
CONNECTS: Mapping[Transport, Connect] = {"udp": UdpWire.connect, "tcp": connect_tcp}
