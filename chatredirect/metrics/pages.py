"""The pages that HTTP serves: /metrics, /healthz and /readyz.

However many ask for metrics at the same time, they are made once: who asks while they are being
made, or within a second, gets the same.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chatredirect.http.pages import Page
from chatredirect.metrics import connections, daemon, lookups, pools, proxy, requests, transactions
from chatredirect.metrics.exposition import CONTENT_TYPE, exposition, process
from chatredirect.metrics.ready import Readiness, readiness
from chatredirect.metrics.view import Reading, View

FRESH = 1.0
"""Seconds for which metrics are given out again."""


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
    _made: bytes = b""
    _made_at: float | None = None
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def metrics(self) -> Page:
        """Everything that is counted."""
        async with self._making:
            if self._made_at is None or self.clock() - self._made_at >= FRESH:
                ready = await readiness(self.view.service, self.wall())
                self._made = await exposition(self._readings(ready)) + process()
                self._made_at = self.clock()
        return Page(200, self._made, CONTENT_TYPE)

    async def healthz(self) -> Page:
        """Alive: that there is an answer is the answer."""
        return Page.text(200, "ok")

    async def readyz(self) -> Page:
        """Whether requests should come here."""
        ready = await readiness(self.view.service, self.wall())
        if ready.ready:
            return Page.text(200, "ready")
        return Page.text(503, "not ready", *ready.why)

    def _readings(self, ready: Readiness) -> Iterator[Reading]:
        view = self.view
        yield from daemon.readings(view, ready, self.wall())
        yield from requests.readings(view)
        yield from connections.readings(view)
        yield from lookups.readings(view)
        yield from proxy.readings(view)
        yield from transactions.readings(view)
        yield from pools.readings(view, self.clock())
