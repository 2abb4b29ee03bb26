"""One connection, accepted or opened: framing, keep-alive and timeouts.

A connection may carry thousands of users' requests for days. It needs no timer for a message. A
peer may also be silent, send half a message, or never read its responses; then the connection is
closed after the timeout of the settings, and uses a bounded amount of memory until then.
"""

import asyncio
import ssl
from time import perf_counter
from typing import Protocol, cast

import structlog

from chatredirect.runtime.rate_limiter import SteadyRate
from chatredirect.runtime.turns import turns_of
from chatredirect.sip.flow import peer_text
from chatredirect.sip.framing import PING, Event, FramingFault, Ping, StreamFramer
from chatredirect.sip.response import Peer
from chatredirect.transport.connection_settings import ConnectionSettings
from chatredirect.transport.peer_identity import Identity, PeerRefused, explain
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


class Owner(Protocol):
    """What a connection belongs to: the listener that accepted it, or what opened it."""

    @property
    def settings(self) -> ConnectionSettings:
        """The settings of its connections."""

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """The identity that the peer has proved; `tls` is None without TLS.

        Raises:
            PeerRefused: the peer isn't allowed.
        """

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """The address and port where the peer can open a connection to us.

        Args:
            host: our own address on this connection.
            port: our own port on it.
        """

    def opened(self, connection: "StreamConnection") -> None:
        """A connection has begun."""

    def gone(self, connection: "StreamConnection") -> None:
        """A connection is closed, or never began."""


