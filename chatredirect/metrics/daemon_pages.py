"""The pages that HTTP serves: /metrics, /healthz and /readyz.

The daemon is ready as soon as it serves a configuration, and until it is about to stop. Whether an
endpoint without a target makes it not ready is a setting: such an endpoint gets 480, but a load
balancer that takes the instance out of service takes all other endpoints along.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from chatredirect.endpoints.directory import Endpoint
from chatredirect.http.listener import HttpListener
from chatredirect.http.pages import Page, Pages
from chatredirect.metrics.pools import pool_readings
from chatredirect.metrics.readings import daemon_readings, traffic_readings
from chatredirect.metrics.view import Reading, View
from chatredirect.runtime.cached import Cached
from chatredirect.service.read_model import ReadModel

if TYPE_CHECKING:
    from aiohttp import web

    from chatredirect.http.http_server import HttpBounds

FRESH = 1.0
"""Seconds for which a page is given out again, however many ask."""
_SLICE = 1000  # endpoints in a row, before others have their turn
_NAMED = 20  # endpoints that are named


async def why_not_ready(model: ReadModel, now: float) -> list[str]:
    """Why requests shouldn't come here, for people; empty if they should."""
    settings = model.settings
    if model.draining:
        return ["it is about to stop"]
    if settings is None:
        return ["no configuration is served yet"]
    if not settings.http.ready_needs_targets:
        return []
    without: list[str] = []
    endpoints = list(model.directory)
    for start in range(0, len(endpoints), _SLICE):
        some = endpoints[start : start + _SLICE]
        without += (each.address for each in some if not _served(each, now))
        await asyncio.sleep(0)
    named = [f"{address} has no target that works" for address in without[:_NAMED]]
    if len(without) > _NAMED:
        named.append(f"and {len(without) - _NAMED} more")
    return named


def _served(endpoint: Endpoint, now: float) -> bool:
    """Whether an endpoint has a target, or isn't meant to have one now."""
    if endpoint.settings.state_at(now) != "active":
        return True
    if endpoint.lookup is not None:
        return endpoint.lookup.channels.usable
    pool = endpoint.pool
    return pool.usable or (endpoint.settings.on_all_down == "serve" and pool.resolved)


class DaemonPages:
    """The pages of a daemon."""

    def __init__(
        self, view: View, metrics_page: Callable[[Iterable[Reading]], Awaitable[Page]]
    ) -> None:
        """`metrics_page` writes readings as text."""
        self._view = view
        self._metrics_page = metrics_page
        self._metrics = Cached(self._make_metrics, FRESH)
        self._reasons = Cached(self._find_reasons, FRESH)

    @property
    def by_path(self) -> Pages:
        """The pages by their path."""
        return {"/metrics": self._metrics.get, "/healthz": self._healthz, "/readyz": self._readyz}

    async def _healthz(self) -> Page:
        return Page.text(200, "ok")

    async def _readyz(self) -> Page:
        why = await self._why_not_ready()
        return Page.text(503, "not ready", *why) if why else Page.text(200, "ready")

    async def _why_not_ready(self) -> list[str]:
        if self._view.service.draining:  # load balancers hear of it at once
            return await self._find_reasons()
        return await self._reasons.get()

    async def _find_reasons(self) -> list[str]:
        return await why_not_ready(self._view.model, time.time())

    async def _make_metrics(self) -> Page:
        ready = not await self._why_not_ready()
        return await self._metrics_page(self._readings(ready=ready))

    def _readings(self, *, ready: bool) -> Iterator[Reading]:
        model = self._view.model
        yield from daemon_readings(self._view, model, ready=ready, now=time.time())
        yield from traffic_readings(model)
        yield from pool_readings(model, time.monotonic())


def http_listener(view: View, loop: asyncio.AbstractEventLoop) -> HttpListener:
    """A listener for the metrics of a daemon."""
    return HttpListener(partial(_application, view), view.http, loop)


def _application(view: View) -> "tuple[web.Application, HttpBounds]":
    # only where HTTP is configured: both libraries together take half a second
    from chatredirect.http.http_server import HttpBounds  # noqa: PLC0415
    from chatredirect.http.plain_pages import plain_application  # noqa: PLC0415
    from chatredirect.metrics.exposition import metrics_page  # noqa: PLC0415

    return plain_application(DaemonPages(view, metrics_page).by_path), HttpBounds()
