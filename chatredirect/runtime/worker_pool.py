"""Does jobs when they are due, a limited number at a time, with one timer.

The owner knows when the next job is due and how to do one. When the timer fires, workers start;
each does one job after the other, and the last one sets the timer again. So ten thousand waiting
jobs cost no task, and one that fails doesn't stop the others.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSE_AFTER_CRASH = 1.0
"""Seconds that a worker pauses after an exception, so that it can't fill the log."""

log = structlog.get_logger()


class WorkerPool:
    """Runs `work` whenever a job is due.

    Attributes:
        running: whether it has been started, and not yet closed.
    """

    __slots__ = ("_clock", "_due", "_limit", "_tasks", "_timer", "_timer_at", "_work", "running")

    def __init__(
        self,
        due: Callable[[], float | None],
        work: Callable[[], Awaitable[bool]],
        clock: Callable[[], float],
        limit: int,
    ) -> None:
        """Do nothing yet.

        Args:
            due: returns when the next job is due, in seconds of `clock`; None if there is none.
            work: takes one job that is due and does it; returns False if there was none.
            clock: returns seconds.
            limit: jobs at a time.
        """
        self._due = due
        self._work = work
        self._clock = clock
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.running = False

    def start(self) -> None:
        """Begin, in a running loop."""
        self.running = True
        self.wake()

    def wake(self) -> None:
        """Ask `due` again: a job is new, or due at another time."""
        if not self.running:
            return
        due = self._due()
        if due is None:
            return
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        delay = max(0.0, due - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    async def aclose(self) -> None:
        """Stop, and cancel running jobs."""
        self.running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ring(self) -> None:
        self._timer = None
        self._start_worker()

    def _start_worker(self) -> None:
        """Start one more worker if a job is due; each worker with a job starts the next one."""
        if not self.running:
            return
        due = self._due()
        if due is None:
            return
        if due > self._clock():
            self.wake()
        elif len(self._tasks) < self._limit:
            task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start_worker()

    async def _run(self) -> None:
        asyncio.get_running_loop().call_soon(self._start_worker)
        while self.running:
            try:
                if not await self._work():
                    return
            except Exception:  # a fault with one job must not stop the others
                log.exception("background_work_crashed")
                await asyncio.sleep(PAUSE_AFTER_CRASH)
