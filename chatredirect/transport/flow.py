"""Flows: ways back to a peer that outlive the handling of its message (RFC 5626 §3).

Over UDP a flow is two addresses, the peer's and ours; the socket sends on them as long as it is
open. Of a connection there is one flow, which the connection itself ends: whoever still
holds it keeps nothing alive, and is told that it is gone when he sends.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from chatredirect.sip.flow import peer_text
from chatredirect.transport.mmsg import DatagramSocket

log = structlog.get_logger()

MAX_UNREAD = 262_144
"""Octets that may wait for a peer to read them; one that lets more wait is given up."""


@dataclass(slots=True)
class DatagramFlow:
    """A way to somebody over UDP.

    Attributes:
        sock: what it goes out of.
        host: our own address.
        port: our own port.
        peer_host: the peer's address.
        peer_port: the peer's port.
        name: both of these, as a raw socket address.
        control: what makes a datagram leave from our own address.
        flow_name: what the flow table calls it; empty as long as nobody has asked.
    """

    sock: DatagramSocket
    host: str
    port: int
    peer_host: str
    peer_port: int
    name: bytes
    control: bytes
    flow_name: bytes = b""

    @property
    def transport(self) -> str:
        """`udp`."""
        return "udp"

    @property
    def peer_names(self) -> tuple[str, ...]:
        """None: over UDP nobody proves anything."""
        return ()

    @property
    def open(self) -> bool:
        """True: there is nothing that could be closed but the socket."""
        return True

    def send(self, data: bytes) -> bool:
        """Send one datagram; False if the socket is closed. That it arrives nobody knows."""
        return self.sock.put(data, self.name, self.control)

    def hold(self) -> None:
        """There is nothing that could be closed."""

    def release(self) -> None:
        """Nor is there afterwards."""


@dataclass(slots=True, eq=False)
class StreamFlow:
    """The way back over a connection. There is one of each, so that it may key a dictionary.

    Attributes:
        transport: `tcp` or `tls`.
        host: our own address on it, or where the peer can reach us if we have opened it.
        port: our own port there.
        peer_host: the peer's address.
        peer_port: the peer's port.
        peer_names: what its certificate has proved.
        name: what the flow table calls it; empty as long as nobody has asked.
        held: how much that the peer has asked is open.
        when_free: called when that comes to nothing.
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
    when_free: Callable[[], None] | None = None

    @property
    def open(self) -> bool:
        """Whether something can be sent, as far as is known."""
        return self._stream is not None and not self._stream.is_closing()

    def send(self, data: bytes) -> bool:
        """Send a message; False if the connection is over, or its peer doesn't read."""
        stream = self._stream
        if stream is None:
            return False
        try:
            if stream.is_closing() or stream.get_write_buffer_size() > MAX_UNREAD:
                return False
            stream.write(data)
        except Exception:  # whatever a transport raises: nothing can be sent over it any more
            log.exception(
                "write_failed", peer=peer_text(self.transport, self.peer_host, self.peer_port)
            )
            self._stream = None
            with suppress(Exception):  # so that who waits for answers over it hears that it is gone
                stream.abort()
            return False
        return True

    def hold(self) -> None:
        """Something more that the peer has asked is open."""
        self.held += 1

    def release(self) -> None:
        """It is no more."""
        self.held -= 1
        if not self.held and self.when_free is not None:
            self.when_free()

    def named(self, name: bytes, when_over: Callable[["StreamFlow"], None]) -> None:
        """Take a name, and tell whoever gave it when the connection is gone."""
        self.name = name
        self._when_over = when_over

    def end(self) -> None:
        """The connection is gone, or nothing more is to be sent over it."""
        self._stream = None
        when_over, self._when_over = self._when_over, None
        if when_over is not None:
            when_over(self)
