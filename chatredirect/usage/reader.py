"""Reads one ledger or several as one, whether a daemon runs or not."""

import heapq
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    create_engine,
    func,
    literal,
    select,
)
from sqlalchemy.pool import NullPool

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.schema import DAYS, RUNNING, RUNS, TOTALS, WHO, check_readable, version_of
from chatredirect.usage.store import server_engine
from chatredirect.usage.store_faults import StoreFault, told

_LOCKED = 5.0  # seconds that a writer is waited for
_RUNS_SINCE = 2  # version of the tables; the reader migrates nothing
_AT_ONCE = 2000  # rows that are fetched at once
_NO_RIGHT = "become root, or a member of the service's group"
_NO_FILE = (
    "the service makes it when it starts, another daemon only if usage.store names a file; name "
    "another ledger with --store, or the daemon's configuration with --config"
)
SLICE = 100
"""Rows where somebody waits for the interpreter: half a millisecond of it."""


_Row = TypeVar("_Row")
Order: TypeAlias = Literal["endpoint", "client", "caller"]


@dataclass(slots=True)
class Who:
    """One combination of endpoint, caller, client and outcome.

    Attributes:
        number: the combination's, in all ledgers.
        trusted: whether the peer was a trusted one.
        first: when it came first, of all time, in seconds since 1970.
        last: when it came last.
        uses: since the day that was asked for.
    """

    number: int
    endpoint: str
    caller: str
    client: ClientProduct
    trusted: bool
    outcome: str
    first: float
    last: float
    uses: int = 0


@dataclass(slots=True)
class SignsOfLife:
    """When instances ran.

    Attributes:
        days: the days on which one ran, with the first and last sign of it.
        broken: the last sign of each run that hasn't said that it wrote everything; one that goes
            on hasn't, either.
    """

    days: dict[int, tuple[float, float]] = field(default_factory=dict)
    broken: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ledgers:
    """Several ledgers as one; each may have any size, what is kept in memory has not.

    Its methods raise StoreFault if one of them can't be read.

    Attributes:
        pause: called between slices of rows, so that other threads get to run.
    """

    addresses: tuple[StoreAddress, ...]
    pause: Callable[[], None] | None = None

    def who(
        self, order: Order, since: int | None = None, endpoints: Collection[str] = ()
    ) -> Iterator[Who]:
        """Every combination, one by one.

        Args:
            order: what comes together; the same caller's of that come together as well.
            since: from which day on uses are added up, counted from 1970-01-01; None for none.
            endpoints: those that are wanted; none for all.
        """
        columns = _ORDERS[order]
        with ExitStack() as stack:
            rows = [
                self._who(stack.enter_context(reading(address))[0], columns, since, endpoints)
                for address in self.addresses
            ]
            before: Who | None = None
            for who in heapq.merge(*rows, key=_KEYS[order]):
                if before is not None and before.number == who.number:
                    before.first = min(before.first, who.first)
                    before.last = max(before.last, who.last)
                    before.uses += who.uses
                    continue
                if before is not None:
                    yield before
                before = who
            if before is not None:
                yield before

    def _who(
        self,
        connection: Connection,
        columns: tuple[Column[str], ...],
        since: int | None,
        endpoints: Collection[str],
    ) -> Iterator[Who]:
        uses: ColumnElement[int] = literal(0)
        if since is not None:
            # no join: a caller's days lie together, and are read in the order in which they lie
            sums = select(func.sum(DAYS.c.uses)).where(DAYS.c.who == WHO.c.id, DAYS.c.day >= since)
            uses = sums.scalar_subquery()
        octets = "C" if connection.dialect.name == "postgresql" else "BINARY"
        query = select(WHO, uses.label("uses")).order_by(
            *(column.collate(octets) for column in columns), WHO.c.id
        )
        if endpoints:
            query = query.where(WHO.c.endpoint.in_(endpoints))
        at_once = _AT_ONCE if self.pause is None else SLICE
        found = connection.execution_options(yield_per=at_once).execute(query)
        for row in paused(found.partitions(), self.pause):
            client = ClientProduct(row.family, row.version)
            trusted, total = bool(row.trusted), int(row.uses or 0)
            yield Who(
                row.id, row.endpoint, row.caller, client, trusted, row.outcome, row.first, row.last,
                total,
            )  # fmt: skip

    def totals(self, since: int, endpoints: Collection[str] = ()) -> dict[tuple[int, bool], int]:
        """Uses by day and whether the peer was trusted, from a day on."""
        uses = func.sum(TOTALS.c.uses)
        query = select(TOTALS.c.day, TOTALS.c.trusted, uses).where(TOTALS.c.day >= since)
        if endpoints:
            query = query.where(TOTALS.c.endpoint.in_(endpoints))
        totals: dict[tuple[int, bool], int] = {}
        for address in self.addresses:
            with reading(address) as (connection, _):
                grouped = query.group_by(TOTALS.c.day, TOTALS.c.trusted)
                for day, trusted, total in connection.execute(grouped):
                    key = (day, bool(trusted))
                    totals[key] = totals.get(key, 0) + int(total)
        return totals

    def running(self) -> SignsOfLife:
        """When instances ran."""
        running = SignsOfLife()
        for address in self.addresses:
            with reading(address) as (connection, version):
                for day, first, last in connection.execute(select(RUNNING)):
                    known = running.days.get(day, (first, last))
                    running.days[day] = (min(first, known[0]), max(last, known[1]))
                if version >= _RUNS_SINCE:
                    broken = select(RUNS.c.last).where(RUNS.c.ended == 0)
                    running.broken += connection.execute(broken).scalars()
        return running


