"""The writer's thread and real faults: what is said, what is bounded, and that nothing is lost."""

import asyncio
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from chatredirect.config.usage_section import StoreAddress, parse_store
from chatredirect.usage.schema import VERSION
from chatredirect.usage.store import UsageStore, writing_engine
from chatredirect.usage.tally import DAY, Batch, LedgerFigures
from chatredirect.usage.writer import UsageWriter
from tests.usage.postgres import PostgresServer
from tests.usage.uses import batch, rows, use, uses_by_caller
from tests.waiting import wait_until

SOON = 0.05
ANN = "sip:ann@contoso.com"


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def events(said: list[EventDict]) -> list[str]:
    return [line["event"] for line in said if line["log_level"] != "debug"]


def writer_to(address: StoreAddress, interval: float = SOON) -> UsageWriter:
    return UsageWriter(lambda: UsageStore(address), keep=400, interval=interval)


async def outage(writer: UsageWriter, said: list[EventDict], end: Callable[[], object]) -> None:
    """A batch during an outage, several attempts, and the next batch after it."""
    writer.submit(batch(use(100), count=3))
    await wait_until(lambda: writer.failing is not None)
    await asyncio.sleep(5 * SOON)
    assert not writer.idle, "it takes more while it can't write"
    assert writer.waiting == 1, "the metric of rows that wait leaves out the writer's batch"
    end()
    await wait_until(lambda: writer.idle)
    assert (writer.failing, writer.waiting) == (None, 0)
    writer.submit(batch(use(101)))
    await wait_until(lambda: writer.idle)
    assert events(said) == ["usage_not_stored", "usage_stored_again"], "each once"
    writer.close(Batch(0.0, {}))
    assert writer.join(20)


async def test_what_is_submitted_is_written_and_so_is_the_last(address: StoreAddress) -> None:
    writer = writer_to(address)
    writer.submit(batch(use(100)))
    await wait_until(lambda: writer.idle)
    writer.submit(batch(use(101)))
    writer.close(batch(use(102)))
    assert writer.join(20)
    assert uses_by_caller(address) == {ANN: 3}


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KB, which root alone can mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "chatredirect-test", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(file: Path) -> None:
    with suppress(OSError), open(file, "wb", buffering=0) as stream:
        while True:
            stream.write(bytes(1024))


async def test_a_full_disk(tmpfs: Path, said: list[EventDict]) -> None:
    address = StoreAddress("sqlite", str(tmpfs / "usage.db"))
    UsageStore(address).write(batch(use(99)))
    filler = tmpfs / "filler"
    fill(filler)
    await outage(writer_to(address), said, filler.unlink)
    assert said[0]["why"] == "no space is left for it"
    assert uses_by_caller(address) == {ANN: 5}


async def test_a_disk_that_is_full_before_there_is_a_ledger(
    tmpfs: Path, said: list[EventDict]
) -> None:
    address = StoreAddress("sqlite", str(tmpfs / "usage.db"))
    filler = tmpfs / "filler"
    filler.write_bytes(bytes(128 * 1024))
    await outage(writer_to(address), said, filler.unlink)
    assert said[0]["why"] == "no space is left for it"
    assert uses_by_caller(address) == {ANN: 4}


async def test_a_read_only_file_system(tmpfs: Path, said: list[EventDict]) -> None:
    address = StoreAddress("sqlite", str(tmpfs / "usage.db"))
    UsageStore(address).write(batch(use(99)))

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", tmpfs], check=True)

    remount("ro")
    await outage(writer_to(address), said, lambda: remount("rw"))
    assert said[0]["why"] == "it may not be written"
    assert uses_by_caller(address) == {ANN: 5}


async def test_a_corrupt_file_that_is_moved_away(tmp_path: Path, said: list[EventDict]) -> None:
    path = tmp_path / "usage.db"
    path.write_bytes(b"\xaa" * 8192)
    address = StoreAddress("sqlite", str(path))
    await outage(writer_to(address), said, lambda: path.rename(tmp_path / "damaged"))
    assert said[0]["remedy"].startswith("move the file away")
    assert uses_by_caller(address) == {ANN: 4}
    assert (tmp_path / "damaged").read_bytes() == b"\xaa" * 8192


