"""How long an answer is good, when it is asked for again, and what serves when that fails.

An entry knows three times. Before `refresh_at` it is used without a question. From then on a
question is asked first, so that in quiet times an answer never grows older than its TTL. If that
fails, the old answer goes on serving for `stale` seconds past `expires_at` (RFC 8767 §4), and the
question is put again after a pause that grows to `retry` at most.

Nothing here reads a clock or makes a random number: `now` and `fraction` (of the TTL, after which a
refresh is due) come from outside, so a test plays a week in milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import dns.rdatatype

from chatredirect.dns.answer import Answer

#: A name (lower case, without the final dot) and a type.
Key: TypeAlias = tuple[str, dns.rdatatype.RdataType]

FIRST_RETRY = 1.0
"""Seconds after a first failure; each further one doubles it, up to `retry`."""
BREATH = 0.5
"""Seconds between the end of a failed question and the next one, at least."""
TOGETHER = 0.03
"""What is due within this fraction of its TTL is refreshed along with what is due now."""
ORPHAN = 300.0
"""Seconds after its refresh was due that an entry nobody asks for any more is kept."""


_STEP = 500  # entries that are looked at without a break


class Times(Protocol):
    """What of `DnsSettings` matters here. All in seconds."""

    @property
    def ttl_floor(self) -> float:
        """The least TTL that is believed."""

    @property
    def ttl_ceiling(self) -> float:
        """The greatest."""

    @property
    def stale(self) -> float:
        """How long past its TTL an answer may serve."""

    @property
    def retry(self) -> float:
        """The longest pause after a failure."""


@dataclass(slots=True)
class Entry:
    """What is known about one key.

    Attributes:
        answer: the last good one, None if there never was.
        expires_at: when its TTL ends.
        refresh_at: when it is to be asked again.
        failure: why the last question failed; None if it didn't.
        failures: how many have failed in a row.
        cut_short: the answer was near its end already when it came.
    """

    answer: Answer | None
    expires_at: float
    refresh_at: float
    failure: str | None = None
    failures: int = 0
    cut_short: bool = False

    def is_stale(self, now: float) -> bool:
        """Whether the answer is past its TTL because nobody could be asked."""
        return self.failure is not None and now >= self.expires_at


class RecordCache:
    """Entries by key; the least recently used go when there are too many."""

    __slots__ = ("_entries", "_times", "capacity")

    def __init__(self, times: Times, capacity: int) -> None:
        """Begin empty. `capacity` is a count of entries, and may be changed."""
        self._times = times
        self._entries: dict[Key, Entry] = {}
        self.capacity = capacity

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def update(self, times: Times) -> None:
        """Take other times for what comes; what is known stays, within the new ceiling."""
        self._times = times

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def current(self, key: Key, now: float) -> Entry | None:
        """The entry that may be used without asking, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        due = entry.refresh_at
        if entry.failure is None and entry.answer is not None:
            due -= TOGETHER * self._bounded(entry.answer.ttl)
        if now >= due:
            return None
        self._entries[key] = self._entries.pop(key)  # a dict is in order of insertion: now the last
        return entry

    def usable(self, entry: Entry, now: float) -> bool:
        """Whether the entry's answer may serve, be it stale."""
        return entry.answer is not None and now < entry.expires_at + self._times.stale

    def answered(self, key: Key, answer: Answer, now: float, fraction: float) -> Entry:
        """Keep a new answer, to be refreshed after `fraction` (0 to 1) of its TTL."""
        before = self._entries.pop(key, None)
        ttl = self._bounded(answer.ttl)
        delay = ttl * fraction
        # A caching resolver hands out what is left of the TTL. Asked shortly before the end it has
        # little left, and asking shortly before *that* end would halve the way for ever: wait for
        # the end instead, and the next answer is a whole one.
        cut_short = (
            before is not None
            and before.answer is not None
            and not before.cut_short
            and ttl < self._bounded(before.answer.ttl) / 4
        )
        if cut_short:
            delay = ttl
        entry = Entry(
            answer, now + ttl, now + max(delay, self._times.ttl_floor), cut_short=cut_short
        )
        self._keep(key, entry)
        return entry

    def failed(self, key: Key, failure: str, began: float, now: float, fraction: float) -> Entry:
        """Note that nobody could say; the last good answer stays.

        The pause until the next question counts from when this one `began`, so that the time spent
        on waiting doesn't come on top of it. `fraction` shortens it.
        """
        before = self._entries.pop(key, None)
        failures = 1 if before is None else before.failures + 1
        pause = min(self._times.retry, FIRST_RETRY * 2.0 ** min(failures - 1, 16)) * fraction
        entry = Entry(
            None if before is None else before.answer,
            now if before is None else before.expires_at,
            max(began + pause, now + BREATH),
            failure,
            failures,
        )
        if not self.usable(entry, now):
            entry.answer = None
        self._keep(key, entry)
        return entry

    def sweep(self, now: float) -> Iterator[None]:
        """Forget what nobody has asked for since its refresh was due, a few entries a step."""
        keys = list(self._entries)
        for first in range(0, len(keys), _STEP):
            for key in keys[first : first + _STEP]:
                entry = self._entries.get(key)  # meanwhile it may have gone
                if entry is not None and now > entry.refresh_at + ORPHAN:
                    del self._entries[key]
            yield

    def _keep(self, key: Key, entry: Entry) -> None:
        while len(self._entries) >= self.capacity > 0:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry

    def _bounded(self, ttl: float) -> float:
        return max(self._times.ttl_floor, min(ttl, self._times.ttl_ceiling))
