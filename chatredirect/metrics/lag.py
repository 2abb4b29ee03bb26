"""How late the event loop is: everything that it does besides waits that long, too."""

import asyncio
from time import perf_counter

from chatredirect.runtime.histogram import Histogram

INTERVAL = 0.5
"""Seconds between two looks."""


class Lag:
    """A timer that rings in vain, and sees how late it is.

    Attributes:
        seen: how late it was.
    """

    __slots__ = ("_due", "_loop", "_timer", "seen")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on."""
        self.seen = Histogram()
        self._loop = loop
        self._wait()

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._due = perf_counter() + INTERVAL
        self._timer = self._loop.call_later(INTERVAL, self._ring)

    def _ring(self) -> None:
        self.seen.observe(max(0.0, perf_counter() - self._due))
        self._wait()
