"""One connection, accepted or opened: framing, keep-alive and timeouts.

A connection may carry thousands of users' requests for days. It needs no timer for a message. A
peer may also be silent, send half a message, or never read its responses; then the connection is
closed after the timeout of the settings, and uses a bounded amount of memory until then.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, time
from typing import Protocol, cast

import structlog

from chatredirect.net.refusals import RefusalReason
from chatredirect.runtime.rate_limiter import SteadyRate
from chatredirect.runtime.turns import Turns, turns_of
from chatredirect.sip.flow import peer_text
from chatredirect.sip.framing import PING, Event, FramingFault, Ping, StreamFramer
from chatredirect.sip.response import Peer
from chatredirect.transport.connection_settings import ConnectionGroup
from chatredirect.transport.peer_identity import NOBODY, Identity, PeerRefused, explain
from chatredirect.transport.raw_address import plain_host
from chatredirect.transport.socket_flows import StreamFlow

log = structlog.get_logger()

_LAST_ANSWERS = 64.0  # seconds for responses to a peer that has half closed its connection
_LINGER = 1.0  # seconds in which octets after our half close are discarded
_TLS_RECORD = b"\x16\x03"  # the begin of a TLS handshake (RFC 8446 §5.1), but of no SIP message
#: Reasons for closing a connection, for people.
_ENDINGS = {
    "idle": "nothing came for limits.idle_timeout",
    "half_sent": "a message wasn't complete within limits.message_timeout",
    "not_reading": "it left answers unread for limits.write_timeout",
    "tls_here": "it speaks TLS, and this connection isn't one of TLS",
    "useless": "it sends more messages that get no answer than limits.useless_messages allows",
    "pings": "it sends more keep-alives than limits.pings allows",
}
#: Those of them that are refusals.
_REFUSED = {
    "half_sent": RefusalReason.MESSAGE_TIMEOUT,
    "not_reading": RefusalReason.WRITE_TIMEOUT,
    "tls_here": RefusalReason.TLS_HERE,
    "useless": RefusalReason.USELESS_MESSAGES,
    "pings": RefusalReason.PINGS,
}
#: The timers of a connection: for its next message, the rest of a message, and its peer to read.
_IDLE, _MESSAGE, _WRITE = "idle", "message", "write"


class Owner(Protocol):
    """What a connection belongs to: the listener that accepted it, or what opened it."""

    @property
    def group(self) -> ConnectionGroup:
        """The settings and counters of its connections."""

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """The identity that the peer has proved; `tls` is None without TLS.

        Raises:
            PeerRefused: the peer isn't allowed.
        """

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """Where the peer can open a connection to us, given our end of this connection."""

    def opened(self, connection: "StreamConnection") -> None:
        """A connection has begun."""

    def gone(self, connection: "StreamConnection") -> None:
        """A connection is closed, or never began."""


@dataclass(slots=True, eq=False, repr=False)
class StreamConnection(asyncio.Protocol):
    """A connection of an owner, which does nothing before `connection_made`.

    Attributes:
        ours: whether we open it, so that we have chosen the peer.
        begun: whether it has ever been open.
    """

    _owner: Owner
    host: str
    port: int
    ours: bool = False
    begun: bool = False
    transport: str = field(init=False)
    _group: ConnectionGroup = field(init=False)
    _framer: StreamFramer = field(init=False)
    _turns: Turns = field(init=False)
    _identity: Identity = NOBODY
    _peer: Peer = field(default=Peer(b"", 0))
    _flow: StreamFlow | None = None
    _batch: list[bytes] | None = None  # of the flow
    _transport: asyncio.Transport | None = None
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _active: float = 0.0  # when the peer last sent something, by the loop's clock
    _ended: bool = False  # we have reported why we close it
    _waiting: bool = False  # for its turn, with reading paused
    _blocked: bool = False  # the peer doesn't read what we write
    _no_more: bool = False  # the peer has half closed it
    _excess: str = ""  # what the peer sends too much of
    _useless: SteadyRate | None = None  # made when needed: most connections don't
    _pings: SteadyRate | None = None

    def __post_init__(self) -> None:
        """Take the settings of its owner."""
        self.transport = self._owner.transport
        self._group = self._owner.group
        self._framer = StreamFramer(self._group.settings.message_limits)
        self._turns = turns_of(self._group.loop)

    # -- called by the event loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, after the TLS handshake if any; close at once if the peer isn't allowed."""
        self.begun = True
        self._transport = cast(asyncio.Transport, transport)
        self._group.begun += 1
        log.debug("connection_begun", peer=self._peer_text())
        self._active = self._group.loop.time()
        self._owner.opened(self)
        self.apply_settings(check_peer=True)

    def data_received(self, data: bytes) -> None:
        """Take octets, and handle complete messages when it is our turn."""
        if not self._ended:  # nothing after a framing fault is a message
            self._active = self._group.loop.time()
            self._framer.receive(data)
        if not self._waiting and not self._blocked:
            self._take_turn()

    def eof_received(self) -> bool:
        """Handle the peer's half close; False closes our side once responses are written."""
        self._no_more = True
        if not self._waiting and self._stays():
            return True
        self._end_in_time()
        if not self._waiting or self._transport is None:
            return False
        if self._transport.can_write_eof():
            return True  # closed when everything is answered
        self._turns.finish(self)  # TLS has no half close, so it closes now
        return False

    def pause_writing(self) -> None:
        """The peer doesn't read: read nothing more from it, and start a timeout."""
        self._blocked = True
        if not (self._no_more or self._ended):  # then this timer is the connection's end
            self._cancel_timer(_MESSAGE)  # the rest of a message may be waiting to be read
        if self._transport is not None and _WRITE not in self._timers:
            self._transport.pause_reading()
            self._end_in_time()

    def resume_writing(self) -> None:
        """The peer reads again. A connection that is being closed keeps its timeout."""
        self._blocked = False
        if self._transport is None or self._transport.is_closing():
            return
        self._cancel_timer(_WRITE)
        if self._waiting:
            return  # it goes on in its turn
        self._transport.resume_reading()
        if self._framer.partial:
            self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        if isinstance(exc, ssl.SSLError):
            self.report("tls_connection_failed", why=explain(exc).why)
        if self.begun:
            log.debug("connection_over", peer=self._peer_text(), ended_here=self._ended)
        for timer in self._timers.values():
            timer.cancel()
        self._owner.gone(self)
        self._transport = None
        if self._flow is not None:
            self._flow.end()

    # -- handling messages --------------------------------------------------------------------

    def _take_turn(self) -> None:
        """Work now if there is time, else wait for a turn with reading paused."""
        if self._turns.work(self):
            self._waiting = True
            if self._transport is not None:
                self._transport.pause_reading()

    def work(self, until: float, least: int) -> bool:
        """Handle received messages; whether more are left.

        All that they lead to on this connection is sent with one write.
        """
        more = False
        if not (self._ended or self._blocked or self._transport is None):
            more = self._handle_events(self._transport, until, least)
        if not more and self._waiting:
            self._waiting = False
            if self._transport is not None and not self._blocked:
                self._transport.resume_reading()
        return more

    def _handle_events(self, transport: asyncio.Transport, until: float, least: int) -> bool:
        began = now = perf_counter()
        group, settings, framer = self._group, self._group.settings, self._framer
        batch: list[bytes] = []
        answers = 0
        progress = False
        self._set_batch(batch)
        passing_over = framer.passing_over
        event: Event | None = None
        fault: FramingFault | None = None
        while (event := framer.next_event()) is not None:
            progress = True
            if isinstance(event, FramingFault):
                fault = event
            elif isinstance(event, Ping):
                self._pings = self._count(self._pings, settings.timeouts.pings, "pings")
            try:
                answer = settings.answer(event, self._peer, self.transport, self)
            except Exception:  # one message must not end a connection that others share
                group.failures += 1
                log.exception("message_failed", peer=self._peer_text())
            else:
                if answer is not None:
                    batch.append(answer)
                    answers += 1
            now = perf_counter()
            if now >= until and framer.position >= least:
                break
        self._set_batch(None)
        if batch:
            transport.write(b"".join(batch) if len(batch) > 1 else batch[0])
        if answers:
            group.latency.observe(now - began, answers)
        if self._excess:
            group.sent_away.append((self._peer_text(), self._excess, time()))
            self.close(self._excess)
        elif fault is not None:
            tls_here = fault.error.offending.startswith(_TLS_RECORD)
            self.hang_up("tls_here" if tls_here else "framing", str(fault.error))
        elif event is not None and framer.partial:
            self._cancel_timer(_MESSAGE)  # a complete message may be waiting for its turn
            return True
        else:
            self._all_answered(progress or (passing_over and not framer.passing_over))
        return False

    def _all_answered(self, progress: bool) -> None:
        """Handle that at most the beginning of a message is left."""
        begun = _MESSAGE in self._timers
        if not self._framer.partial:
            if begun:
                self._cancel_timer(_MESSAGE)
        elif not progress and not begun and self._framer.begins_with(_TLS_RECORD):
            self.close("tls_here")
            return
        elif not self._blocked and (progress or not begun):
            # more octets of a message don't extend its timeout
            timeout = self._group.settings.timeouts.message_timeout
            self._start_timer(_MESSAGE, timeout, partial(self.close, "half_sent"))
        if self._no_more and not self._stays():
            self._close_quietly()

    def useless(self) -> None:
        """Count a useless message; too many of them for too long close the connection."""
        most = self._group.settings.timeouts.useless_messages
        self._useless = self._count(self._useless, most, "useless")

    def _count(self, rate: SteadyRate | None, most: int, reason: str) -> SteadyRate:
        rate = rate or SteadyRate()
        # the time is when a message is handled: in a flood, messages wait for seconds
        if rate.exceeded(self._group.loop.time(), most):
            self._excess = reason
        return rate

    def flow(self, port: int = 0) -> StreamFlow:
        """The way back: this connection; the port is ignored."""
        if self._flow is None:
            own = "", 0
            if self._transport is not None:
                own = self._transport.get_extra_info("sockname")[:2]
            own = self._owner.reachable(plain_host(own[0]), own[1])
            stream = None if self._ended else self._transport
            self._flow = StreamFlow(
                self.transport, *own, self.host, self.port, stream, self._identity.names
            )
            self._flow.batch = self._batch
        return self._flow

    def _set_batch(self, batch: list[bytes] | None) -> None:
        self._batch = batch
        if self._flow is not None:
            self._flow.batch = batch

    # -- the peer -----------------------------------------------------------------------------

    def apply_settings(self, *, check_peer: bool) -> None:
        """Go by the current settings; with `check_peer`, abort if the peer isn't allowed."""
        if self._transport is None:
            return
        if check_peer:
            try:
                self._identity = self._owner.admit(self._transport.get_extra_info("ssl_object"))
            except PeerRefused as refused:
                self._identity = Identity(names=refused.names)
                self.report("peer_refused", why=str(refused))
                self._refuse(refused.reason, str(refused))
                self.abort("peer_refused")
                return
        self._peer = self._group.settings.trust.peer(self.host, self.port, self._identity)
        self._framer.passes_over = self.ours or self._peer.trusted
        if self._flow is not None:
            self._flow.peer_names = self._identity.names
        self._watch_idle()

    def report(self, event: str, level: str = "warning", **fields: object) -> None:
        """Log an event about the peer."""
        names = self._identity.names
        self._group.report(event, self.transport, self.host, self.port, level, names, **fields)

    def _refuse(self, reason: RefusalReason, detail: str = "") -> None:
        names = self._identity.names
        self._group.refuse(reason, self.transport, self.host, self.port, names, detail)

    def _peer_text(self) -> str:
        return peer_text(self.transport, self.host, self.port)

    # -- closing ------------------------------------------------------------------------------

    def close(self, reason: str, why: str = "") -> None:
        """Close after everything that was written has been sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._report_end(reason, why)
            self._close_quietly()

    def _close_quietly(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._end_in_time()
            self._transport.close()

    def hang_up(self, reason: str, why: str = "") -> None:
        """Half close, and discard for a moment what the peer still sends.

        Closing a socket with unread octets resets the connection (RFC 1122 §4.2.2.13), and the
        reset may overtake responses.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not transport.can_write_eof():  # TLS has no half close
            self.close(reason, why)
            return
        self._report_end(reason, why)
        transport.write_eof()
        self._start_timer(_MESSAGE, _LINGER, partial(self.close, reason))

    def abort(self, reason: str) -> None:
        """Close at once."""
        if self._transport is not None:
            self._report_end(reason)
            self._transport.abort()

    def _stays(self) -> bool:
        """Whether to stay open after a half close, since a response is pending.

        TLS has no half close, and on a connection of ours the peer can't respond any more.
        """
        flow, transport = self._flow, self._transport
        if transport is None or self._ended or self.ours or not transport.can_write_eof():
            return False
        if flow is None or not flow.held:
            return False
        # the last response is written after its request is released
        flow.when_free = partial(self._group.loop.call_soon, self._close_if_free)
        self._cancel_timer(_WRITE)
        self._start_timer(_MESSAGE, _LAST_ANSWERS, self._close_quietly)
        return True

    def _close_if_free(self) -> None:
        if self._flow is None or not self._flow.held:
            self._close_quietly()

    def _report_end(self, reason: str, why: str = "") -> None:
        """Count and log why we close it, only once."""
        if self._ended:
            return
        self._ended = True
        self._group.closed[reason] += 1
        if reason in _REFUSED:
            self._refuse(_REFUSED[reason])
        if self._flow is not None:
            self._flow.end()  # later messages must use another flow
        why = why or _ENDINGS.get(reason, "")
        if why:
            level = "info" if reason == "idle" else "warning"  # silence is no fault
            self.report("connection_closed", level, reason=reason, why=why)

    # -- timers -------------------------------------------------------------------------------

    def _end_in_time(self) -> None:
        """Start the timeout for the peer to read what was written, unless it runs."""
        if _WRITE not in self._timers:
            timeout = self._group.settings.timeouts.write_timeout
            self._start_timer(_WRITE, timeout, partial(self.abort, "not_reading"))

    def _watch_idle(self) -> None:
        """Close an idle connection; one timer serves all messages."""
        timeouts = self._group.settings.timeouts
        silent = self._group.loop.time() - self._active
        left = timeouts.idle_timeout - silent
        if left <= 0:
            self.close("idle")
            return
        keepalive = timeouts.keepalive
        if keepalive is not None:
            if silent < keepalive:
                left = min(left, keepalive - silent)
            else:
                left = min(left, keepalive)
                if self._transport is not None and _WRITE not in self._timers and not self._ended:
                    self._transport.write(PING)
        self._start_timer(_IDLE, left, self._watch_idle)

    def _start_timer(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        self._cancel_timer(name)
        self._timers[name] = self._group.loop.call_later(seconds, call)

    def _cancel_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
