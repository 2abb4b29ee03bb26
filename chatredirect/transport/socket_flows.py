"""The flows of sockets: see `chatredirect.sip.flow`.

A UDP flow consists of the peer's address and ours. A connection has one flow and ends it: a
reference to it keeps nothing alive, and sending over it fails then.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import structlog

from chatredirect.sip.flow import peer_text
from chatredirect.transport.mmsg import DatagramSocket

log = structlog.get_logger()

MAX_UNREAD = 262_144
"""Octets that may wait for a peer to read them; with more, nothing can be sent."""


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
        name: its name in the flow table; empty until it is needed.
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
    name: bytes = b""
    _when_over: Callable[["StreamFlow"], None] | None = None
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
            stream.write(data)
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

    def named(self, name: bytes, when_over: Callable[["StreamFlow"], None]) -> None:
        """Take a name, and call `when_over` when the connection is gone."""
        self.name = name
        self._when_over = when_over

    def end(self) -> None:
        """Allow no more messages: the connection is gone, or about to be."""
        self._stream = None
        when_over, self._when_over = self._when_over, None
        if when_over is not None:
            when_over(self)