_ORDERS: Mapping[Order, tuple[Column[str], ...]] = {
    "endpoint": (WHO.c.endpoint, WHO.c.caller),
    "client": (WHO.c.family, WHO.c.version, WHO.c.caller),
    "caller": (WHO.c.caller,),
}
#: As the databases order it: by octets of UTF-8, which is the order of code points.
_KEYS: Mapping[Order, Callable[[Who], tuple[object, ...]]] = {
    "endpoint": lambda who: (who.endpoint, who.caller, who.number),
    "client": lambda who: (*who.client, who.caller, who.number),
    "caller": lambda who: (who.caller, who.number),
}


def paused(slices: Iterable[Sequence[_Row]], pause: Callable[[], None] | None) -> Iterator[_Row]:
    """All rows of some slices, with a pause after each slice."""
    for some in slices:
        yield from some
        if pause is not None:
            pause()


def check_there(address: StoreAddress) -> None:
    """Raise StoreFault if a ledger's file isn't there, or may not be read by this process."""
    if address.kind != "sqlite":
        return
    try:
        os.stat(address.path)
    except FileNotFoundError:
        raise StoreFault(address, "there is no such file", _NO_FILE) from None
    except PermissionError:
        raise StoreFault(address, "you may not enter its folder", _NO_RIGHT) from None
    if not os.access(address.path, os.R_OK):
        raise StoreFault(address, "you may not read it", _NO_RIGHT)


@contextmanager
def reading(address: StoreAddress) -> Iterator[tuple[Connection, int]]:
    """A connection to a ledger, and the version of its tables; raises StoreFault."""
    with told(address):
        check_there(address)
        with _engine(address).connect() as connection:
            version = version_of(connection)
            check_readable(version)
            if not version:
                raise StoreFault(address, "nothing has been written to it yet", "wait ten seconds")
            yield connection, version


def _engine(address: StoreAddress) -> Engine:
    if address.kind == "postgresql":
        return server_engine(address)
    uri = f"file:{quote(address.path)}?mode=ro"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=_LOCKED),
        poolclass=NullPool,
    )