async def test_a_locked_database(tmp_path: Path, said: list[EventDict]) -> None:
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    UsageStore(address).write(batch(use(99)))
    other = sqlite3.connect(address.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await outage(writer_to(address), said, other.close)
    assert said[0]["why"] == "another program holds it locked"
    assert uses_by_caller(address) == {ANN: 5}


async def test_a_newer_version(address: StoreAddress, said: list[EventDict]) -> None:
    UsageStore(address).write(batch(use(99)))

    def set_version(number: int) -> None:
        with writing_engine(address).begin() as connection:
            connection.exec_driver_sql(f"UPDATE usage_version SET version = {number}")

    set_version(99)
    await outage(writer_to(address), said, lambda: set_version(VERSION))
    assert "version 99" in said[0]["why"]
    assert uses_by_caller(address) == {ANN: 5}


async def test_a_server_that_is_away_and_comes_back_empty(
    postgres: PostgresServer, said: list[EventDict]
) -> None:
    address = parse_store(postgres.url)
    UsageStore(address).write(batch(use(99)))
    # before it goes: else the writer may be quicker
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    postgres.kill()
    await outage(writer_to(address), said, postgres.start)
    assert uses_by_caller(address) == {ANN: 4}


async def test_the_end_says_what_is_lost(tmp_path: Path, said: list[EventDict]) -> None:
    writer = writer_to(StoreAddress("sqlite", str(tmp_path / "gone" / "usage.db")))
    writer.submit(batch(use(100), count=3))
    await wait_until(lambda: writer.failing is not None)
    writer.close(batch(use(100), count=4))
    assert not writer.join(20)
    assert events(said) == ["usage_not_stored", "usage_lost"]
    assert said[-1]["uses"] == 7


async def test_the_end_tries_once_more(tmp_path: Path, said: list[EventDict]) -> None:
    folder = tmp_path / "late"
    address = StoreAddress("sqlite", str(folder / "usage.db"))
    writer = writer_to(address, interval=3600)
    writer.submit(batch(use(100), count=3))
    await wait_until(lambda: writer.failing is not None)
    folder.mkdir()
    writer.close(batch(use(100), count=4))
    assert writer.join(20)
    assert uses_by_caller(address) == {ANN: 7}
    assert events(said) == ["usage_not_stored", "usage_stored_again"]


class HungStore:
    """A store that doesn't answer, like a network file system that is away."""

    address = "hung"

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def write(self, _batch: Batch, *, last: bool = False) -> bool:
        return self.let_go.wait(60)

    def prune(self, now: float, keep: int) -> None:
        pass

    def figures(self, now: float) -> LedgerFigures:
        raise ZeroDivisionError


async def test_a_store_that_hangs_holds_nobody_up(said: list[EventDict]) -> None:
    store = HungStore()
    writer = UsageWriter(lambda: store, keep=400, interval=SOON)
    writer.submit(batch(use(100)))
    began = time.monotonic()
    writer.close(batch(use(101)))
    assert not writer.join(0.2)
    assert time.monotonic() - began < 20
    assert events(said) == ["usage_lost"]
    store.let_go.set()
    assert writer.join(20)  # or its thread would log in the next test


class FaultyStore(HungStore):
    """A fault of ours, the first time."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def write(self, batch: Batch, *, last: bool = False) -> bool:
        self.batches.append(batch)
        if len(self.batches) == 1:
            raise RuntimeError("ours")
        return True


async def test_a_fault_of_ours_doesn_t_end_the_thread(said: list[EventDict]) -> None:
    store = FaultyStore()
    writer = UsageWriter(lambda: store, keep=400, interval=SOON)
    writer.submit(batch(use(100)))
    # the second is of the figures, which are made after the batch
    await wait_until(lambda: events(said).count("usage_writer_failed") == 2)
    assert store.batches[0] is store.batches[1]
    told = events(said)
    assert told[0] == "usage_writer_failed"
    without = [each for each in told if each != "usage_writer_failed"]
    assert without == ["usage_not_stored", "usage_stored_again"]
    writer.close(Batch(0.0, {}))
    assert writer.join(20)


async def test_what_is_too_old_goes_with_the_first_batch_of_a_day(tmp_path: Path) -> None:
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    UsageStore(address).write(batch(use(100)))
    writer = writer_to(address)
    writer.submit(batch(use(501), at=501.0 * DAY))
    await wait_until(lambda: writer.idle)
    writer.close(Batch(0.0, {}))
    assert writer.join(20)
    assert rows(address, "SELECT day FROM usage_days") == [(501,)]
    assert os.listdir(tmp_path) == ["usage.db"], "no journal stays"
