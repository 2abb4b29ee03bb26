"""A ledger in both databases: each use once, whatever is repeated, and versions of the tables."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from chatredirect.config.usage_section import StoreAddress, parse_store
from chatredirect.usage.reader import Ledgers
from chatredirect.usage.schema import VERSION
from chatredirect.usage.store import UsageStore, writing_engine
from chatredirect.usage.store_faults import StoreFault
from chatredirect.usage.tally import DAY, Batch
from chatredirect.usage.verdicts import verdicts_on
from tests.usage.postgres import PostgresServer
from tests.usage.uses import CHAT, LYNC, OC, batch, rows, use, uses_by_caller


def test_what_is_written_is_there(address: StoreAddress) -> None:
    store = UsageStore(address)
    assert store.write(batch(use(100), use(101), use(101, "sip:bob@x", client=LYNC), count=2))
    assert store.write(batch(use(101, trusted=False, outcome="looked_up")))
    query = "SELECT caller, family, version, trusted, outcome, first, last FROM usage_who"
    assert set(rows(address, query)) == {
        ("sip:ann@contoso.com", *OC, 1, "redirected", 100 * DAY, 101 * DAY + DAY / 2),
        ("sip:bob@x", *LYNC, 1, "redirected", 101 * DAY, 101 * DAY + DAY / 2),
        ("sip:ann@contoso.com", *OC, 0, "looked_up", 101 * DAY, 101 * DAY + DAY / 2),
    }
    query = "SELECT day, endpoint, trusted, outcome, uses FROM usage_totals"
    assert set(rows(address, query)) == {
        (100, CHAT, 1, "redirected", 2),
        (101, CHAT, 1, "redirected", 4),
        (101, CHAT, 0, "looked_up", 1),
    }


def test_a_batch_that_is_repeated_after_a_lost_answer_counts_once(address: StoreAddress) -> None:
    """The commit reached the database, and its answer didn't reach us."""
    store, lost = UsageStore(address), batch(use(100), count=3)
    assert store.write(lost)
    assert not store.write(lost)
    assert not UsageStore(address).write(lost)
    assert store.write(batch(use(100), count=4))
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 7}


def test_a_batch_that_fails_half_way_leaves_nothing(address: StoreAddress) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    half = batch(*(use(100, f"sip:{number}@x") for number in range(1000)))
    with pytest.raises(KeyboardInterrupt):
        UsageStore(address, pause=fail).write(half)
    store = UsageStore(address)
    store.write(batch(use(100)))
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 1}
    assert store.write(half)
    assert len(uses_by_caller(address)) == 1001


def test_first_and_last_stay_whatever_order_batches_come_in(address: StoreAddress) -> None:
    """An instance that was without its database for an hour writes old uses after new ones."""
    store = UsageStore(address)
    for day in (105, 100, 103):
        store.write(batch(use(day)))
    (row,) = rows(address, "SELECT first, last FROM usage_who")
    assert row == (100 * DAY, 105 * DAY + DAY / 2)


def test_several_instances_share_a_ledger(address: StoreAddress) -> None:
    """All begin at once with an empty database, and write the same rows in other orders."""
    faults: list[StoreFault] = []

    def instance(number: int) -> None:
        store = UsageStore(address)
        callers = [f"sip:{each}@x" for each in range(300)]
        for _ in range(3):
            each = batch(*(use(100, name) for name in callers[:: 1 - 2 * (number % 2)]))
            for _ in range(20):  # SQLite gives way only for so long
                try:
                    store.write(each)
                    break
                except StoreFault as fault:
                    if address.kind == "postgresql":
                        faults.append(fault)

    threads = [threading.Thread(target=instance, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert uses_by_caller(address) == {f"sip:{each}@x": 12 for each in range(300)}


def test_what_is_too_old_goes(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(use(100), use(100, "sip:gone@x"), at=100.0 * DAY))
    store.write(batch(use(500), at=500.0 * DAY))
    store.prune(500.0 * DAY + 5, keep=400)  # day 100 is the oldest that is kept
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 2, "sip:gone@x": 1}
    store.prune(501.0 * DAY, keep=400)
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 1}
    assert rows(address, "SELECT caller FROM usage_who") == [("sip:ann@contoso.com",)]
    assert rows(address, "SELECT day FROM usage_totals") == [(500,)]
    assert rows(address, "SELECT COUNT(*) FROM usage_batches") == [(1,)]


def test_one_person_is_removed(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(use(100), use(101), use(101, client=LYNC), use(101, "sip:bob@x")))
    store.write(batch(use(101, "sip:eve@x"), use(102, "sip:eve@x", trusted=False)))
    assert store.forget("sip:ann@contoso.com") == 3
    assert store.forget("sip:ann@contoso.com") == 0
    assert uses_by_caller(address) == {"sip:bob@x": 1, "sip:eve@x": 2, "removed": 3}
    # another one's uses are added to those of the first
    assert store.forget("sip:eve@x") == 2
    assert uses_by_caller(address) == {"sip:bob@x": 1, "removed": 5}
    nobodys = "SELECT COUNT(*) FROM usage_days WHERE who NOT IN (SELECT id FROM usage_who)"
    assert rows(address, nobodys) == [(0,)]
    if address.kind == "sqlite":
        octets = Path(address.path).read_bytes()
        assert b"sip:bob@x" in octets
        assert b"ann@contoso" not in octets, "what was removed can still be read in the file"
        assert b"eve@x" not in octets


