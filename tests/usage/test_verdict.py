"""What is read of ledgers, and what is concluded of it, in both databases."""

import os
import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import text

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.grouping import day_of, grouped, monday_of, written_day
from chatredirect.usage.reader import Ledgers
from chatredirect.usage.store import UsageStore, writing_engine
from chatredirect.usage.store_faults import StoreFault
from chatredirect.usage.tally import DAY, Batch
from chatredirect.usage.verdicts import Verdict, changed_at, verdicts_on
from tests.usage.uses import CHAT, LYNC, batch, use

TODAY = 1000
NOW = TODAY * DAY + DAY / 2
ANN, BOB, EVE = "sip:ann@contoso.com", "sip:bob@contoso.com", "sip:eve@x"


def running(store: UsageStore, begin: int, *without: int) -> None:
    """An instance ran from a day on, and runs now."""
    for day in range(begin, TODAY):
        if day not in without:
            store.write(Batch(day * DAY + 60.0, {}))
    store.write(Batch(NOW - 60, {}))


def judged(
    address: StoreAddress, endpoint: str = CHAT, quiet_for: int = 30, *, trusted_only: bool = True
) -> Verdict:
    (found,) = verdicts_on({endpoint: trusted_only}, Ledgers((address,)), NOW, quiet_for)
    return found


def test_in_use(address: StoreAddress) -> None:
    store = UsageStore(address)
    running(store, 900)
    store.write(batch(use(TODAY - 20), use(TODAY - 20, BOB, client=LYNC)))
    store.write(batch(use(TODAY - 2, BOB, client=LYNC), at=NOW))
    found = judged(address)
    assert (found.state, found.recent, found.month) == ("in use", 1, 2)
    assert found.last is not None
    assert found.last.caller == BOB
    assert found.clients == ("Lync 2010 4.0.7577.0", "Office Communicator 2007 R2 3.5.6907.196")
    assert found.unknown == ()


def test_quiet_and_then_safe(address: StoreAddress) -> None:
    store = UsageStore(address)
    running(store, 900)
    store.write(batch(use(TODAY - 20), at=NOW))
    assert judged(address).state == "quiet"
    assert judged(address, quiet_for=15).state == "safe to turn off"
    assert judged(address, "sip:never@contoso.com").state == "safe to turn off"


def test_an_endpoint_that_may_be_new_isnt_safe_to_turn_off(
    address: StoreAddress, tmp_path: Path
) -> None:
    """The ledger is old enough, but the endpoint's file was changed 10 days ago."""
    store = UsageStore(address)
    running(store, 900)
    store.write(batch(use(TODAY - 50), at=NOW))
    path = tmp_path / "new.yaml"
    path.write_text("")
    new = EndpointSettings(sip_address="new@contoso.com", pool_fqdn="pool.contoso.com")
    object.__setattr__(new, "source", f"{path}:1")
    name = str(new.sip_address)

    def judged_after(days: int) -> tuple[str, tuple[str, ...]]:
        os.utime(path, (NOW - days * DAY, NOW - days * DAY))
        changed = changed_at([new]) | {CHAT: NOW - days * DAY}
        wanted = {name: True, CHAT: True}
        found, used = verdicts_on(wanted, Ledgers((address,)), NOW, 30, changed)
        assert used.state == "safe to turn off", "one that was used can't be new"
        return found.state, found.unknown

    (unknown,) = judged_after(10)[1]
    day = written_day(TODAY - 10)
    assert unknown == f"whether it was served before {day}, when its file was last changed"
    assert judged_after(10)[0] == "quiet"
    assert judged_after(31) == ("safe to turn off", ())
    path.unlink()
    assert changed_at([new]) == {name: 0.0}


def test_strangers_don_t_decide_where_only_trusted_peers_are_served(address: StoreAddress) -> None:
    store = UsageStore(address)
    running(store, 900)
    store.write(batch(use(TODAY - 1, EVE, trusted=False), at=NOW))
    found = judged(address)
    assert found.state == "safe to turn off"
    assert found.strangers is not None
    assert found.strangers.caller == EVE
    assert judged(address, trusted_only=False).state == "in use"


def test_a_ledger_that_is_too_young(address: StoreAddress) -> None:
    running(UsageStore(address), TODAY - 5)
    found = judged(address)
    assert found.state == "quiet"
    assert found.unknown == (f"what was before {written_day(TODAY - 5)}, when the ledger began",)


def test_days_on_which_nothing_ran(address: StoreAddress) -> None:
    running(UsageStore(address), 900, TODAY - 3, TODAY - 40)
    found = judged(address)
    assert found.state == "quiet"
    assert found.unknown == (f"what was on {written_day(TODAY - 3)}: no instance ran",)


def test_a_run_that_wrote_its_last_uses_and_one_that_did_not(address: StoreAddress) -> None:
    """Killed, or stopped while its store was away: what it took with it isn't known."""
    running(UsageStore(address), 900)
    ended, killed = UsageStore(address), UsageStore(address)
    for store in (ended, killed):
        store.write(Batch((TODAY - 9) * DAY + 60.0, {}))
    ended.write(Batch((TODAY - 9) * DAY + 120.0, {}), last=True)
    found = judged(address)
    assert found.state == "quiet"
    at = f"{written_day(TODAY - 9)}T00:01Z"
    assert found.unknown == (
        f"what came after {at}: an instance ended without writing its last uses",
    )


