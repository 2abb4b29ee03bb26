"""A hundred thousand callers go in slices: no answer waits for them, and memory is bounded."""

import asyncio
import time
import tracemalloc
from functools import partial
from pathlib import Path

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import Batch, UsageCount
from chatredirect.usage.writer import SLICE_REST, UsageWriter
from tests.usage.uses import use

CALLERS = 50_000  # as many as may wait


def large() -> Batch:
    keys = [use(1000, f"sip:user{number}@contoso.com") for number in range(CALLERS)]
    return Batch(1000 * 86400.0, {key: UsageCount(1, 1.0, 2.0) for key in keys})


async def test_the_loop_goes_on_while_a_large_batch_is_written(tmp_path: Path) -> None:
    """Most turns are hardly late; an answer waits a few milliseconds and not for the batch."""
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    pause = partial(time.sleep, SLICE_REST)
    writer = UsageWriter(lambda: UsageStore(address, pause), keep=400, interval=0.1)
    writer.submit(large())
    began, late = time.monotonic(), []
    while not writer.idle:
        before = time.monotonic()
        await asyncio.sleep(0.001)
        late.append(time.monotonic() - before - 0.001)
    seconds = time.monotonic() - began
    assert writer.written == 1
    late.sort()
    assert late[len(late) // 2] < seconds / 20
    assert late[int(len(late) * 0.95)] < seconds / 5
    writer.close(Batch(0.0, {}))
    assert writer.join(20)


def test_the_memory_of_writing_is_that_of_a_slice(tmp_path: Path) -> None:
    store = UsageStore(StoreAddress("sqlite", str(tmp_path / "usage.db")))
    store.write(Batch(1000 * 86400.0, {}))
    batch = large()
    tracemalloc.start()
    store.write(batch)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20
