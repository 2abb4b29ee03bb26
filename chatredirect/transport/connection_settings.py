"""Settings of connections, and the group that shares them: its counters and its log.

The connections that a listener accepts are a group, and so are all that we open.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from chatredirect.net.refusals import RefusalReason, Refusals
from chatredirect.runtime.histogram import Histogram
from chatredirect.runtime.rate_limiter import RepeatLimiter
from chatredirect.sip.flow import ReturnPath, peer_text
from chatredirect.sip.framing import Event
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import Peer
from chatredirect.transport.peer_identity import TrustedPeers

log = structlog.get_logger()

#: Handles an event of the framer from a peer, over a transport, with the way back to the peer;
#: returns the response or None.
EventHandler = Callable[[Event, Peer, str, ReturnPath], bytes | None]
#: Called for reports about connections: the transport, the peer's address and port, the names that
#: its certificate has proved, and the text.
Watch = Callable[[str, str, int, tuple[str, ...], str], None]

_REMEMBERED = 8  # peers whose connections were closed for what they sent
_QUIET = 60.0  # seconds between two log lines about one peer


def nobody_watches(transport: str, host: str, port: int, names: tuple[str, ...], what: str) -> None:
    """A `Watch` that ignores reports."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Timeouts in seconds, and limits on rates that hold for seconds.

    Attributes:
        idle_timeout: without a message until a connection is closed.
        message_timeout: from a message's first octet to its last.
        write_timeout: for the peer to read responses.
        handshake_timeout: for a TLS handshake.
        keepalive: of silence until we send a keep-alive; None for never.
        useless_messages: useless messages a second: responses to no request of ours, ACKs of no
            response, and what can't be read.
        pings: keep-alives a second (RFC 5626 §3.5.1).
    """

    idle_timeout: float
    message_timeout: float
    write_timeout: float
    handshake_timeout: float
    keepalive: float | None = None
    useless_messages: int = 100
    pings: int = 10


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What a configuration says about connections.

    Attributes:
        answer: handles what a connection receives.
        message_limits: open connections keep those that they began with.
    """

    answer: EventHandler
    trust: TrustedPeers
    message_limits: Limits
    timeouts: StreamLimits


@dataclass(slots=True)
class ConnectionGroup:
    """Connections with the same settings, which may change while they are open.

    Attributes:
        watch: called for all reports, including those that the log suppresses as repeated.
        refusals: who was refused, and why.
        failures: events whose handler raised, which is logged.
        latency: seconds from reading octets to writing the responses.
        closed: connections that we closed, by reason.
        sent_away: the last peers whose connections were closed for what they sent: peer, reason,
            and time in seconds since the epoch.
    """

    settings: ConnectionSettings
    loop: asyncio.AbstractEventLoop
    watch: Watch = nobody_watches
    refusals: Refusals = field(default_factory=Refusals)
    failures: int = 0
    begun: int = 0
    latency: Histogram = field(default_factory=Histogram)
    closed: Counter[str] = field(default_factory=Counter)
    sent_away: deque[tuple[str, str, float]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED)
    )
    _repeats: RepeatLimiter = field(init=False)

    def __post_init__(self) -> None:
        """Log the first report at once."""
        self._repeats = RepeatLimiter(_QUIET, self.loop.time)

    def report(
        self,
        event: str,
        transport: str,
        host: str,
        port: int,
        level: str = "warning",
        names: tuple[str, ...] = (),
        **fields: object,
    ) -> None:
        """Log an event about a peer, limited for each address and event.

        Args:
            names: those that its certificate has proved; they aren't logged.
            fields: the event's.
        """
        why = fields.get("why")
        self.watch(transport, host, port, names, f"{event}: {why}" if why else event)
        suppressed = self._repeats.hit((event, host, *fields.values()))
        if suppressed is not None:
            peer = peer_text(transport, host, port)
            write = log.info if level == "info" else log.warning
            write(event, peer=peer, suppressed=suppressed, **fields)

    def refuse(
        self,
        reason: RefusalReason,
        transport: str,
        host: str,
        port: int,
        names: tuple[str, ...] = (),
        detail: str = "",
    ) -> None:
        """Count a refusal of a peer; see `Refusals.note`."""
        trusted = self.settings.trust.lists(host)
        peer = Peer(host.encode("ascii"), port, trusted, names)
        self.refusals.note(reason, peer, transport, detail)