class StreamConnection(asyncio.Protocol):
    """A connection of an owner."""

    __slots__ = (
        "_active", "_blocked", "_ended", "_excess", "_flow", "_framer", "_half_sent", "_identity",
        "_idle", "_no_more", "_ours", "_owner", "_pings", "_settings", "_source", "_transport",
        "_turns", "_unread", "_useless", "_waiting", "begun", "host", "port", "transport",
    )  # fmt: skip

    def __init__(self, owner: Owner, host: str, port: int, *, ours: bool = False) -> None:
        """Do nothing before `connection_made`.

        Args:
            owner: its owner.
            host: the peer's address.
            port: the peer's port.
            ours: whether we open it, so that we have chosen the peer.
        """
        self._owner = owner
        self._ours = ours
        self._settings = owner.settings
        self.transport = owner.transport
        self.host = host
        self.port = port
        self._framer = StreamFramer(self._settings.message_limits)
        self._source = Peer(b"", 0)
        self._flow: StreamFlow | None = None
        self._transport: asyncio.Transport | None = None
        self._active = 0.0  # when the peer last sent something, by the loop's clock
        self._idle: asyncio.TimerHandle | None = None
        self._half_sent: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._identity = Identity()
        self._ended = False  # we have reported why we close it
        self._turns = turns_of(self._settings.loop)
        self._waiting = False  # for its turn, with reading paused
        self._blocked = False  # the peer doesn't read what we write
        self._no_more = False  # the peer has half closed it
        self._excess = ""  # what the peer sends too much of
        self._useless: SteadyRate | None = None  # made when needed: most connections don't
        self._pings: SteadyRate | None = None
        self.begun = False

    # -- called by the event loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, after the TLS handshake if any; close at once if the peer isn't allowed."""
        stream = cast(asyncio.Transport, transport)
        self.begun = True
        self._transport = stream
        self._settings.begun += 1
        log.debug("connection_begun", peer=self._peer())
        self._owner.opened(self)
        if self.admit():
            self.identify_peer()
            self._active = self._settings.loop.time()
            self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """Take octets, and handle complete messages when it is our turn."""
        if not self._ended:  # nothing after a framing fault is a message
            self._active = self._settings.loop.time()
            self._framer.receive(data)
        if not self._waiting and not self._blocked:
            self._take_turn()

    def _take_turn(self) -> None:
        """Work now if there is time, else wait for a turn with reading paused."""
        if self._turns.work(self):
            self._waiting = True
            if self._transport is not None:
                self._transport.pause_reading()

    def work(self, until: float, least: int) -> bool:
        """Handle received messages, with all responses in one write; whether more are left."""
        more = False
        if not (self._ended or self._blocked or self._transport is None):
            more = self._answer(until, least)
        if not more and self._waiting:
            self._waiting = False
            if self._transport is not None and not self._blocked:
                self._transport.resume_reading()
        return more

    def _answer(self, until: float, least: int) -> bool:
        began = now = perf_counter()
        settings, framer = self._settings, self._framer
        answers: list[bytes] = []
        progress = False
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
                answer = settings.answer(event, self._source, self.transport, self)
            except Exception:  # one message must not end a connection that others share
                settings.failures += 1
                log.exception("message_failed", peer=self._peer())
            else:
                if answer is not None:
                    answers.append(answer)
            now = perf_counter()
            if now >= until and framer.position >= least:
                break
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))
            settings.latency.observe(now - began, len(answers))
        if self._excess:
            settings.sends_away(self._peer(), self._excess)
            self.close(self._excess)
        elif fault is not None:
            tls_here = fault.error.offending.startswith(_TLS_RECORD)
            self.hang_up("tls_here" if tls_here else "framing", str(fault.error))
        elif event is not None and framer.partial:
            self._cancel_half_sent()  # a complete message may be waiting for its turn
            return True
        else:
            self._all_answered(progress or (passing_over and not framer.passing_over))
        return False

    def _all_answered(self, progress: bool) -> None:
        """Handle that at most the beginning of a message is left."""
        if not progress and self._half_sent is None and self._framer.begins_with(_TLS_RECORD):
            self.close("tls_here")
            return
        self._watch_message(progress)
        if self._no_more and self._transport is not None and not self._stays():
            self._transport.close()
            self._end_in_time()

    def useless(self) -> None:
        """Count a useless message; too many of them for too long close the connection."""
        self._useless = self._count(
            self._useless, self._settings.timeouts.useless_messages, "useless"
        )

    def _count(self, rate: SteadyRate | None, most: int, reason: str) -> SteadyRate:
        rate = rate or SteadyRate()
        # the time is when a message is handled: in a flood, messages wait for seconds
        if rate.exceeded(self._settings.loop.time(), most):
            self._excess = reason
        return rate

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

    def _stays(self) -> bool:
        """Whether to stay open after a half close, since a response is pending.

        TLS has no half close, and on a connection of ours the peer can't respond any more.
        """
        flow, transport = self._flow, self._transport
        if transport is None or self._ended or self._ours or not transport.can_write_eof():
            return False
        if flow is None or not flow.held:
            return False
        flow.when_free = self._free
        for timer in (self._half_sent, self._unread):
            if timer is not None:
                timer.cancel()
        self._unread = None
        self._half_sent = self._settings.loop.call_later(_LAST_ANSWERS, self._close_quietly)
        return True

    def _free(self) -> None:
        """No response is pending, but the last one may not be written yet."""
        self._settings.loop.call_soon(self._close_if_free)

    def _close_if_free(self) -> None:
        if self._flow is None or not self._flow.held:
            self._close_quietly()

    def _close_quietly(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._end_in_time()
            self._transport.close()

    def pause_writing(self) -> None:
        """The peer doesn't read: read nothing more from it, and start a timeout."""
        self._blocked = True
        if self._transport is not None and self._unread is None:
            self._transport.pause_reading()
            self._end_in_time()

    def resume_writing(self) -> None:
        """The peer reads again. A connection that is being closed keeps its timeout."""
        self._blocked = False
        if self._transport is None or self._transport.is_closing():
            return
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self._waiting:
            return  # it goes on in its turn
        self._transport.resume_reading()
        if self._framer.partial:
            self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        if isinstance(exc, ssl.SSLError):
            why = explain(exc)
            self._report("tls_connection_failed", why=why)
        if self.begun:
            log.debug("connection_over", peer=self._peer(), ended_here=self._ended)
        for timer in (self._idle, self._half_sent, self._unread):
            if timer is not None:
                timer.cancel()
        self._owner.gone(self)
        self._transport = None
        self._end_flow()

    def admit(self) -> bool:
        """Check the names in the peer's certificate; abort if they aren't allowed."""
        if self._transport is None:
            return True
        try:
            self._identity = self._owner.admit(self._transport.get_extra_info("ssl_object"))
        except PeerRefused as refused:
            self._report("peer_refused", why=str(refused))
            self.abort("peer_refused")
            return False
        return True

    def identify_peer(self) -> None:
        """Determine who the peer is, by the current settings."""
        identity = self._identity
        self._source = self._settings.source(
            self.host, self.port, identity.verified, identity.names
        )
        self._framer.passes_over = self._ours or self._source.trusted
        if self._flow is not None:
            self._flow.peer_names = identity.names

    def restart_idle_timer(self) -> None:
        """Go by the current idle timeout."""
        if self._idle is not None and self._transport is not None:
            self._idle.cancel()
            self._watch_idle()

    def flow(self, port: int = 0) -> StreamFlow:
        """The way back: this connection; the port is ignored."""
        if self._flow is None:
            own = ("", 0)
            if self._transport is not None:
                own = self._transport.get_extra_info("sockname")[:2]
            own = self._owner.reachable(plain_host(own[0]), own[1])
            stream = None if self._ended else self._transport
            self._flow = StreamFlow(
                self.transport, *own, self.host, self.port, stream, self._identity.names
            )
        return self._flow

    # -- closing ------------------------------------------------------------------------------

    def close(self, reason: str, why: str = "") -> None:
        """Close after everything that was written has been sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._report_end(reason, why)
            self._transport.close()
            self._end_in_time()

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
        if self._half_sent is not None:
            self._half_sent.cancel()
        self._half_sent = self._settings.loop.call_later(_LINGER, self.close, reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        if self._transport is not None:
            self._report_end(reason)
            self._transport.abort()

    def _report_end(self, reason: str, why: str = "") -> None:
        """Count and log why we close it, only once."""
        if self._ended:
            return
        self._ended = True
        self._settings.ended(reason)
        self._end_flow()  # later messages must use another flow
        why = why or _ENDINGS.get(reason, "")
        if why:
            level = "info" if reason == "idle" else "warning"  # silence is no fault
            fields = {"reason": reason, "why": why}
            self._report("connection_closed", level, **fields)

    def _end_flow(self) -> None:
        if self._flow is not None:
            self._flow.end()

    def _end_in_time(self) -> None:
        """Start the timeout for the peer to read what was written."""
        if self._unread is None:
            settings = self._settings
            self._unread = settings.loop.call_later(
                settings.timeouts.write_timeout, self.abort, "not_reading"
            )

    # -- timers -------------------------------------------------------------------------------

    def _watch_idle(self) -> None:
        """Close an idle connection; one timer serves all messages."""
        loop, timeouts = self._settings.loop, self._settings.timeouts
        silent = loop.time() - self._active
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
                if self._transport is not None and self._unread is None and not self._ended:
                    self._transport.write(PING)
        self._idle = loop.call_later(left, self._watch_idle)

    def _watch_message(self, progress: bool) -> None:
        """Start the timeout of a message that has begun; more octets of it don't extend it."""
        if self._framer.partial:
            if self._half_sent is not None and not progress:
                return
            if self._half_sent is not None:
                self._half_sent.cancel()
            timeout = self._settings.timeouts.message_timeout
            self._half_sent = self._settings.loop.call_later(timeout, self.close, "half_sent")
        else:
            self._cancel_half_sent()

    def _cancel_half_sent(self) -> None:
        if self._half_sent is not None:
            self._half_sent.cancel()
            self._half_sent = None

    def _peer(self) -> str:
        return peer_text(self.transport, self.host, self.port)

    def _report(self, event: str, level: str = "warning", **fields: object) -> None:
        self._settings.report(event, self.transport, self.host, self.port, level, **fields)
