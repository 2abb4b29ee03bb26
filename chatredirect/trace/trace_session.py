"""One trace: the calls that it follows, and the sightings that wait for its reader.

The reader may be slow, or a stopped terminal, while the daemon is under load. So there are limits
on sightings a second, on octets that wait and on calls that are followed. What exceeds them is
counted and left out; nothing waits for the reader.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from chatredirect.runtime.rate_limiter import TokenBucket
from chatredirect.sip.message import HEAD_END, Message
from chatredirect.trace.filter import Filter, Wants

MAX_CALLS = 1024
"""Calls that one trace follows; a further one replaces the oldest."""
MAX_WAITING = 2 * 1024 * 1024
"""Octets of messages that wait for the reader."""
MAX_SIGHTINGS = 4096
"""Sightings that wait."""
PER_SECOND = 200.0
"""Sightings a second, in the long run."""
AT_ONCE = 1000.0
"""Sightings in a burst."""


class SightingKind(Enum):
    """The type of a sighting; the values are those in JSON."""

    RECEIVED = "received"
    SENT = "sent"
    DECIDED = "decided"
    UNREADABLE = "unreadable"
    CONNECTION = "connection"


@dataclass(slots=True)
class Ends:
    """Our own end and the peer's, each an IP address and a port."""

    transport: str
    own: tuple[str, int]
    peer: tuple[str, int]


@dataclass(slots=True)
class Sighting:
    """A message, a decision, or an event of a connection.

    Attributes:
        kind: its type.
        at: seconds since the epoch.
        call_id: the Call-ID of the message, or of the one that was decided about.
        ends: both ends; None for a decision.
        data: the message's octets.
        what: for people; it may contain a peer's octets.
    """

    kind: SightingKind
    at: float
    call_id: bytes | None = None
    ends: Ends | None = None
    data: bytes = b""
    what: str = ""


@dataclass(slots=True)
class TraceSession:
    """One trace.

    Attributes:
        filter: which messages are of interest.
        clock: seconds since the epoch.
        notify: called when there is something to `take`.
        calls: the Call-IDs that it follows, the oldest first.
        seen: sightings so far, including those that were left out.
        begun: calls so far.
        left_out: sightings that were left out.
        peers: peers of connections that its calls came over, the oldest first.
        wants: the compiled filter.
        failed: whether a fault of ours has ended it.
    """

    filter: Filter
    clock: Callable[[], float]
    notify: Callable[[], None]
    calls: dict[bytes, None] = field(default_factory=dict)
    seen: int = 0
    begun: int = 0
    left_out: int = 0
    peers: dict[tuple[str, int], None] = field(default_factory=dict)
    wants: Wants = field(init=False)
    failed: bool = False
    _waiting: deque[Sighting] = field(default_factory=deque)
    _octets: int = 0
    _bucket: TokenBucket = field(default_factory=lambda: TokenBucket(AT_ONCE))

    def __post_init__(self) -> None:
        """Compile the filter."""
        self.wants = self.filter.compiled()

    def follow(self, call_id: bytes | None) -> None:
        """Follow a call from now on."""
        if call_id is None or call_id in self.calls:
            return
        if len(self.calls) >= MAX_CALLS:
            del self.calls[next(iter(self.calls))]
        self.calls[call_id] = None
        self.begun += 1

    def follows(self, call_id: bytes | None) -> bool:
        """Whether a call is followed, or matches the filter by its Call-ID."""
        return call_id in self.calls or (
            self.filter.call_id is not None and call_id == self.filter.call_id
        )

    def remember(self, ends: Ends) -> None:
        """Follow events of a connection from now on."""
        if ends.transport == "udp" or ends.peer in self.peers:
            return
        if len(self.peers) >= MAX_CALLS:
            del self.peers[next(iter(self.peers))]
        self.peers[ends.peer] = None

    def see(self, sighting: Sighting) -> None:
        """Keep a sighting for the reader, within the limits."""
        self.seen += 1
        octets = len(sighting.data)
        if (
            len(self._waiting) >= MAX_SIGHTINGS
            or self._octets + octets > MAX_WAITING
            or not self._bucket.take(PER_SECOND, AT_ONCE, sighting.at)
        ):
            self.left_out += 1
            return
        self._octets += octets
        self._waiting.append(sighting)
        if len(self._waiting) == 1:
            self.notify()

    def take(self) -> Sighting | None:
        """The next sighting; None if nothing waits."""
        if not self._waiting:
            return None
        sighting = self._waiting.popleft()
        self._octets -= len(sighting.data)
        return sighting


def octets_of(message: Message) -> bytes:
    """A message as it was received."""
    return b"%b%b%b" % (message.head, HEAD_END, message.body)
