"""A stream listener and its connections: framing, keep-alive, and patience with limits.

A connection may carry thousands of users' requests for days, or be somebody who opens it
and says nothing, sends half a message, or never reads its answers. The first is
served at once and costs no timer for a message; the others are closed after the limits' seconds, and
until then they hold a bounded amount of memory.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import structlog

from chatredirect.sip.framing import Event, FramingFault, StreamFramer
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import Source
from chatredirect.transport.datagrams import plain_host

log = structlog.get_logger()

#: Takes a framed event, where it came from and on what; gives the answer or None.
Answerer = Callable[[Event, Source, str], bytes | None]

_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What a peer may ask of a listener.

    Attributes:
        connections: open ones, all peers together.
        connections_per_peer: open ones from one IP address.
        idle_timeout: seconds without a message before a connection is closed.
        message_timeout: seconds that a message may take from its first octet to its last.
        write_timeout: seconds that answers may wait for the peer to read.
    """

    connections: int
    connections_per_peer: int
    idle_timeout: float
    message_timeout: float
    write_timeout: float


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections.

    Attributes:
        transport: `tcp`, for logs and answers.
        answer: answers an event.
        message_limits: bounds on a message.
        limits: bounds on connections.
        refused: connections that were closed at once, being over a limit.
        closed: connections that we ended, by reason.
        failures: events whose handling raised; a fault of ours, and the log has it.
    """

    transport: str
    answer: Answerer
    message_limits: Limits
    limits: StreamLimits
    loop: asyncio.AbstractEventLoop
    refused: int = 0
    failures: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _connections: set["StreamConnection"] = field(default_factory=set)
    _by_host: dict[bytes, int] = field(default_factory=dict)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._server = await self.loop.create_server(
            lambda: StreamConnection(self), sock=sock, backlog=_BACKLOG
        )

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Close everything; answers that have been written still reach their peers."""
        self.stop_accepting()
        for connection in list(self._connections):
            connection.close("shutdown")
        deadline = self.loop.time() + self.limits.write_timeout
        while self._connections and self.loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort("shutdown")

    def admit(self, connection: "StreamConnection", source: Source) -> bool:
        """Whether a new connection may stay; it is remembered if it may."""
        from_there = self._by_host.get(source.host, 0)
        limits = self.limits
        if len(self._connections) >= limits.connections or from_there >= limits.connections_per_peer:
            self.refused += 1
            return False
        self._connections.add(connection)
        self._by_host[source.host] = from_there + 1
        return True

    def forget(self, connection: "StreamConnection", source: Source) -> None:
        """A connection is gone."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        left = self._by_host[source.host] - 1
        if left:
            self._by_host[source.host] = left
        else:
            del self._by_host[source.host]

    def ended(self, reason: str) -> None:
        """Count a connection that we end."""
        self.closed[reason] = self.closed.get(reason, 0) + 1


class StreamConnection(asyncio.Protocol):
    """One connection of a `StreamListener`."""

    __slots__ = (
        "_active", "_framer", "_half_sent", "_idle", "_listener", "_source", "_transport", "_unread",
    )  # fmt: skip

    def __init__(self, listener: StreamListener) -> None:
        """Belong to a listener; nothing happens before `connection_made`."""
        self._listener = listener
        self._framer = StreamFramer(listener.message_limits)
        self._source = Source(b"", 0)
        self._transport: asyncio.Transport | None = None
        self._active = 0.0  # when the peer last sent something, by the loop's clock
        self._idle: asyncio.TimerHandle | None = None
        self._half_sent: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # -- what the event loop calls ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end at once when there are too many."""
        stream = cast(asyncio.Transport, transport)
        peer = stream.get_extra_info("peername")
        if not peer:  # gone before it was accepted
            stream.abort()
            return
        self._source = Source(plain_host(peer[0]).encode("ascii"), peer[1])
        self._transport = stream
        listener = self._listener
        if not listener.admit(self, self._source):
            stream.abort()
            return
        sock = stream.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._active = listener.loop.time()
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete with these bytes, all answers in one write."""
        listener = self._listener
        self._active = listener.loop.time()
        events = self._framer.feed(data)
        answers: list[bytes] = []
        broken = False
        for event in events:
            broken = isinstance(event, FramingFault)
            try:
                answer = listener.answer(event, self._source, listener.transport)
            except Exception:  # one message must not end the others' connection, whatever it is
                listener.failures += 1
                log.exception("message_failed", peer=self._peer())
                continue
            if answer is not None:
                answers.append(answer)
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))
        if broken:
            self.close("framing")
        else:
            self._watch_message(bool(events))

    def eof_received(self) -> bool:
        """The peer sends no more; False closes our side once its answers are written."""
        return False

    def pause_writing(self) -> None:
        """The peer doesn't read: take nothing more from it, and not for ever."""
        if self._transport is not None and self._unread is None:
            self._transport.pause_reading()
            self._unread = self._later(self._listener.limits.write_timeout, "not_reading")

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        for timer in (self._idle, self._half_sent, self._unread):
            if timer is not None:
                timer.cancel()
        self._listener.forget(self, self._source)
        self._transport = None

    # -- ending it ----------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """Close it once what has been written is sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._listener.ended(reason)
            self._transport.close()
            if self._unread is None:
                self._unread = self._later(self._listener.limits.write_timeout, "not_reading")

    def abort(self, reason: str) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._listener.ended(reason)
            self._transport.abort()

    def _later(self, seconds: float, reason: str) -> asyncio.TimerHandle:
        return self._listener.loop.call_later(seconds, self.abort, reason)

    # -- timers -------------------------------------------------------------------------------

    def _watch_idle(self) -> None:
        """One timer for all messages: it looks whether there was one, and goes on if so."""
        loop, timeout = self._listener.loop, self._listener.limits.idle_timeout
        left = self._active + timeout - loop.time()
        if left <= 0:
            self.close("idle")
        else:
            self._idle = loop.call_later(left, self._watch_idle)

    def _watch_message(self, progress: bool) -> None:
        """A message that has begun must end in time; further octets of it gain nothing."""
        if self._framer.partial:
            if self._half_sent is not None and not progress:
                return
            if self._half_sent is not None:
                self._half_sent.cancel()
            timeout = self._listener.limits.message_timeout
            self._half_sent = self._listener.loop.call_later(timeout, self.close, "half_sent")
        elif self._half_sent is not None:
            self._half_sent.cancel()
            self._half_sent = None

    def _peer(self) -> str:
        return f"{self._listener.transport}:{self._source.host.decode('ascii')}:{self._source.port}"
