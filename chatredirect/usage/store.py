"""Writes batches of uses to SQLite or PostgreSQL, each exactly once, by one code path.

Each batch gets a connection of its own: a server that was started anew, a database that came back
empty, and a file that was replaced are found by opening them, and nothing is remembered of what was
there before.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, delete, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.figures import read_figures
from chatredirect.usage.identity import REMOVED, ClientProduct
from chatredirect.usage.schema import (
    CLIENTS,
    DAYS,
    RUNNING,
    RUNS,
    TOTALS,
    WHO,
    migrate,
    number_of,
)
from chatredirect.usage.store_faults import told
from chatredirect.usage.tally import DAY, Batch, LedgerFigures, UsageKey

FILE_MODE = 0o640
"""The file of SQLite: the service writes, its group reads; whatever the umask is."""
_LOCKED = 2.0  # seconds that a lock of another program is waited for
_SLICE = 200  # rows that are handed to the driver at once
_BATCHES_KEPT = 7 * DAY  # seconds; a batch is repeated until it is written, by a process that lives
_SERVER_OPTIONS = "-c statement_timeout=30000 -c lock_timeout=5000"

#: Both databases take these; SQLite has no GREATEST and PostgreSQL no scalar max().
_ADD_WHO = text(
    """INSERT INTO usage_who
    (id, endpoint, caller, family, version, trusted, outcome, first, last)
    VALUES (:id, :endpoint, :caller, :family, :version, :trusted, :outcome, :first, :last)
    ON CONFLICT (id) DO UPDATE SET
    first = CASE WHEN excluded.first < usage_who.first THEN excluded.first
                 ELSE usage_who.first END,
    last = CASE WHEN excluded.last > usage_who.last THEN excluded.last ELSE usage_who.last END"""
)
_ADD_DAY = text(
    """INSERT INTO usage_days (who, day, uses) VALUES (:id, :day, :uses)
    ON CONFLICT (who, day) DO UPDATE SET uses = usage_days.uses + excluded.uses"""
)
_ADD_TOTAL = text(
    """INSERT INTO usage_totals (day, endpoint, trusted, outcome, uses)
    VALUES (:day, :endpoint, :trusted, :outcome, :uses)
    ON CONFLICT (day, endpoint, trusted, outcome)
    DO UPDATE SET uses = usage_totals.uses + excluded.uses"""
)
_ADD_CLIENT = text(
    """INSERT INTO usage_clients (day, family, version, trusted, uses)
    VALUES (:day, :family, :version, :trusted, :uses)
    ON CONFLICT (day, family, version, trusted)
    DO UPDATE SET uses = usage_clients.uses + excluded.uses"""
)
_ADD_RUNNING = text(
    """INSERT INTO usage_running (day, first, last) VALUES (:day, :at, :at)
    ON CONFLICT (day) DO UPDATE SET
    first = CASE WHEN excluded.first < usage_running.first THEN excluded.first
                 ELSE usage_running.first END,
    last = CASE WHEN excluded.last > usage_running.last THEN excluded.last
                ELSE usage_running.last END"""
)
_ADD_RUN = text(
    """INSERT INTO usage_runs (id, last, ended) VALUES (:id, :at, :ended)
    ON CONFLICT (id) DO UPDATE SET ended = excluded.ended,
    last = CASE WHEN excluded.last > usage_runs.last THEN excluded.last ELSE usage_runs.last END"""
)
_ADD_BATCH = text("INSERT INTO usage_batches (id, at) VALUES (:id, :at) ON CONFLICT DO NOTHING")
_FORGET_BATCHES = text("DELETE FROM usage_batches WHERE at < :before")

Row = Mapping[str, int | float | str]


class UsageStore:
    """A ledger that is written. Its methods block: they are for a thread."""

    def __init__(self, address: StoreAddress, pause: Callable[[], None] = lambda: None) -> None:
        """Connect to nothing yet; `pause` is called between slices, so that others get to run."""
        self.address = address
        self._pause = pause
        self._run = uuid4().hex
        self._engine = writing_engine(address)

    def write(self, batch: Batch, *, last: bool = False) -> bool:
        """Add a batch, unless it has been added before. Returns whether it was new.

        `last`: whether it is the last of this run, so that nothing of it is missing.

        Raises:
            StoreFault: nothing of it was added, or that isn't known: write the same one again.
        """
        with self._transaction() as connection:
            added = connection.execute(_ADD_BATCH, {"id": batch.id, "at": batch.at})
            if not added.rowcount:
                return False
            today = int(batch.at // DAY)
            connection.execute(_ADD_RUNNING, {"day": today, "at": batch.at})
            run = {"id": self._run, "at": batch.at, "ended": int(last)}
            connection.execute(_ADD_RUN, run)
            for who, days in _slices_of(batch):
                connection.execute(_ADD_WHO, who)
                connection.execute(_ADD_DAY, days)
                self._pause()
            for sums, add in ((_totals_of(batch), _ADD_TOTAL), (_clients_of(batch), _ADD_CLIENT)):
                if sums:
                    connection.execute(add, sums)
            return True

    def figures(self, now: float) -> LedgerFigures:
        """What it comes to.

        Raises:
            StoreFault: it can't be read.
        """
        with self._transaction() as connection:
            return read_figures(connection, now)

    def prune(self, now: float, keep: int) -> None:
        """Remove what is older than `keep` days.

        Raises:
            StoreFault: nothing was removed.
        """
        oldest = int(now // DAY) - keep
        with self._transaction() as connection:
            for table in (DAYS, TOTALS, CLIENTS, RUNNING):
                connection.execute(delete(table).where(table.c.day < oldest))
                self._pause()
            for lasting in (WHO, RUNS):
                connection.execute(delete(lasting).where(lasting.c.last < oldest * DAY))
            connection.execute(_FORGET_BATCHES, {"before": now - _BATCHES_KEPT})

    def forget(self, caller: str) -> int:
        """Put `REMOVED` in place of one caller. Returns in how many rows of days it was.

        The uses stay: without them an endpoint that was used yesterday would be safe to turn off.

        Raises:
            StoreFault: nothing was removed.
        """
        with self._transaction() as connection:
            removed = 0
            for who in connection.execute(WHO.select().where(WHO.c.caller == caller)).all():
                client = ClientProduct(who.family, who.version)
                key = UsageKey(0, who.endpoint, REMOVED, client, bool(who.trusted), who.outcome)
                nameless = {"id": number_of(key), "caller": REMOVED}
                connection.execute(_ADD_WHO, {**who._mapping, **nameless})
                days = connection.execute(DAYS.select().where(DAYS.c.who == who.id)).all()
                if days:
                    moved = [{**day._mapping, **nameless} for day in days]
                    connection.execute(_ADD_DAY, moved)
                connection.execute(delete(DAYS).where(DAYS.c.who == who.id))
                connection.execute(delete(WHO).where(WHO.c.id == who.id))
                removed += len(days)
            return removed

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with told(self.address):
            if self.address.kind == "sqlite":
                _create(self.address.path)
            with self._engine.begin() as connection:
                migrate(connection)
                yield connection


def _create(path: str) -> None:
    """Make the file with its mode, if there is none; SQLite would make it by the umask."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def writing_engine(address: StoreAddress) -> Engine:
    """Connections for writing: each transaction has the database's write lock from its beginning.

    SQLite keeps its rollback journal: to read a file with a write-ahead log, one must be allowed
    to write beside it, and those who may only read the ledger shall be able to.
    """
    if address.kind == "postgresql":
        return server_engine(address)
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address.path, timeout=_LOCKED, isolation_level=None),
        poolclass=NullPool,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # what is removed can't be read in the file any more, however SQLite was built
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def server_engine(address: StoreAddress) -> Engine:
    """Connections to PostgreSQL that end within seconds if it doesn't answer."""
    return create_engine(
        make_url(address.url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={
            "connect_timeout": 5,
            "options": _SERVER_OPTIONS,
            "application_name": "chatredirect",
            "tcp_user_timeout": 15_000,
            "keepalives_idle": 10,
        },
    )


def _slices_of(batch: Batch) -> Iterator[tuple[list[Row], list[Row]]]:
    """The rows for `usage_who` and `usage_days`, a slice at a time: all would take much memory.

    Their order is the same in all instances, so that none waits for another in a circle.
    """
    uses = sorted(((number_of(key), key) for key in batch.uses), key=_number_and_day)
    for start in range(0, len(uses), _SLICE):
        who: dict[int, Row] = {}
        days: list[Row] = []
        for number, key in uses[start : start + _SLICE]:
            use, known = batch.uses[key], who.get(number)
            who[number] = {
                "id": number,
                "endpoint": key.endpoint,
                "caller": key.caller,
                "family": key.client.family,
                "version": key.client.version,
                "trusted": int(key.trusted),
                "outcome": key.outcome,
                # another day's may be in the same slice
                "first": use.first if known is None else min(float(known["first"]), use.first),
                "last": use.last if known is None else max(float(known["last"]), use.last),
            }
            days.append({"id": number, "day": key.day, "uses": use.count})
        yield list(who.values()), days


def _number_and_day(use: tuple[int, UsageKey]) -> tuple[int, int]:
    return use[0], use[1].day


def _totals_of(batch: Batch) -> list[Row]:
    totals: dict[tuple[int, str, int, str], int] = {}
    for key, use in batch.uses.items():
        total = (key.day, key.endpoint, int(key.trusted), key.outcome)
        totals[total] = totals.get(total, 0) + use.count
    return [
        {"day": day, "endpoint": endpoint, "trusted": trusted, "outcome": outcome, "uses": uses}
        for (day, endpoint, trusted, outcome), uses in sorted(totals.items())
    ]


def _clients_of(batch: Batch) -> list[Row]:
    sums: dict[tuple[int, str, str, int], int] = {}
    for key, use in batch.uses.items():
        client = (key.day, *key.client, int(key.trusted))
        sums[client] = sums.get(client, 0) + use.count
    return [
        {"day": day, "family": family, "version": version, "trusted": trusted, "uses": uses}
        for (day, family, version, trusted), uses in sorted(sums.items())
    ]
