"""Uses added up per UTC day, in bounded memory, until somebody takes them away to be stored."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from uuid import uuid4

from chatredirect.usage.identity import OTHER_CLIENTS, OTHERS, ClientProduct

DAY = 86400
"""Seconds of a day in UTC; leap seconds have no number of their own."""
_Name = TypeVar("_Name")
_MAX_DAYS = 2  # days whose names are remembered: a clock may jump over midnight and back


@dataclass(frozen=True, slots=True)
class TallyBounds:
    """How many callers and clients are told apart in a day, and how many rows wait."""

    callers: int
    clients: int
    rows: int


class UsageKey(NamedTuple):
    """What is counted together. `day` counts from 1970-01-01, in UTC."""

    day: int
    endpoint: str
    caller: str
    client: ClientProduct
    trusted: bool
    outcome: str


@dataclass(slots=True)
class UsageCount:
    """How many uses, and when the first and the last one were (seconds since 1970)."""

    count: int
    first: float
    last: float

    def add(self, now: float) -> None:
        """Count one more."""
        self.count += 1
        if now > self.last:
            self.last = now
        elif now < self.first:
            self.first = now


@dataclass(frozen=True, slots=True)
class Batch:
    """Uses that are written together, or not at all.

    Attributes:
        at: when it was taken, in seconds since 1970; says that an instance ran then.
        id: by which the store knows it again.
    """

    at: float
    uses: Mapping[UsageKey, UsageCount]
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def total(self) -> int:
        """How many uses it holds."""
        return sum(use.count for use in self.uses.values())


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """A ledger's figures; in the keys, `trusted` is whether the peers were.

    Attributes:
        last: by endpoint and trusted, the last use in seconds since 1970.
        callers: by days and trusted, how many different callers there were.
        families: by client family and trusted, uses of the last 30 days.
    """

    last: Mapping[tuple[str, bool], float] = field(default_factory=dict)
    callers: Mapping[tuple[int, bool], int] = field(default_factory=dict)
    families: Mapping[tuple[str, bool], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Names:
    callers: set[str] = field(default_factory=set)
    clients: set[ClientProduct] = field(default_factory=set)


class UsageTally:
    """Adds up uses. Strangers have bounds of their own, so that they displace no trusted peer."""

    def __init__(self, trusted: TallyBounds, strangers: TallyBounds) -> None:
        """Begin without uses."""
        self._bounds = {True: trusted, False: strangers}
        self._names: dict[tuple[int, bool], _Names] = {}
        self._rows: dict[bool, dict[UsageKey, UsageCount]] = {True: {}, False: {}}

    def add(
        self,
        now: float,
        endpoint: str,
        caller: str,
        client: ClientProduct,
        *,
        trusted: bool,
        outcome: str,
    ) -> UsageCount:
        """Count one use at `now`, by the wall clock, which may have been set back.

        Returns:
            What further uses of the same day may be added to until the next `take`.
        """
        day = int(now // DAY)
        names, bounds = self._names_of(day, trusted), self._bounds[trusted]
        caller = _admit(names.callers, caller, bounds.callers, OTHERS)
        client = _admit(names.clients, client, bounds.clients, OTHER_CLIENTS)
        key = UsageKey(day, endpoint, caller, client, trusted, outcome)
        rows = self._rows[trusted]
        if key not in rows and len(rows) >= bounds.rows:
            key = key._replace(caller=OTHERS, client=OTHER_CLIENTS)
        row = rows.get(key)
        if row is None:
            row = rows[key] = UsageCount(1, now, now)
        else:
            row.add(now)
        return row

    def take(self) -> Mapping[UsageKey, UsageCount]:
        """Everything that was added since the last time. The day's bounds go on.

        Nothing is copied: whoever reads it first pays for that, in a thread of their own.
        """
        taken = ChainMap(self._rows[True], self._rows[False])
        self._rows = {True: {}, False: {}}
        return taken

    def __len__(self) -> int:
        """Rows that wait to be taken."""
        return len(self._rows[True]) + len(self._rows[False])

    def _names_of(self, day: int, trusted: bool) -> _Names:
        names = self._names.get((day, trusted))
        if names is None:
            if len(self._names) >= 2 * _MAX_DAYS:
                del self._names[next(iter(self._names))]  # the one that was begun first
            names = self._names[day, trusted] = _Names()
        return names


def _admit(known: set[_Name], name: _Name, most: int, instead: _Name) -> _Name:
    if name in known:
        return name
    if len(known) >= most:
        return instead
    known.add(name)
    return name
