"""What connections go by: whom to ask, how patient to be, and what is told of how they end.

A listener has settings for what it accepts, the outgoing side has others for what it opens; a
connection doesn't know which of the two it belongs to.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from chatredirect.runtime.histogram import Histogram
from chatredirect.runtime.rate_limiter import RepeatLimiter
from chatredirect.sip.flow import ReturnPath, peer_text
from chatredirect.sip.framing import Event
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import Peer

log = structlog.get_logger()

#: Takes a framed event, where it came from, on what, and a way to get back there later; gives the
#: answer or None.
Answerer = Callable[[Event, Peer, str, ReturnPath], bytes | None]
#: Makes a source of an address, a port, whether a certificate has proved one of the allowed names,
#: and all names that it has proved.
SourceMaker = Callable[[str, int, bool, tuple[str, ...]], Peer]
#: Hears of what becomes of connections: the transport, the peer's address and port, and what.
Watch = Callable[[str, str, int, str], None]

_REMEMBERED = 8  # peers that were sent away
_QUIET = 60.0  # seconds between two log lines about one peer


def nobody_watches(transport: str, host: str, port: int, what: str) -> None:
    """A `Watch` for those who don't care."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long a peer may take, in seconds, and how much of no use it may send all the time.

    Attributes:
        idle: without a message before a connection is closed.
        message: from a message's first octet to its last.
        write: that answers may wait for the peer to read.
        handshake: for a TLS handshake.
        keepalive: of silence, after which we send a keep-alive of our own; None for never.
        useless: messages a second that nobody has any use for: responses to no request of ours,
            ACKs of nothing, what can't be read.
        pings: keep-alives a second (RFC 5626 §3.5.1).
    """

    idle: float
    message: float
    write: float
    handshake: float
    keepalive: float | None = None
    useless: int = 100
    pings: int = 10


@dataclass(slots=True)
class ConnectionSettings:
    """The settings of some connections; they may change while these are open.

    Attributes:
        answer: answers an event.
        source: makes a source of what is known of a peer.
        message_limits: bounds on a message; connections that are open keep theirs.
        timeouts: how long a peer may take.
        loop: where they run.
        watch: hears of all that is told, also of what the log isn't told again.
        closed: connections that we ended, by reason.
        failures: events whose handling raised; a fault of ours, and the log has it.
        begun: connections that have begun.
        sent_away: the last peers whose connections ended for what they sent all the time: peer,
            reason, and when, in seconds since the epoch.
        latency: from when octets were read until the answers to what they completed were written.
    """

    answer: Answerer
    source: SourceMaker
    message_limits: Limits
    timeouts: StreamLimits
    loop: asyncio.AbstractEventLoop
    watch: Watch = nobody_watches
    failures: int = 0
    begun: int = 0
    latency: Histogram = field(default_factory=Histogram)
    closed: dict[str, int] = field(default_factory=dict)
    sent_away: deque[tuple[str, str, float]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED)
    )
    _repeats: RepeatLimiter = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self._repeats = RepeatLimiter(_QUIET, self.loop.time)

    def change(
        self,
        answer: Answerer,
        source: SourceMaker,
        message_limits: Limits,
        timeouts: StreamLimits,
    ) -> None:
        """Go by others from now on."""
        self.answer, self.source = answer, source
        self.message_limits, self.timeouts = message_limits, timeouts

    def ended(self, reason: str) -> None:
        """Count a connection that we end."""
        self.closed[reason] = self.closed.get(reason, 0) + 1

    def sends_away(self, peer: str, reason: str) -> None:
        """Remember a peer for `status`."""
        self.sent_away.append((peer, reason, time.time()))

    def report(
        self,
        event: str,
        transport: str,
        host: str,
        port: int,
        level: str = "warning",
        **fields: object,
    ) -> None:
        """Log a fault of a peer, once in a while for each address and fault."""
        why = fields.get("why")
        self.watch(transport, host, port, f"{event}: {why}" if why else event)
        suppressed = self._repeats.hit((event, host, *fields.values()))
        if suppressed is not None:
            peer = peer_text(transport, host, port)
            write = log.info if level == "info" else log.warning
            write(event, peer=peer, suppressed=suppressed, **fields)
