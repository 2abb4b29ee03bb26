"""The timer of all that waits in a heap."""

import asyncio

import pytest
from structlog.testing import capture_logs

from chatredirect.runtime import work_list
from chatredirect.runtime.work_list import Timer
from tests.waiting import wait_until


async def test_the_earliest_time_counts_and_is_forgotten() -> None:
    """One call for many times; what is called asks for the next."""
    loop = asyncio.get_running_loop()
    calls: list[float] = []
    asked = Timer(loop, lambda: calls.append(loop.time()), "test")
    begin = loop.time()
    for seconds in (3600.0, 0.01, 7200.0):
        asked.at(begin + seconds)
    await wait_until(lambda: bool(calls))
    await asyncio.sleep(0.1)
    assert len(calls) == 1
    assert calls[0] >= begin + 0.01


async def test_a_fault_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception reaches the event loop's handler, and the next time comes."""
    monkeypatch.setattr(work_list, "_AFTER_A_FAULT", 0.0)
    loop = asyncio.get_running_loop()
    reached: list[object] = []
    loop.set_exception_handler(lambda _, context: reached.append(context))
    calls: list[int] = []

    def fail_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    with capture_logs() as logs:
        Timer(loop, fail_once, "test").at(loop.time())
        await wait_until(lambda: len(calls) == 2)
    assert [each["event"] for each in logs] == ["test_timer_failed"]
    assert not reached


async def test_closed_it_calls_nobody() -> None:
    """A daemon that has ended does nothing any more."""
    loop = asyncio.get_running_loop()
    calls: list[int] = []
    asked = Timer(loop, lambda: calls.append(1), "test")
    asked.at(loop.time())
    asked.close()
    await asyncio.sleep(0.15)
    assert not calls
