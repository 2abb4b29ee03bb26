"""Which channel service a caller is sent to: each in turn, and the same one for a while.

A lookup service hands its channel services out one after the other. A client whose lookup is
repeated, since its first try was lost somewhere, is sent to the same one for a minute. Only those
are handed out whose pool has a target that works.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatredirect.pools.pool import Pool

STABLE = 60.0
"""Seconds in which a caller is sent to the same channel service."""
MAX_CALLERS = 65536
"""Callers that are remembered; the oldest is forgotten for a new one."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel service: the URI that a client is given, and the pool that is behind it."""

    uri: str
    pool: Pool
    serve: bool = False  # even if all targets of its pool are down

    @property
    def usable(self) -> bool:
        """Whether a client may be sent there."""
        return self.pool.usable or (self.serve and self.pool.resolved)


@dataclass(slots=True)
class Channels:
    """The channel services of one endpoint, at least one."""

    channels: Sequence[Channel]
    _next: int = 0
    _callers: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether there is one that a client may be sent to."""
        return any(channel.usable for channel in self.channels)

    @property
    def reason(self) -> str:
        """Why there is none: one line of printable ASCII, for a Warning header field."""
        return self.channels[0].pool.reason

    def want(self) -> None:
        """Ask for the pools that haven't been resolved yet to be resolved before others."""
        for channel in self.channels:
            if channel.pool.want is not None:
                channel.pool.want(channel.pool)

    def choose(self, caller: bytes, now: float) -> str | None:
        """The URI of a caller's channel service; None if none is usable.

        Args:
            caller: the From URI.
            now: seconds of a clock that never goes back.
        """
        if len(self.channels) == 1:
            return self.channels[0].uri if self.channels[0].usable else None
        self._forget(now)
        # a hash will do: whoever shares it shares no more than the channel service
        who = hash(caller)
        position, until = self._callers.get(who, (self._next, now + STABLE))
        if who in self._callers and self.channels[position].usable:
            return self.channels[position].uri
        count = len(self.channels)
        for step in range(count):
            position = (self._next + step) % count
            if self.channels[position].usable:
                self._next = (position + 1) % count
                self._callers[who] = (position, until)
                return self.channels[position].uri
        return None

    def _forget(self, now: float) -> None:
        """Forget the callers whose time is over; they stand in its order."""
        callers = self._callers
        while callers:
            oldest = next(iter(callers))
            if callers[oldest][1] > now and len(callers) < MAX_CALLERS:
                return
            del callers[oldest]
