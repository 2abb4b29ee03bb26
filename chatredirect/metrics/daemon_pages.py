"""The pages that HTTP serves: /metrics, /healthz and /readyz.

The daemon is ready as soon as it serves a configuration, and until it is about to stop. Whether an
endpoint without a target makes it not ready is a setting: such an endpoint gets 480, but a load
balancer that takes the instance out of service takes all other endpoints along.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from chatredirect.endpoints.directory import Endpoint
from chatredirect.http.listener import HttpListener
from chatredirect.http.pages import Page, Pages
from chatredirect.metrics.pools import pool_readings
from chatredirect.metrics.readings import daemon_readings, traffic_readings
from chatredirect.metrics.view import Reading, View
from chatredirect.service.read_model import ReadModel

FRESH = 1.0
"""Seconds for which a page is given out again, however many ask."""
_SLICE = 1000  # endpoints in a row, before others have their turn
_NAMED = 20  # endpoints that are named


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should come here, and if not, why: lines for people."""

    ready: bool
    why: tuple[str, ...] = ()


async def readiness(model: ReadModel, now: float) -> Readiness:
    """Judge by the read model; `now` in seconds since the epoch."""
    settings = model.settings
    if model.draining:
        return Readiness(False, ("it is about to stop",))
    if settings is None:
        return Readiness(False, ("no configuration is served yet",))
    if not settings.http.ready_needs_targets:
        return Readiness(True)
    without: list[str] = []
    endpoints = list(model.directory)
    for start in range(0, len(endpoints), _SLICE):
        some = endpoints[start : start + _SLICE]
        without += (each.address for each in some if not _served(each, now))
        await asyncio.sleep(0)
    if not without:
        return Readiness(True)
    named = [f"{address} has no target that works" for address in without[:_NAMED]]
    if len(without) > _NAMED:
        named.append(f"and {len(without) - _NAMED} more")
    return Readiness(False, tuple(named))


def _served(endpoint: Endpoint, now: float) -> bool:
    """Whether an endpoint has a target, or isn't meant to have one now."""
    if endpoint.settings.state_at(now) != "active":
        return True
    if endpoint.lookup is not None:
        return endpoint.lookup.channels.usable
    pool = endpoint.pool
    return pool.usable or (endpoint.settings.on_all_down == "serve" and pool.resolved)


T = TypeVar("T")


class _Cached(Generic[T]):
    """Something that is made when it is asked for, once for all who ask within `FRESH`."""

    __slots__ = ("_lock", "_made", "_make")

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: tuple[T, float] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        async with self._lock:
            if self._made is None or time.monotonic() - self._made[1] >= FRESH:
                self._made = await self._make(), time.monotonic()
            return self._made[0]


class DaemonPages:
    """The pages of a daemon."""

    def __init__(
        self, view: View, metrics_page: Callable[[Iterable[Reading]], Awaitable[Page]]
    ) -> None:
        """`metrics_page` writes readings as text."""
        self._view = view
        self._metrics_page = metrics_page
        self._metrics = _Cached(self._make_metrics)
        self._readiness = _Cached(self._make_readiness)

    async def metrics(self) -> Page:
        """Everything that is counted."""
        return await self._metrics.get()

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
        if self._view.service.draining:  # load balancers are told at once
            return await self._make_readiness()
        return await self._readiness.get()

    async def _make_readiness(self) -> Readiness:
        return await readiness(self._view.model, time.time())

    async def _make_metrics(self) -> Page:
        ready = await self._ready()
        return await self._metrics_page(self._readings(ready=ready.ready))

    def _readings(self, *, ready: bool) -> Iterator[Reading]:
        model = self._view.model
        yield from daemon_readings(self._view, model, ready=ready, now=time.time())
        yield from traffic_readings(model)
        yield from pool_readings(model, time.monotonic())


def http_listener(view: View, loop: asyncio.AbstractEventLoop) -> HttpListener:
    """A listener for the metrics of a daemon."""
    return HttpListener(partial(_pages, view), view.http, loop)


def _pages(view: View) -> Pages:
    # only where HTTP is configured: prometheus_client takes a tenth of a second
    from chatredirect.metrics.exposition import metrics_page  # noqa: PLC0415

    pages = DaemonPages(view, metrics_page)
    return {"/metrics": pages.metrics, "/healthz": pages.healthz, "/readyz": pages.readyz}
