"""The tables of a ledger, and how an older one is brought to the newest version.

`usage_who` has a row for each combination of endpoint, caller, client and outcome, `usage_days` its
uses of each day; `usage_runs` says of each run of an instance whether it wrote all of its uses. A
day's row holds two numbers in place of six texts, so that 400 days of 10,000 callers are read in a
second; `usage_totals` answers what is asked by day or by endpoint, and `usage_clients` what is
asked by day and client.

A combination's number is a hash of it: it is known before the row is written, so all rows of a
batch go in one call, and ledgers of several machines have the same numbers.
"""

from hashlib import blake2b

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    inspect,
    text,
)

from chatredirect.usage.tally import UsageKey

_METADATA = MetaData()

WHO = Table(
    "usage_who",
    _METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("trusted", SmallInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("first", Double, nullable=False),
    Column("last", Double, nullable=False),
)
DAYS = Table(
    "usage_days",
    _METADATA,
    Column("who", BigInteger, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("uses", BigInteger, nullable=False),
)
TOTALS = Table(
    "usage_totals",
    _METADATA,
    Column("day", Integer, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("trusted", SmallInteger, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("uses", BigInteger, nullable=False),
)
CLIENTS = Table(
    "usage_clients",
    _METADATA,
    Column("day", Integer, primary_key=True),
    Column("family", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("trusted", SmallInteger, primary_key=True),
    Column("uses", BigInteger, nullable=False),
)
RUNNING = Table(
    "usage_running",
    _METADATA,
    Column("day", Integer, primary_key=True),
    Column("first", Double, nullable=False),
    Column("last", Double, nullable=False),
)
RUNS = Table(
    "usage_runs",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("last", Double, nullable=False),
    Column("ended", SmallInteger, nullable=False),
)

#: What makes each version of the one before. Both databases take it; only SQLite is told to store
#: rows by their primary key. A released step is never changed.
_STEPS = (
    (
        """CREATE TABLE usage_who (id BIGINT NOT NULL PRIMARY KEY, endpoint TEXT NOT NULL,
        caller TEXT NOT NULL, family TEXT NOT NULL, version TEXT NOT NULL,
        trusted SMALLINT NOT NULL, outcome TEXT NOT NULL, first DOUBLE PRECISION NOT NULL,
        last DOUBLE PRECISION NOT NULL){by_key}""",
        """CREATE TABLE usage_days (who BIGINT NOT NULL, day INTEGER NOT NULL,
        uses BIGINT NOT NULL, PRIMARY KEY (who, day)){by_key}""",
        """CREATE TABLE usage_totals (day INTEGER NOT NULL, endpoint TEXT NOT NULL,
        trusted SMALLINT NOT NULL, outcome TEXT NOT NULL, uses BIGINT NOT NULL,
        PRIMARY KEY (day, endpoint, trusted, outcome)){by_key}""",
        """CREATE TABLE usage_running (day INTEGER NOT NULL PRIMARY KEY,
        first DOUBLE PRECISION NOT NULL, last DOUBLE PRECISION NOT NULL){by_key}""",
        """CREATE TABLE usage_batches (id TEXT NOT NULL PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL){by_key}""",
    ),
    (
        """CREATE TABLE usage_runs (id TEXT NOT NULL PRIMARY KEY,
        last DOUBLE PRECISION NOT NULL, ended SMALLINT NOT NULL){by_key}""",
    ),
    (
        """CREATE TABLE usage_clients (day INTEGER NOT NULL, family TEXT NOT NULL,
        version TEXT NOT NULL, trusted SMALLINT NOT NULL, uses BIGINT NOT NULL,
        PRIMARY KEY (day, family, version, trusted)){by_key}""",
        """INSERT INTO usage_clients (day, family, version, trusted, uses)
        SELECT d.day, w.family, w.version, w.trusted, SUM(d.uses) FROM usage_days d
        JOIN usage_who w ON w.id = d.who GROUP BY d.day, w.family, w.version, w.trusted""",
    ),
)
VERSION = len(_STEPS)
"""The version of the schema that this program reads and writes."""
_LOCK = 0x63686174  # any number that nobody else locks in this database


class UnfitSchema(Exception):
    """The database is of a version that this program can't use."""


def version_of(connection: Connection) -> int:
    """The version of a database's tables; 0 if it has none of ours."""
    if not inspect(connection).has_table("usage_version"):
        return 0
    found = connection.execute(text("SELECT version FROM usage_version")).scalar()
    return int(found) if isinstance(found, int) else 0


def migrate(connection: Connection) -> None:
    """Bring a database to the newest version, within the caller's transaction.

    Raises:
        UnfitSchema: it is of a newer version; it stays as it is.
    """
    if version_of(connection) == VERSION:
        return
    if connection.dialect.name == "postgresql":  # several instances may begin at the same time
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    version = version_of(connection)
    check_readable(version)
    by_key = " WITHOUT ROWID" if connection.dialect.name == "sqlite" else ""
    if version == 0:
        connection.execute(text("CREATE TABLE usage_version (version INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO usage_version VALUES (0)"))
    for step in _STEPS[version:]:
        for statement in step:
            connection.execute(text(statement.format(by_key=by_key)))
    connection.execute(text("UPDATE usage_version SET version = :version"), {"version": VERSION})


def check_readable(version: int) -> None:
    """Raise UnfitSchema for a version that is newer than ours."""
    if version > VERSION:
        raise UnfitSchema(
            f"it has version {version} of the tables, written by a newer chatredirect; this one "
            f"knows version {VERSION}"
        )


def number_of(key: UsageKey) -> int:
    """The number of a combination, whatever its day: 63 bits of a hash."""
    parts = (key.endpoint, key.caller, *key.client, str(int(key.trusted)), key.outcome)
    # no part holds a line break: all are escaped
    digest = blake2b("\n".join(parts).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
