"""The ledger in a daemon: what a configuration changes of it, and that its stop loses nothing."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from chatredirect.config.usage_section import AUTO, StoreAddress, UsageSettings
from chatredirect.usage.ledger import UsageLedger
from chatredirect.usage.pseudonyms import pseudonym
from tests.held_clock import HeldClock
from tests.usage.uses import CHAT, rows, uses_by_caller
from tests.waiting import wait_until

SOON = 0.05
ANN = "sip:ann@contoso.com"


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(86400.0 * 1000)


@pytest.fixture
def ledger(tmp_path: Path, clock: HeldClock) -> UsageLedger:
    return UsageLedger({"STATE_DIRECTORY": str(tmp_path)}, clock, SOON)


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def file_in(folder: Path, name: str = "usage.db") -> StoreAddress:
    return StoreAddress("sqlite", str(folder / name))


def call(ledger: UsageLedger, number: int, caller: str = ANN) -> None:
    client = b"%b\na/1" % caller.encode()
    ledger.recorder.used(CHAT, b"call%d" % number, client, "looked_up", True, b"")


async def test_uses_are_written_every_interval_and_at_the_stop(
    ledger: UsageLedger, tmp_path: Path
) -> None:
    await ledger.serve(UsageSettings())
    call(ledger, 1)
    address = file_in(tmp_path)
    await wait_until(lambda: ledger.writer is not None and ledger.writer.written == 2)
    assert uses_by_caller(address) == {ANN: 1}
    call(ledger, 2)
    await ledger.close()
    call(ledger, 3)
    assert uses_by_caller(address) == {ANN: 2}


async def test_a_quiet_ledger_is_written_once_an_hour_and_a_day(
    ledger: UsageLedger, clock: HeldClock, tmp_path: Path
) -> None:
    """So a day without uses isn't taken for one on which nothing ran, and the disk may sleep."""
    await ledger.serve(UsageSettings())
    writer = ledger.writer
    assert writer is not None
    for written, step in enumerate((0, 3500, 200, 3600 * 22, 3600), 1):
        clock.now += step
        await wait_until(lambda n=written: writer.written >= n - (n > 1))  # type: ignore[misc]
    await wait_until(lambda: writer.written == 4)
    await ledger.close()
    assert rows(file_in(tmp_path), "SELECT day FROM usage_running") == [(1000,), (1001,)]


async def test_none_is_kept_without_a_state_directory(clock: HeldClock) -> None:
    ledger = UsageLedger({}, clock, SOON)
    await ledger.serve(UsageSettings(store=AUTO))
    assert (ledger.writer, ledger.recorder.on) == (None, False)
    await ledger.close()


async def test_a_reload_takes_it_elsewhere(ledger: UsageLedger, tmp_path: Path) -> None:
    """What was counted before goes where it belongs."""
    await ledger.serve(UsageSettings())
    call(ledger, 1)
    await ledger.serve(UsageSettings(store=file_in(tmp_path, "other.db")))
    call(ledger, 2)
    await ledger.serve(UsageSettings(store=None))
    call(ledger, 3)
    assert uses_by_caller(file_in(tmp_path)) == {ANN: 1}
    assert uses_by_caller(file_in(tmp_path, "other.db")) == {ANN: 1}
    await ledger.serve(UsageSettings())
    call(ledger, 4)
    await ledger.close()
    assert uses_by_caller(file_in(tmp_path)) == {ANN: 2}


async def test_a_reload_that_changes_nothing_of_it_leaves_it_alone(ledger: UsageLedger) -> None:
    await ledger.serve(UsageSettings())
    writer = ledger.writer
    await ledger.serve(UsageSettings(keep=30))
    assert ledger.writer is writer
    assert writer is not None
    assert writer.keep == 30
    await ledger.close()


@pytest.mark.parametrize("own", [True, False])
async def test_pseudonyms(ledger: UsageLedger, tmp_path: Path, own: bool) -> None:
    """One person has one, also after a restart; without the key none leads to a person."""
    file = tmp_path / ("usage.key" if own else "shared")
    if not own:
        file.write_text("a key that instances share\n")
    key_file = None if own else str(file)
    settings = UsageSettings(callers="pseudonyms", key_file=key_file)
    await ledger.serve(settings)
    call(ledger, 1)
    call(ledger, 2, "SIP:Ann@contoso.com;x=y")
    await ledger.close()
    again = UsageLedger({"STATE_DIRECTORY": str(tmp_path)}, HeldClock(86400.0 * 1000), SOON)
    await again.serve(settings)
    call(again, 3)
    await again.close()
    name = pseudonym(ANN, file.read_bytes().strip())
    assert uses_by_caller(file_in(tmp_path)) == {name: 3}
    assert b"ann" not in (tmp_path / "usage.db").read_bytes()
    if own:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_without_its_key_no_name_is_kept(
    ledger: UsageLedger, tmp_path: Path, said: list[EventDict]
) -> None:
    (tmp_path / "usage.key").write_text("short")
    await ledger.serve(UsageSettings(callers="pseudonyms"))
    call(ledger, 1)
    await ledger.close()
    assert uses_by_caller(file_in(tmp_path)) == {"unnamed": 1}
    assert [line["event"] for line in said] == ["usage_key_unreadable"]


async def test_callers_off(ledger: UsageLedger, tmp_path: Path) -> None:
    await ledger.serve(UsageSettings(callers="off"))
    call(ledger, 1)
    call(ledger, 2, "sip:bob@x")
    await ledger.close()
    assert uses_by_caller(file_in(tmp_path)) == {"unnamed": 2}


async def test_it_is_kept_from_the_start_although_its_store_is_away(
    ledger: UsageLedger, tmp_path: Path, said: list[EventDict]
) -> None:
    folder = tmp_path / "late"
    await ledger.serve(UsageSettings(store=file_in(folder)))
    call(ledger, 1)
    await wait_until(lambda: bool(said))
    folder.mkdir()
    call(ledger, 2)
    await wait_until(lambda: len(said) == 2)
    await ledger.close()
    assert uses_by_caller(file_in(folder)) == {ANN: 2}
    assert [line["event"] for line in said] == ["usage_not_stored", "usage_stored_again"]