def test_a_removed_person_still_keeps_an_endpoint_in_use(address: StoreAddress) -> None:
    """Else the verdict would be "safe to turn off" for one that somebody used yesterday."""
    store, now = UsageStore(address), 500.0 * DAY
    for day in range(400, 501):
        store.write(Batch(day * DAY + 1.0, {}))
    store.write(batch(use(499)))
    ledgers = Ledgers((address,))
    before = verdicts_on({}, ledgers, now, 30)
    store.forget("sip:ann@contoso.com")
    (verdict,) = verdicts_on({}, ledgers, now, 30)
    assert (verdict.state, verdict.recent, verdict.month) == ("in use", 1, 1)
    assert verdict.clients == before[0].clients
    assert verdict.last is not None
    assert (verdict.last.caller, verdict.last.last) == ("removed", 499.5 * DAY)


def test_a_newer_version_is_left_as_it_is(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(use(100)))
    with writing_engine(address).begin() as connection:
        connection.execute(text("UPDATE usage_version SET version = 99"))
    with pytest.raises(StoreFault, match=rf"version 99 .* newer .* knows version {VERSION}"):
        store.write(batch(use(101)))
    assert rows(address, "SELECT day FROM usage_days") == [(100,)]


def test_the_version_is_written_down(address: StoreAddress) -> None:
    UsageStore(address).write(Batch(0.0, {}))
    assert rows(address, "SELECT version FROM usage_version") == [(VERSION,)]
    assert rows(address, "SELECT first, last FROM usage_running") == [(0.0, 0.0)]


def test_a_server_that_is_killed_and_started_and_one_that_comes_back_empty(
    postgres: PostgresServer,
) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    address = parse_store(postgres.url)
    store = UsageStore(address)
    store.write(batch(use(100)))
    postgres.kill()
    waiting = batch(use(101))
    with pytest.raises(StoreFault, match="PostgreSQL says"):
        store.write(waiting)
    postgres.start()
    assert store.write(waiting)
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 2}
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert store.write(batch(use(102)))
    assert uses_by_caller(address) == {"sip:ann@contoso.com": 1}


def test_a_password_is_in_no_message() -> None:
    store = UsageStore(parse_store("postgresql://me:hunter22@127.0.0.1:1/db?password=hunter22"))
    with pytest.raises(StoreFault) as caught:
        store.write(batch(use(100)))
    assert "hunter22" not in f"{caught.value} {caught.value.why} {store.address!r}"
    assert str(store.address) == "postgresql://127.0.0.1:1/db"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_the_file_is_for_the_service_and_its_group(tmp_path: Path, umask: int) -> None:
    path, before = tmp_path / "usage.db", os.umask(umask)
    try:
        UsageStore(StoreAddress("sqlite", str(path))).write(batch(use(100)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(StoreFault, match="it is no SQLite database: move the file away"):
        UsageStore(StoreAddress("sqlite", str(path))).write(batch(use(100)))
    assert path.read_bytes() == b"no database" * 500


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    store = UsageStore(StoreAddress("sqlite", str(path)))
    store.write(batch(*(use(100, f"sip:{number}@x") for number in range(500))))
    damaged = path.read_bytes()[:4096] + b"\xaa" * (path.stat().st_size - 4096)
    path.write_bytes(damaged)
    with pytest.raises(StoreFault, match="it is damaged"):
        store.write(batch(use(100)))
    assert path.read_bytes() == damaged


def test_a_locked_file(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    store, waiting = UsageStore(StoreAddress("sqlite", str(path))), batch(use(101))
    store.write(batch(use(100)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreFault, match="another program holds it locked"):
        store.write(waiting)
    other.execute("ROLLBACK")
    other.close()
    assert store.write(waiting)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    store = UsageStore(StoreAddress("sqlite", str(tmp_path / "gone" / "usage.db")))
    with pytest.raises(StoreFault, match=f"there is no folder {tmp_path}/gone: make it"):
        store.write(batch(use(100)))


def test_uses_by_client_are_made_of_an_older_ledgers_days(address: StoreAddress) -> None:
    """A ledger of the second version: the chart of the page has the days before, too."""
    store = UsageStore(address)
    store.write(batch(use(100, ann := "sip:ann@contoso.com"), count=3))
    store.write(batch(use(100, "sip:bob@contoso.com", client=LYNC, trusted=False)))
    with writing_engine(address).begin() as connection:
        connection.execute(text("DROP TABLE usage_clients"))
        connection.execute(text("UPDATE usage_version SET version = 2"))
    store.write(batch(use(100, ann), use(101, ann)))
    found = rows(address, "SELECT day, family, trusted, uses FROM usage_clients")
    assert sorted(found) == [
        (100, LYNC.family, 0, 1),
        (100, OC.family, 1, 4),
        (101, OC.family, 1, 1),
    ]
    store.prune(501 * DAY, 400)
    assert rows(address, "SELECT day FROM usage_clients") == [(101,)]
