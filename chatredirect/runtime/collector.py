"""When Python's garbage collector looks at all objects: not because a peer sends more.

Reference counts free what is kept of requests (tests/runtime/test_garbage.py), so the collector
finds next to nothing. But by itself it looks at all objects again and again while more and more
requests are open, and nobody gets a response until it is done. So a full collection happens where
it is short, since little is open, or where memory may be at stake, since very many objects have
stayed since the last one. docs/decisions/collector.md has the reasons.
"""

import asyncio
import gc
import time
from collections.abc import Callable

YOUNG, MIDDLE = 700, 10
"""Python 3.11's own thresholds: objects that may be new until the new ones are looked at, and how
often until those that have stayed once are looked at as well. What has stayed twice isn't."""
MOST = 100
"""Collections of those that have stayed once until all objects are looked at. At each, 7,700 at
most can have stayed: 770,000 altogether, some 100 MB."""
INTERVAL = 10.0
"""Seconds between two looks whether a full collection would be short."""
FEW = 1000
"""Open transactions and dialogs up to which it is: they are some thousands of objects."""
_REST = 10_000
"""Times what a full collection has taken until the next one: 5 ms every 50 seconds."""


def make_full_collections_rare() -> None:
    """From now on Python makes a full collection by itself only if memory may be at stake."""
    gc.set_threshold(YOUNG, MIDDLE, MOST)


def forget_frames(error: BaseException) -> None:
    """Take the tracebacks from an exception that is over, and from those that led to it.

    asyncio's frames hold the future of a failed handshake, which holds the exception: a cycle, with
    the connection and its buffers in it.
    """
    found: BaseException | None = error
    while found is not None and found.__traceback__ is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__


class IdleCollector:
    """Makes a full collection where there may be something to collect and little is open."""

    __slots__ = ("_clock", "_count_open", "_handle", "_loop", "_not_before")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        count_open: Callable[[], int],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Look whether it is time, again and again.

        Args:
            count_open: how many transactions and dialogs there are.
            clock: gives seconds.
        """
        self._loop = loop
        self._count_open = count_open
        self._clock = clock
        self._not_before = 0.0
        self._handle = loop.call_later(INTERVAL, self._look)

    def close(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _look(self) -> None:
        self._handle = self._loop.call_later(INTERVAL, self._look)
        begun = self._clock()
        stayed = gc.get_count()[2] > 0  # else hardly anything has
        # while a configuration is made, the collector is off: see `long_lived`
        if stayed and gc.isenabled() and begun >= self._not_before and self._count_open() <= FEW:
            gc.collect()
            now = self._clock()
            self._not_before = now + _REST * (now - begun)
