"""The rate limiters.

TokenBucket    allows so many events a second in the long run, and a burst
RepeatLimiter  logs a fault once in a while for each key, with how often it was suppressed
LogBudget      allows so many log lines of a kind in each period, and counts the others
SteadyRate     notices a rate that holds for seconds, and ignores bursts
"""

from collections.abc import Callable, Hashable

SECONDS = 10
"""Seconds in a row that make a rate steady."""
LINES = 100
"""Lines of one kind that a `LogBudget` allows in one period."""
PERIOD = 10.0
"""Seconds of a `LogBudget`'s period."""


class TokenBucket:
    """A token bucket, full at first. Rate and size are arguments: a reload may change them.

    A clock that goes back only stops the filling for a while.
    """

    __slots__ = ("_at", "_tokens")

    def __init__(self, size: float, now: float = 0.0) -> None:
        """Begin with `size` tokens at `now`, in seconds."""
        self._tokens = size
        self._at = now

    def take(self, rate: float, size: float, now: float) -> bool:
        """Take a token, if there is one; `rate` tokens are added a second, up to `size`."""
        if self.fill(rate, size, now) < 1:
            return False
        self._tokens -= 1
        return True

    def fill(self, rate: float, size: float, now: float) -> float:
        """Add the tokens of the time that has passed. Returns how many there are."""
        self._tokens = min(size, self._tokens + max(0.0, now - self._at) * rate)
        self._at = now
        return self._tokens


class RepeatLimiter:
    """Decides for each key whether to log now.

        suppressed = self._repeats.hit(("bad_message", peer))
        if suppressed is not None:
            log.warning("bad_message", peer=peer, suppressed=suppressed)

    Peers choose keys, so the table is bounded: while it is full of keys that were logged within the
    interval, new ones are suppressed and counted together. At most `max_keys` are logged in one.
    """

    __slots__ = ("_clock", "_interval", "_logged", "_max_keys", "_unknown")

    def __init__(
        self, interval: float, clock: Callable[[], float], *, max_keys: int = 1024
    ) -> None:
        """Allow a key once in `interval` seconds; `clock` returns monotonic seconds."""
        self._interval = interval
        self._clock = clock
        self._max_keys = max_keys
        self._logged: dict[Hashable, tuple[float, int]] = {}  # oldest first: when, suppressed since
        self._unknown = 0

    def hit(self, key: Hashable) -> int | None:
        """Count `key`. Returns None if nothing is to be logged, else how many were suppressed.

        The number includes those with keys that the table had no room for.
        """
        now = self._clock()
        when, suppressed = self._logged.get(key, (None, 0))
        if when is not None and now - when < self._interval:
            self._logged[key] = (when, suppressed + 1)
            return None
        if when is None and len(self._logged) >= self._max_keys and not self._make_room(now):
            self._unknown += 1
            return None
        self._logged.pop(key, None)
        self._logged[key] = (now, 0)
        suppressed, self._unknown = suppressed + self._unknown, 0
        return suppressed

    def forget(self) -> None:
        """Forget all keys."""
        self._logged.clear()
        self._unknown = 0

    def _make_room(self, now: float) -> bool:
        oldest = next(iter(self._logged))
        when, suppressed = self._logged[oldest]
        if now - when < self._interval:
            return False
        del self._logged[oldest]
        self._unknown += suppressed
        return True


class LogBudget:
    """Allows `LINES` log lines of each kind in a period, and counts the rest.

    When DNS goes away under ten thousand pools, the first hundred lines say what there is to know.
    """

    __slots__ = ("_clock", "_ends", "_spent")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin a period; `clock` returns monotonic seconds."""
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


class SteadyRate:
    """Notices events that exceed a rate in each second of `SECONDS` in a row.

    A burst is no reason to disconnect: a front end that has reconnected sends much at once, and a
    pool's responses may all be late.
    """

    __slots__ = ("_count", "_row", "_second")

    def __init__(self) -> None:
        """Begin with no events."""
        self._second = 0
        self._count = 0  # in this second
        self._row = 0  # seconds in a row before it with too many

    def exceeded(self, now: float, most: int) -> bool:
        """Count one event. Returns whether the rate is too high for too long.

        Args:
            now: monotonic seconds.
            most: events that are allowed in a second.
        """
        second = int(now)
        if second != self._second:
            too_many = self._count > most and second == self._second + 1
            self._row = self._row + 1 if too_many else 0
            self._second, self._count = second, 0
        self._count += 1
        return self._count > most and self._row >= SECONDS - 1
