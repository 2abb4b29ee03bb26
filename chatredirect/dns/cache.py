"""How long an answer is valid, when it is refreshed, and what serves if the refresh fails.

Before `refresh_at` an entry serves without a query. After it the servers are asked first, so that
no answer grows older than its TTL. If they fail, the old answer serves for `stale` seconds past
`expires_at` (RFC 8767 §4), and the servers are asked again after a pause that grows up to `retry`.

No clock and no random numbers: callers pass `now` and `fraction` (the part of the TTL after which a
refresh is due), so that a test plays a week in milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import dns.rdatatype

from chatredirect.config import DnsSettings
from chatredirect.dns.answer import Answer

#: A name (lower case, without the final dot) and a type.
Key: TypeAlias = tuple[str, dns.rdatatype.RdataType]

FIRST_RETRY = 1.0
"""Seconds after a first failure; each further one doubles it, up to `retry`."""
BREATH = 0.5
"""Least seconds between the end of a failed query and the next one."""
TOGETHER = 0.03
"""An entry due within this fraction of its TTL is refreshed with those due now."""
ORPHAN = 300.0
"""Seconds after its refresh was due for which an unused entry is kept."""


_STEP = 500  # entries per step of a sweep


@dataclass(slots=True)
class Entry:
    """The last answer for one key.

    Attributes:
        answer: the last good one; None if there was none.
        expires_at: when its TTL ends.
        refresh_at: when to ask again.
        failure: why the last query failed; None if it didn't.
        failures: how many have failed in a row.
        cut_short: the answer had little of its TTL left when it came.
    """

    answer: Answer | None
    expires_at: float
    refresh_at: float
    failure: str | None = None
    failures: int = 0
    cut_short: bool = False

    def is_stale(self, now: float) -> bool:
        """Whether the answer has outlived its TTL because the refresh failed."""
        return self.failure is not None and now >= self.expires_at


class RecordCache:
    """Entries by key; over `capacity`, the least recently used are dropped.

    Attributes:
        settings: may be replaced; known answers stay, within the new `ttl_ceiling`.
        capacity: a number of entries; may be changed.
    """

    __slots__ = ("_entries", "capacity", "settings")

    def __init__(self, settings: DnsSettings, capacity: int) -> None:
        """Begin empty."""
        self.settings = settings
        self._entries: dict[Key, Entry] = {}
        self.capacity = capacity

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()

    def current(self, key: Key, now: float) -> Entry | None:
        """The entry that may serve without a query, or None."""
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
        """Whether the entry's answer may serve, fresh or stale."""
        return entry.answer is not None and now < entry.expires_at + self.settings.stale

    def answered(self, key: Key, answer: Answer, now: float, fraction: float) -> Entry:
        """Store a new answer, to be refreshed after `fraction` (0 to 1) of its TTL."""
        before = self._entries.pop(key, None)
        ttl = self._bounded(answer.ttl)
        delay = ttl * fraction
        # A caching resolver returns what is left of the TTL. Shortly before its end little is left,
        # and a refresh shortly before *that* end would get even less: wait for the end instead, and
        # the next answer has the full TTL.
        cut_short = (
            before is not None
            and before.answer is not None
            and not before.cut_short
            and ttl < self._bounded(before.answer.ttl) / 4
        )
        if cut_short:
            delay = ttl
        entry = Entry(
            answer, now + ttl, now + max(delay, self.settings.ttl_floor), cut_short=cut_short
        )
        self._keep(key, entry)
        return entry

    def failed(self, key: Key, failure: str, began: float, now: float, fraction: float) -> Entry:
        """Record a failed query; the last good answer stays.

        The pause until the next query counts from when this one `began`, so that the time spent
        waiting isn't added to it. `fraction` shortens it.
        """
        before = self._entries.pop(key, None)
        failures = 1 if before is None else before.failures + 1
        pause = min(self.settings.retry, FIRST_RETRY * 2.0 ** min(failures - 1, 16)) * fraction
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
        """Drop entries that weren't used since their refresh was due, in short steps."""
        keys = list(self._entries)
        for first in range(0, len(keys), _STEP):
            for key in keys[first : first + _STEP]:
                entry = self._entries.get(key)  # it may have been dropped meanwhile
                if entry is not None and now > entry.refresh_at + ORPHAN:
                    del self._entries[key]
            yield

    def _keep(self, key: Key, entry: Entry) -> None:
        while len(self._entries) >= self.capacity > 0:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry

    def _bounded(self, ttl: float) -> float:
        return max(self.settings.ttl_floor, min(ttl, self.settings.ttl_ceiling))
