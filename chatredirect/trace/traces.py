"""The running traces: the daemon's `Observer` while there is one.

Every message passes through `Traces` during a trace, so it makes one check for each trace, and no
more for a message of no interest. An exception in here ends the traces, but doesn't affect the
message.

The reader may be slow, or a stopped terminal, while the daemon is under load. So there are limits
on sightings a second, on octets that wait and on calls that are followed. What exceeds them is
counted and left out; nothing waits for the reader.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from chatredirect.runtime.rate_limiter import TokenBucket
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.message import HEAD_END, Message
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer
from chatredirect.trace.filter import Filter, Wants
from chatredirect.trace.sighting import Ends, Sighting, SightingKind

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

log = structlog.get_logger()

MAX_TRACES = 8
"""Traces at a time."""
_CALL_ID = re.compile(rb"(?im)^(?:call-id|i)[ \t]*+:([^\r\n]*+)")


class TooMany(Exception):
    """There are already `MAX_TRACES` traces."""


@dataclass(slots=True)
class TraceSession:
    """One trace: the calls that it follows, and the sightings that wait for its reader.

    Attributes:
        notify: called when there is something to `take`.
        calls: the Call-IDs that it follows, the oldest first.
        seen: number of sightings, including those that were left out.
        begun: number of calls.
        left_out: number of sightings that were left out.
        peers: peers of connections that its calls came over, the oldest first.
        wants: the compiled filter.
        failed: whether an exception in here has ended it.
    """

    filter: Filter
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
        """Follow a call from now on; None for a message without a Call-ID."""
        key = call_id or b""
        if key in self.calls:
            return
        if len(self.calls) >= MAX_CALLS:
            del self.calls[next(iter(self.calls))]
        self.calls[key] = None
        self.begun += 1

    def follows(self, call_id: bytes | None) -> bool:
        """Whether a call is followed, or matches the filter by its Call-ID."""
        return (call_id or b"") in self.calls or (
            self.filter.call_id is not None and call_id == self.filter.call_id
        )

    def remember(self, ends: Ends) -> None:
        """Follow events of a connection from now on."""
        if ends.transport in ("", "udp") or ends.peer in self.peers:
            return
        if len(self.peers) >= MAX_CALLS:
            del self.peers[next(iter(self.peers))]
        self.peers[ends.peer] = None

    def see(self, sighting: Sighting) -> None:
        """Store a sighting for the reader, within the limits."""
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


class Traces:
    """The running `sessions`, as an `Observer`."""

    __slots__ = ("_clock", "_observing", "sessions")

    def __init__(self, observing: Observing, clock: Callable[[], float] = time.time) -> None:
        """Register with `observing` during traces; `clock` gives seconds since the epoch."""
        self.sessions: list[TraceSession] = []
        self._observing = observing
        self._clock = clock

    def begin(self, wanted: Filter, notify: Callable[[], None]) -> TraceSession:
        """Begin a trace; `end` ends it. `notify` is called when there is something to `take`.

        Raises:
            TooMany: there are too many traces.
        """
        if len(self.sessions) >= MAX_TRACES:
            raise TooMany
        session = TraceSession(wanted, notify)
        self.sessions.append(session)
        self._observing.observer = self
        return session

    def end(self, session: TraceSession) -> None:
        """End a trace, if it hasn't ended by itself."""
        if session in self.sessions:
            self.sessions.remove(session)
        if not self.sessions:
            self._observing.observer = None

    # -- the observer -------------------------------------------------------------------------

    def received(self, message: Message, source: Peer, return_path: ReturnPath | None) -> bool:
        """See `Observer`."""
        call_id = message.call_id
        wanted = False
        try:
            for session in self.sessions:
                if call_id is None:  # two such messages have nothing to do with each other
                    session.calls.pop(b"", None)
                if call_id in session.calls or session.wants(message, source):
                    wanted = True
                    session.follow(call_id)
                    ends = _ends_back(source, return_path)
                    session.remember(ends)
                    data = message.head + HEAD_END + message.body
                    at = self._clock()
                    session.see(Sighting(SightingKind.RECEIVED, at, call_id, ends, data))
        except Exception:  # see `_harmless`
            self._fail()
        return wanted

    def sent(self, data: bytes, flow: Flow, call_id: bytes | None) -> None:
        """See `Observer`."""
        with self._harmless():
            if call_id is None:
                found = _CALL_ID.search(data)
                call_id = None if found is None else found[1].strip(b" \t")
            for session in self.sessions:
                if session.follows(call_id):
                    ends = _ends(flow)
                    session.see(Sighting(SightingKind.SENT, self._clock(), call_id, ends, data))

    def decided(self, call_id: bytes | None, what: str) -> None:
        """See `Observer`."""
        with self._harmless():
            for session in self.sessions:
                if session.follows(call_id):
                    session.see(Sighting(SightingKind.DECIDED, self._clock(), call_id, what=what))

    def unreadable(
        self, data: bytes, source: Peer, return_path: ReturnPath | None, why: str
    ) -> None:
        """See `Observer`."""
        with self._harmless():
            for session in self.sessions:
                if session.filter.wants_unreadable(data, source):
                    ends = _ends_back(source, return_path)
                    session.remember(ends)
                    at = self._clock()
                    session.see(Sighting(SightingKind.UNREADABLE, at, None, ends, data, why))

    def happened(
        self, peer: str, port: int, transport: str, names: tuple[str, ...], what: str
    ) -> None:
        """See `Observer`."""
        with self._harmless():
            for session in self.sessions:
                if session.filter.is_from(peer, names) or (peer, port) in session.peers:
                    ends = Ends(transport, ("", 0), (peer, port))
                    at = self._clock()
                    session.see(Sighting(SightingKind.CONNECTION, at, None, ends, what=what))

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Keep exceptions in here from affecting the message."""
        try:
            yield
        except Exception:  # a bug in here must not reach the caller
            self._fail()

    def _fail(self) -> None:
        log.exception("trace_failed")
        failed, self.sessions = self.sessions, []
        self._observing.observer = None
        for session in failed:
            session.failed = True
            session.notify()


def _ends(flow: Flow) -> Ends:
    return Ends(flow.transport, (flow.host, flow.port), (flow.peer_host, flow.peer_port))


def _ends_back(source: Peer, return_path: ReturnPath | None) -> Ends:
    if return_path is None:
        return Ends("", ("", 0), (source.host.decode("ascii"), source.port))
    return _ends(return_path.flow(source.port))
