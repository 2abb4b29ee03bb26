"""Long work in slices, so that no request waits for it.

Work that takes seconds, as with a hundred thousand endpoints, yields to the event loop every few
milliseconds, for at least as long as it has worked. So half of the processor is left to requests.

A full garbage collection would delay requests, too: it examines every object, and a configuration
has many. So the collector is off while one is built, and `gc.freeze` excludes its objects
afterwards; reference counts free them later. `collector` has what applies to all other objects.
"""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WORK = 0.002
"""Seconds of work before the event loop gets its turn."""
REST = 0.002
"""Seconds that the event loop then has."""
TURN_OF_A_THREAD = 0.0002
"""Seconds for which a thread that computes keeps the interpreter from the event loop."""


class Slicer:
    """Yields to the event loop when a slice is over."""

    __slots__ = ("_begun", "_clock", "_rest", "_work")

    def __init__(
        self,
        work: float = WORK,
        rest: float = REST,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin a slice of `work` seconds, by `clock`.

        After each, the event loop has `rest` seconds; 0 for one turn of it.
        """
        self._work = work
        self._rest = rest
        self._clock = clock
        self._begun = clock()

    async def checkpoint(self) -> None:
        """Yield to the event loop if the slice is over."""
        if self._clock() - self._begun < self._work:
            return
        if not gc.isenabled():
            gc.collect(0)  # the garbage of requests meanwhile: only the youngest generation
        await asyncio.sleep(self._rest)
        self._begun = self._clock()


class _ShortTurns:
    """Has all threads hand the interpreter over soon, while one of them is in here.

    A thread that computes keeps the interpreter for five milliseconds, and the event loop, which
    gives it away with every system call, would wait so long for each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(TURN_OF_A_THREAD)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._before)


short_turns = _ShortTurns()
"""For a thread beside the event loop, around what takes it long."""


@contextmanager
def long_lived() -> Iterator[None]:
    """Exclude objects that are created within from garbage collection."""
    gc.collect(1)  # or garbage would be frozen as well
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
