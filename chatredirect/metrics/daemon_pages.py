"""The pages that HTTP serves: /metrics, /healthz and /readyz.

However many ask at the same time, an answer is made once: who asks while it is being made, or
within a second, gets the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chatredirect.http.pages import Page
from chatredirect.metrics import daemon, pools, traffic
from chatredirect.metrics.exposition import CONTENT_TYPE, exposition, process
from chatredirect.metrics.ready import Readiness, readiness
from chatredirect.metrics.view import Reading, View

FRESH = 1.0
"""Seconds for which an answer is given out again."""


T = TypeVar("T")


class _Kept(Generic[T]):
    """Something that is made when it is asked for, and kept for a moment."""

    __slots__ = ("_clock", "_lock", "_made", "_make")

    def __init__(self, make: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._make = make
        self._clock = clock
        self._made: tuple[T, float] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        async with self._lock:
            if self._made is None or self._clock() - self._made[1] >= FRESH:
                self._made = await self._make(), self._clock()
            return self._made[0]


@dataclass(slots=True)
class DaemonPages:
    """The pages of a daemon.

    Attributes:
        view: the daemon.
        clock: seconds that never go back, the same clock as the pools'.
        wall: seconds since the epoch.
    """

    view: View
    clock: Callable[[], float]
    wall: Callable[[], float] = time.time
    _metrics: "_Kept[bytes]" = field(init=False)
    _readiness: "_Kept[Readiness]" = field(init=False)

    def __post_init__(self) -> None:
        """Have made nothing yet."""
        self._metrics = _Kept(self._make_metrics, self.clock)
        self._readiness = _Kept(self._make_readiness, self.clock)

    async def metrics(self) -> Page:
        """Everything that is counted."""
        return Page(200, await self._metrics.get(), CONTENT_TYPE)

    async def healthz(self) -> Page:
        """Alive: that there is an answer is the answer."""
        return Page.text(200, "ok")

    async def readyz(self) -> Page:
        """Whether requests should come here."""
        ready = await self._ready()
        if ready.ready:
            return Page.text(200, "ready")
        return Page.text(503, "not ready", *ready.why)

    async def _ready(self) -> Readiness:
        if self.view.service.draining:  # that doesn't wait for a second
            return await self._make_readiness()
        return await self._readiness.get()

    async def _make_readiness(self) -> Readiness:
        return await readiness(self.view.model, self.wall())

    async def _make_metrics(self) -> bytes:
        return await exposition(self._readings(await self._ready())) + process()

    def _readings(self, ready: Readiness) -> Iterator[Reading]:
        model = self.view.model
        yield from daemon.readings(self.view, model, ready, self.wall())
        yield from traffic.readings(model)
        yield from pools.readings(model, self.clock())
