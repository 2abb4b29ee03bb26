"""Long work in short pieces, so that no request waits for it.

What takes seconds, as a hundred thousand endpoints do, gives way every few milliseconds, for at
least as long as it has worked: half of the processor is left to requests, whatever happens.

The garbage collector is part of that. A collection of everything stops the process for as long as
there are objects, and a new configuration is made of many that live long. So there is none while
one is built; afterwards everything is told apart from what will be looked through (`gc.freeze`).
What is dropped later goes by its reference counts, as nearly everything here does.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WORK = 0.002
"""Seconds of work before the event loop gets its turn."""
REST = 0.002
"""Seconds that it is left alone then."""


class Slicer:
    """Says when it is time to give way."""

    __slots__ = ("_begun", "_clock", "_rest", "_work")

    def __init__(
        self,
        work: float = WORK,
        rest: float = REST,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin to work.

        Args:
            work: seconds until it is time.
            rest: seconds to give way for; 0 for one turn of the event loop.
            clock: gives seconds.
        """
        self._work = work
        self._rest = rest
        self._clock = clock
        self._begun = clock()

    async def checkpoint(self) -> None:
        """Give way, if it is time."""
        if self._clock() - self._begun < self._work:
            return
        if not gc.isenabled():
            gc.collect(0)  # what requests left behind meanwhile; looks at the newest alone
        await asyncio.sleep(self._rest)
        self._begun = self._clock()


@contextmanager
def long_lived() -> Iterator[None]:
    """What is made within lives long: the garbage collector isn't to look at it."""
    gc.collect(1)  # what isn't needed any more would be kept with the rest
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
