"""A stream listener and its connections: framing, keep-alive, and patience with limits.

A connection may carry thousands of users' requests for days, or be somebody who opens it
and says nothing, sends half a message, or never reads its answers. The first is
served at once and costs no timer for a message; the others are closed after the limits' seconds,
and until then they hold a bounded amount of memory.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import structlog

from chatredirect.log import RateLimited
from chatredirect.sip.flow import Flow, Reach, peer_text
from chatredirect.sip.framing import PING, Event, FramingFault, StreamFramer
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import Source
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.admission import Admission
from chatredirect.transport.datagrams import plain_host
from chatredirect.transport.flow import StreamFlow
from chatredirect.transport.secure import Refused, Security, explain

log = structlog.get_logger()

#: Takes a framed event, where it came from, on what, and a way to get back there later; gives the
#: answer or None.
Answerer = Callable[[Event, Source, str, Reach], bytes | None]
#: Makes a source of an address, a port, and whether a certificate has proved who it is.
SourceMaker = Callable[[str, int, bool], Source]

_LINGER = 1.0  # seconds that what follows a framing fault is passed over
_BACKLOG = 1024
_QUIET = 60.0  # seconds between two log lines about one peer
_TLS_RECORD = b"\x16\x03"  # how a TLS handshake begins (RFC 8446 §5.1), and no SIP message does
#: What is said of connections that we end for the peer's sake.
_ENDINGS = {
    "idle": "nothing came for limits.idle_timeout",
    "half_sent": "a message wasn't complete within limits.message_timeout",
    "not_reading": "it left answers unread for limits.write_timeout",
    "tls_here": "it speaks TLS, and this listener doesn't",
}


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """How long a peer may take, in seconds.

    Attributes:
        idle: without a message before a connection is closed.
        message: from a message's first octet to its last.
        write: that answers may wait for the peer to read.
        handshake: for a TLS handshake.
        keepalive: of silence, after which we send a keep-alive of our own; None for never.
    """

    idle: float
    message: float
    write: float
    handshake: float
    keepalive: float | None = None


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections, with TLS or without.

    Attributes:
        answer: answers an event.
        source: makes a source of what is known of a peer.
        message_limits: bounds on a message; connections that are open keep theirs.
        timeouts: how long a peer may take.
        admission: bounds on connections, of all listeners together.
        loop: where it runs.
        security: TLS, or None without it.
        closed: connections that we ended, by reason.
        failures: events whose handling raised; a fault of ours, and the log has it.
    """

    answer: Answerer
    source: SourceMaker
    message_limits: Limits
    timeouts: StreamTimeouts
    admission: Admission
    loop: asyncio.AbstractEventLoop
    security: Security | None = None
    failures: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    _acceptor: Acceptor | None = None
    _connections: set["StreamConnection"] = field(default_factory=set)
    _beginning: set[asyncio.Task[None]] = field(default_factory=set)
    _all_gone: asyncio.Future[None] | None = None
    _limited: RateLimited | None = None

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return "tcp" if self.security is None else "tls"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._limited = RateLimited(_QUIET, self.loop.time)
        self._acceptor = Acceptor(sock, self._accept, self.loop, _BACKLOG)

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()

    async def close(self) -> None:
        """Close everything; answers that have been written still reach their peers."""
        self.stop_accepting()
        for task in self._beginning:
            task.cancel()
        for connection in list(self._connections):
            connection.close("shutdown")
        if self._connections:
            self._all_gone = self.loop.create_future()
            await asyncio.wait((self._all_gone,), timeout=self.timeouts.write)
        for connection in list(self._connections):
            connection.abort("shutdown")

    # -- beginning ----------------------------------------------------------------------------

    def _accept(self, sock: socket.socket, address: tuple[str | int, ...]) -> None:
        host, port = plain_host(str(address[0])), int(address[1])
        refused = self.admission.enter(host)
        if refused is None and self.security is not None:
            refused = self.admission.handshake(host)
            if refused is not None:
                self.admission.leave(host)
        if refused is not None:
            sock.close()
            self.tell("connection_refused", host, port, why=f"limits.{refused} is reached")
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = StreamConnection(self, host, port)
        task = self.loop.create_task(self._begin(connection, sock, host, port))
        self._beginning.add(task)
        task.add_done_callback(partial(self._began, connection, sock, host))

    def _began(
        self,
        connection: "StreamConnection",
        sock: socket.socket,
        host: str,
        task: asyncio.Task[None],
    ) -> None:
        """Give everything back if nothing came of it: a task may be cancelled before it starts."""
        self._beginning.discard(task)
        if not connection.begun:
            sock.close()
            self.admission.leave(host)

    async def _begin(
        self, connection: "StreamConnection", sock: socket.socket, host: str, port: int
    ) -> None:
        """From an accepted socket to a connection, through a handshake if there is TLS."""
        security = self.security
        try:
            if security is None:
                await self.loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self.loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=security.context,
                    ssl_handshake_timeout=self.timeouts.handshake,
                    # for a peer that never answers our goodbye (close_notify, RFC 8446 §6.1)
                    ssl_shutdown_timeout=self.timeouts.write,
                )
        # TimeoutError and SSLError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError, asyncio.CancelledError) as error:
            if security is not None and not isinstance(error, asyncio.CancelledError):
                self.ended("handshake")
                # who only looks whether the port is open, as load balancers do, did nothing wrong
                level = "info" if isinstance(error, ConnectionResetError) else "warning"
                self.tell("tls_handshake_failed", host, port, level, why=explain(error))

    def serve(
        self,
        answer: Answerer,
        source: SourceMaker,
        message_limits: Limits,
        timeouts: StreamTimeouts,
        security: Security | None,
    ) -> None:
        """Serve by other rules from now on, also those whose connections are open.

        A certificate isn't asked for again; but a peer that the new rules would not let in by the
        one that it has shown is let in no longer.
        """
        let_in_anew = (self.security and self.security.profile) != (security and security.profile)
        self.answer, self.source, self.security = answer, source, security
        self.message_limits, self.timeouts = message_limits, timeouts
        for connection in list(self._connections):
            if not let_in_anew or connection.admit():
                connection.look_at_peer()
                connection.be_patient_anew()

    # -- what connections need ----------------------------------------------------------------

    def opened(self, connection: "StreamConnection") -> None:
        """Remember an open connection."""
        self._connections.add(connection)

    def gone(self, connection: "StreamConnection", host: str) -> None:
        """Forget a connection, and give its place back."""
        self._connections.discard(connection)
        self.admission.leave(host)
        if self._all_gone is not None and not self._connections and not self._all_gone.done():
            self._all_gone.set_result(None)

    def ended(self, reason: str) -> None:
        """Count a connection that we end."""
        self.closed[reason] = self.closed.get(reason, 0) + 1

    def tell(
        self, event: str, host: str, port: int, level: str = "warning", **fields: object
    ) -> None:
        """Log a fault of a peer, once in a while for each address and fault."""
        key = (event, host, *fields.values())
        suppressed = self._limited.hit(key) if self._limited is not None else 0
        if suppressed is not None:
            peer = peer_text(self.transport, host, port)
            write = log.info if level == "info" else log.warning
            write(event, peer=peer, suppressed=suppressed, **fields)


