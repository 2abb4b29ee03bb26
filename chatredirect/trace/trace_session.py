"""One trace: the calls that it follows, and what waits for its reader.

Its reader may be slow, or a terminal that somebody has stopped; the messages are those of a daemon
under load. So there are bounds on sightings a second, on octets that wait and on calls that are
followed. What doesn't fit is counted and told as a number; nothing ever waits for the reader.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from chatredirect.runtime.rate_limiter import TokenBucket
from chatredirect.sip.message import HEAD_END, Message
from chatredirect.trace.filter import Filter, Wants

MAX_CALLS = 1024
"""Calls that one trace follows; the one that was begun first is given up for another."""
MAX_WAITING = 2 * 1024 * 1024
"""Octets of messages that wait for the reader."""
MAX_SIGHTINGS = 4096
"""Sightings that wait."""
PER_SECOND = 200.0
"""Sightings a second, in the long run."""
AT_ONCE = 1000.0
"""Sightings in a burst."""


class SightingKind(Enum):
    """What was seen; the values are JSON's."""

    RECEIVED = "received"
    SENT = "sent"
    DECIDED = "decided"
    UNREADABLE = "unreadable"
    CONNECTION = "connection"


@dataclass(slots=True)
class Ends:
    """Between whom: our own end and the peer's, each an IP address and a port."""

    transport: str
    own: tuple[str, int]
    peer: tuple[str, int]


@dataclass(slots=True)
class Sighting:
    """One thing that was seen.

    Attributes:
        kind: what it is.
        at: seconds since the epoch.
        call_id: of the message, or of the one that it is about.
        ends: between whom; None for a decision.
        data: the message's octets.
        what: for people; it may hold octets of a peer's.
    """

    kind: SightingKind
    at: float
    call_id: bytes | None = None
    ends: Ends | None = None
    data: bytes = b""
    what: str = ""


@dataclass(slots=True)
class Session:
    """One trace.

    Attributes:
        filter: what it is about.
        clock: seconds since the epoch.
        notify: called when something is there to be taken.
        calls: the Call-IDs that it follows, the oldest first.
        seen: sightings so far, those left out included.
        begun: calls so far.
        left_out: sightings that didn't fit.
        peers: connections' other ends that its calls came from, the oldest first.
        wants: whether a message of no call that it follows is of interest.
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
        """Make the filter ready."""
        self.wants = self.filter.compiled()

    def follow(self, call_id: bytes | None) -> None:
        """Be interested in a call from now on."""
        if call_id is None or call_id in self.calls:
            return
        if len(self.calls) >= MAX_CALLS:
            del self.calls[next(iter(self.calls))]
        self.calls[call_id] = None
        self.begun += 1

    def follows(self, call_id: bytes | None) -> bool:
        """Whether a call is followed, or would be."""
        return call_id in self.calls or (
            self.filter.call_id is not None and call_id == self.filter.call_id
        )

    def remember(self, ends: Ends) -> None:
        """Be interested in what happens to a connection from now on."""
        if ends.transport == "udp" or ends.peer in self.peers:
            return
        if len(self.peers) >= MAX_CALLS:
            del self.peers[next(iter(self.peers))]
        self.peers[ends.peer] = None

    def see(self, sighting: Sighting) -> None:
        """Keep what was seen for the reader, if there is room."""
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
    """A message as it came."""
    return b"%b%b%b" % (message.head, HEAD_END, message.body)
