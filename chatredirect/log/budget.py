"""Log lines of one kind that come by the thousand: some are written, the rest is counted.

When DNS goes away under ten thousand pools, the first hundred lines say what there is to know.
"""

from collections.abc import Callable, Hashable

LINES = 100
"""Lines of one kind that are written in one period."""
PERIOD = 10.0
"""Seconds."""


class LogBudget:
    """Counts lines by kind."""

    __slots__ = ("_clock", "_ends", "_spent")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back."""
        self._clock = clock
        self._ends = clock() + PERIOD
        self._spent: dict[str, int] = {}

    def allows(self, kind: str) -> bool:
        """Whether one more line of this kind may be written now."""
        spent = self._spent[kind] = self._spent.get(kind, 0) + 1
        return spent <= LINES

    def left_out(self) -> dict[str, int]:
        """At the end of a period: how many lines of each kind were left out in it."""
        now = self._clock()
        if now < self._ends:
            return {}
        self._ends = now + PERIOD
        spent, self._spent = self._spent, {}
        return {kind: count - LINES for kind, count in spent.items() if count > LINES}


class RateLimited:
    """Decides for each key whether to speak now.

        suppressed = self._limited.hit(("bad_message", peer))
        if suppressed is not None:
            log.warning("bad_message", peer=peer, suppressed=suppressed)

    Peers choose keys, so the table is bounded: while it is full of keys that were told within the
    interval, new ones are suppressed and counted together. At most `max_keys` are told in one.
    """

    def __init__(
        self, interval: float, clock: Callable[[], float], *, max_keys: int = 1024
    ) -> None:
        """Tell a key once in `interval` seconds of `clock`, a monotonic one."""
        self._interval = interval
        self._clock = clock
        self._max_keys = max_keys
        self._told: dict[Hashable, tuple[float, int]] = {}  # oldest first: when, suppressed since
        self._unknown = 0

    def hit(self, key: Hashable) -> int | None:
        """Count `key`: None if nothing is to be said, else how many were suppressed before.

        The number includes what was suppressed of keys that the table had no room for.
        """
        now = self._clock()
        when, suppressed = self._told.get(key, (None, 0))
        if when is not None and now - when < self._interval:
            self._told[key] = (when, suppressed + 1)
            return None
        if when is None and len(self._told) >= self._max_keys and not self._make_room(now):
            self._unknown += 1
            return None
        self._told.pop(key, None)
        self._told[key] = (now, 0)
        suppressed, self._unknown = suppressed + self._unknown, 0
        return suppressed

    def forget(self) -> None:
        """Begin anew."""
        self._told.clear()
        self._unknown = 0

    def _make_room(self, now: float) -> bool:
        oldest = next(iter(self._told))
        when, suppressed = self._told[oldest]
        if now - when < self._interval:
            return False
        del self._told[oldest]
        self._unknown += suppressed
        return True