def test_a_ledger_of_the_first_version_is_read_as_it_is(address: StoreAddress) -> None:
    running(UsageStore(address), 900)
    with writing_engine(address).begin() as connection:
        for later in ("usage_runs", "usage_clients"):
            connection.execute(text(f"DROP TABLE {later}"))
        connection.execute(text("UPDATE usage_version SET version = 1"))
    assert judged(address).state == "safe to turn off"
    UsageStore(address).write(batch(use(TODAY)))
    assert judged(address).state == "in use", "the writer has brought it to the new version"


def test_a_daemon_that_is_down(address: StoreAddress) -> None:
    store = UsageStore(address)
    for day in range(900, TODAY):
        store.write(Batch(day * DAY + 60.0, {}))
    found = judged(address)
    assert found.state == "quiet"
    assert "no instance has written since" in found.unknown[0]


def test_rows(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(use(TODAY - 40, BOB), use(TODAY - 8), use(TODAY - 1), count=3))
    store.write(batch(use(TODAY, EVE, trusted=False, client=LYNC)))
    ledgers = Ledgers((address,))

    def shown(by: str, *endpoints: str) -> list[tuple[str, int, int, int]]:
        rows = grouped(ledgers, by, TODAY - 30, endpoints)  # type: ignore[arg-type]
        return [(row.name, row.uses, row.strangers, row.callers) for row in rows]

    assert shown("endpoint") == [(CHAT, 6, 1, 2)]
    assert shown("endpoint", "sip:other@contoso.com") == []
    assert shown("caller") == [(ANN, 6, 0, 1), (EVE, 0, 1, 1)]
    assert [row[:3] for row in shown("client")] == [
        ("Office Communicator 2007 R2 3.5.6907.196", 6, 0),
        ("Lync 2010 4.0.7577.0", 0, 1),
    ]
    assert [(name, uses) for name, uses, *_ in shown("day", CHAT)] == [
        (written_day(TODAY - 8), 3),
        (written_day(TODAY - 1), 3),
        (written_day(TODAY), 0),
    ]
    weeks = {written_day(monday_of(TODAY - 8)): 3, written_day(monday_of(TODAY)): 3}
    assert {name: uses for name, uses, *_ in shown("week")} == weeks


def test_ledgers_of_two_machines_are_added_up(tmp_path: Path) -> None:
    addresses = [StoreAddress("sqlite", str(tmp_path / name)) for name in ("a", "b")]
    for number, address in enumerate(addresses):
        store = UsageStore(address)
        store.write(batch(use(TODAY - number), count=2))
        running(store, TODAY - 100, TODAY - 3 - number)
    ledgers = Ledgers(tuple(addresses))
    (row,) = grouped(ledgers, "caller", TODAY - 30)
    assert (row.uses, row.last) == (4, TODAY * DAY + DAY / 2)
    (found,) = verdicts_on({CHAT: True}, ledgers, NOW, 30)
    assert found.unknown == (), "one of the two ran on each day"


def test_the_memory_of_reading_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """Neither for verdicts nor for rows that aren't about callers."""
    most = []
    for number in (4000, 20_000):
        address = StoreAddress("sqlite", str(tmp_path / f"{number}.db"))
        UsageStore(address).write(batch(*(use(TODAY, f"sip:u{n}@x") for n in range(number))))
        ledgers = Ledgers((address,))
        tracemalloc.start()
        (found,) = verdicts_on({CHAT: True}, ledgers, NOW, 30)
        (row,) = grouped(ledgers, "client", TODAY - 30)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (found.month, row.callers) == (number, number)
    assert most[1] < 2 * most[0]


def test_more_endpoints_than_a_query_can_name(address: StoreAddress) -> None:
    UsageStore(address).write(batch(use(TODAY), use(TODAY, endpoint="sip:gone@x")))
    wanted = {f"sip:room{n}@contoso.com": True for n in range(40_000)} | {CHAT: True}
    found = verdicts_on(wanted, Ledgers((address,)), NOW, 30)
    assert [each.endpoint for each in found if each.last] == [CHAT]


def test_a_ledger_is_read_without_the_right_to_write_it(tmp_path: Path) -> None:
    """Its file and folder stay as they are."""
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    UsageStore(address).write(batch(use(TODAY)))
    before = (tmp_path / "usage.db").stat()
    list(Ledgers((address,)).who("caller", 0))
    after = (tmp_path / "usage.db").stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert [each.name for each in tmp_path.iterdir()] == ["usage.db"]
    with pytest.raises(StoreFault, match="there is no such file"):
        Ledgers((StoreAddress("sqlite", str(tmp_path / "gone")),)).running()
    assert not (tmp_path / "gone").exists()


def test_an_empty_file_and_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    path.touch()
    address = StoreAddress("sqlite", str(path))
    with pytest.raises(StoreFault, match="nothing has been written to it yet"):
        Ledgers((address,)).running()


@pytest.mark.parametrize(
    ("written", "day"),
    [("0d", TODAY), ("30d", TODAY - 30), ("1970-01-02", 1), ("2026-11-28", 20785)],
)
def test_since(written: str, day: int) -> None:
    assert day_of(written, TODAY) == day


@pytest.mark.parametrize(
    "written", ["", "d", "-3d", "30", "yesterday", "2026-13-01", "9999999d", "³d"]
)
def test_since_in_no_form(written: str) -> None:
    with pytest.raises(ValueError, match="is neither a number of days"):
        day_of(written, TODAY)