class StreamConnection(asyncio.Protocol):
    """One connection of a `StreamListener`."""

    __slots__ = (
        "_active", "_ended", "_flow", "_framer", "_half_sent", "_host", "_idle", "_listener",
        "_port", "_source", "_transport", "_unread", "_verified", "begun",
    )  # fmt: skip

    def __init__(self, listener: StreamListener, host: str, port: int) -> None:
        """Belong to a listener; nothing happens before `connection_made`."""
        self._listener = listener
        self._host = host
        self._port = port
        self._framer = StreamFramer(listener.message_limits)
        self._source = Source(b"", 0)
        self._flow: StreamFlow | None = None
        self._transport: asyncio.Transport | None = None
        self._active = 0.0  # when the peer last sent something, by the loop's clock
        self._idle: asyncio.TimerHandle | None = None
        self._half_sent: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._verified = False
        self._ended = False  # we have said why we end it
        self.begun = False

    # -- what the event loop calls ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, after the handshake if there is one; end at once if the peer isn't welcome."""
        stream = cast(asyncio.Transport, transport)
        listener = self._listener
        self.begun = True
        self._transport = stream
        listener.opened(self)
        if self.admit():
            self.look_at_peer()
            self._active = listener.loop.time()
            self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete with these bytes, all answers in one write."""
        if self._ended:
            return  # nothing that follows a framing fault is a message
        listener = self._listener
        self._active = listener.loop.time()
        events = self._framer.feed(data)
        if not events and self._half_sent is None and data.startswith(_TLS_RECORD):
            self.close("tls_here")
            return
        answers: list[bytes] = []
        broken: FramingFault | None = None
        for event in events:
            if isinstance(event, FramingFault):
                broken = event
            try:
                answer = listener.answer(event, self._source, listener.transport, self)
            except Exception:  # one message must not end the others' connection, whatever it is
                listener.failures += 1
                log.exception("message_failed", peer=self._peer())
                continue
            if answer is not None:
                answers.append(answer)
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))
        if broken is not None:
            tls_here = data.startswith(_TLS_RECORD)
            self._hang_up("tls_here" if tls_here else "framing", str(broken.error))
        else:
            self._watch_message(bool(events))

    def eof_received(self) -> bool:
        """The peer sends no more; False closes our side once its answers are written."""
        self._end_in_time()
        return False

    def pause_writing(self) -> None:
        """The peer doesn't read: take nothing more from it, and not for ever."""
        if self._transport is not None and self._unread is None:
            self._transport.pause_reading()
            self._end_in_time()

    def resume_writing(self) -> None:
        """The peer reads again; being closed, it has got its time and no more."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        if isinstance(exc, ssl.SSLError):
            why = explain(exc)
            self._listener.tell("tls_connection_failed", self._host, self._port, why=why)
        for timer in (self._idle, self._half_sent, self._unread):
            if timer is not None:
                timer.cancel()
        self._listener.gone(self, self._host)
        self._transport = None
        if self._flow is not None:
            self._flow.end()

    def admit(self) -> bool:
        """Ask whether the names in its certificate let the peer in; end the connection if not."""
        security = self._listener.security
        if security is None or self._transport is None:
            return True
        try:
            self._verified = security.admit(self._transport.get_extra_info("ssl_object"))
        except Refused as refused:
            self._listener.tell("peer_refused", self._host, self._port, why=str(refused))
            self.abort("peer_refused")
            return False
        return True

    def look_at_peer(self) -> None:
        """Ask who the peer is, by the rule that holds now."""
        self._source = self._listener.source(self._host, self._port, self._verified)

    def be_patient_anew(self) -> None:
        """Wait for the peer as long as the timeouts say now."""
        if self._idle is not None and self._transport is not None:
            self._idle.cancel()
            self._watch_idle()

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return self._listener.transport

    def flow(self, port: int) -> Flow:
        """The way back: this connection, whatever the port."""
        if self._flow is None:
            own = ("", 0)
            if self._transport is not None:
                own = self._transport.get_extra_info("sockname")[:2]
            host, port = plain_host(own[0]), own[1]
            self._flow = StreamFlow(self.transport, host, port, self._transport)
        return self._flow

    # -- ending it ----------------------------------------------------------------------------

    def close(self, reason: str, why: str = "") -> None:
        """Close it once what has been written is sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._tell_end(reason, why)
            self._transport.close()
            self._end_in_time()

    def _hang_up(self, reason: str, why: str) -> None:
        """Say that nothing more comes, and pass over for a moment what the peer still sends.

        Closing a socket with octets unread resets the connection (RFC 1122 §4.2.2.13), and the
        reset may overtake the answer that says what was wrong.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not transport.can_write_eof():  # over TLS there is no half of a connection to close
            self.close(reason, why)
            return
        self._tell_end(reason, why)
        transport.write_eof()
        if self._half_sent is not None:
            self._half_sent.cancel()
        self._half_sent = self._listener.loop.call_later(_LINGER, self.close, reason)

    def abort(self, reason: str) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._tell_end(reason)
            self._transport.abort()

    def _tell_end(self, reason: str, why: str = "") -> None:
        """Count why we end it, and say so; a goodbye that isn't read is no second end."""
        if self._ended:
            return
        self._ended = True
        self._listener.ended(reason)
        why = why or _ENDINGS.get(reason, "")
        if why:
            level = "info" if reason == "idle" else "warning"  # nothing is wrong with silence
            fields = {"reason": reason, "why": why}
            self._listener.tell("connection_closed", self._host, self._port, level, **fields)

    def _end_in_time(self) -> None:
        """What waits for the peer to read it doesn't wait for ever."""
        if self._unread is None:
            listener = self._listener
            self._unread = listener.loop.call_later(
                listener.timeouts.write, self.abort, "not_reading"
            )

    # -- timers -------------------------------------------------------------------------------

    def _watch_idle(self) -> None:
        """One timer for all messages: it looks whether there was one, and goes on if so."""
        loop, timeouts = self._listener.loop, self._listener.timeouts
        silent = loop.time() - self._active
        left = timeouts.idle - silent
        if left <= 0:
            self.close("idle")
            return
        keepalive = timeouts.keepalive
        if keepalive is not None:
            if silent < keepalive:
                left = min(left, keepalive - silent)
            else:
                left = min(left, keepalive)
                if self._transport is not None and self._unread is None:
                    self._transport.write(PING)
        self._idle = loop.call_later(left, self._watch_idle)

    def _watch_message(self, progress: bool) -> None:
        """A message that has begun must end in time; further octets of it gain nothing."""
        if self._framer.partial:
            if self._half_sent is not None and not progress:
                return
            if self._half_sent is not None:
                self._half_sent.cancel()
            timeout = self._listener.timeouts.message
            self._half_sent = self._listener.loop.call_later(timeout, self.close, "half_sent")
        elif self._half_sent is not None:
            self._half_sent.cancel()
            self._half_sent = None

    def _peer(self) -> str:
        return peer_text(self._listener.transport, self._host, self._port)
