"""The mode lookup in the running daemon: makes its driver, and drains it when the daemon stops.

Dialogs outlive configurations: each goes by the endpoint's settings with which it began.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import inf

import structlog

from chatredirect.client.own_requests import new_branch
from chatredirect.config import EndpointSettings, HostPort
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.core import LookupCore, LookupSettings
from chatredirect.lookup.driver import LookupDriver
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.responses.counters import Counters
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.work_list import Timer
from chatredirect.sip.observer import Observing

log = structlog.get_logger()

_NAMED = 20  # dialogs that a line of the log names
_LOOK = 0.02  # seconds between two looks whether the last dialog has ended
_LEFT = 3.0  # seconds that a lookup which begins while we drain must have until the end
_GOODBYE = 0.5  # seconds for the answers to our BYEs; over UDP, for one that is sent again (T1)


@dataclass(slots=True)
class LookupMode:
    """The daemon's lookups.

    Attributes:
        driver: None as long as no configuration had a lookup endpoint.
    """

    counters: Counters
    loop: asyncio.AbstractEventLoop
    observing: Observing
    driver: LookupDriver | None = None
    _timer: Timer | None = None

    def prepare(self, settings: LookupSettings, *, wanted: bool) -> LookupDriver | None:
        """Make the driver if there is none and the configuration has a lookup endpoint."""
        if self.driver is None and wanted:
            timer = Timer(self.loop, lambda: driver.handle_timers(), "lookup")  # noqa: PLW0108  # made below
            driver = LookupDriver(
                LookupCore(settings, new_branch, self.counters),
                self.loop.time,
                timer.at,
                self.observing,
            )
            self.driver, self._timer = driver, timer
        return self.driver

    def serve(self, settings: LookupSettings, *, log_requests: bool) -> None:
        """Go by a configuration from now on; open dialogs stay."""
        if self.driver is not None:
            self.driver.core.settings = settings
            self.driver.log_requests = log_requests

    @property
    def idle(self) -> bool:
        """Whether no dialog is open."""
        return self.driver is None or not self.driver.core.dialogs

    async def drain(self, seconds: float, others_idle: Callable[[], bool]) -> bool:
        """Let open dialogs finish, and new ones as long as there is time for them.

        Args:
            seconds: how long to wait for their clients; then they get a BYE.
            others_idle: whether nothing else is waited for; until then new lookups may begin.

        Returns:
            Whether all have finished in time.
        """
        if self.driver is None:
            return True
        core = self.driver.core
        core.begins_until = self.loop.time() + seconds - _LEFT
        await self._until_idle(seconds, others_idle)
        core.begins_until = -inf
        if self.idle:
            return True
        dialogs = core.dialogs
        log.warning(
            "not_drained",
            lookups=len(dialogs),
            call_ids=[each.dialog.call_id for each in islice(dialogs.values(), _NAMED)],
            seconds=seconds,
        )
        slicer = Slicer(rest=0)  # in slices: other requests are still answered
        for lookup in list(dialogs.values()):
            self.driver.hang_up(lookup)
            await slicer.checkpoint()
        await self._until_idle(_GOODBYE, lambda: True)
        return False

    async def _until_idle(self, seconds: float, others_idle: Callable[[], bool]) -> None:
        end = self.loop.time() + seconds
        # polling once, when the daemon stops, costs less than an event for every dialog
        while not (self.idle and others_idle()) and self.loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.close()


def lookup_of(
    pool_of: Callable[[PoolAddress], Pool], advertise: HostPort | None, endpoint: EndpointSettings
) -> LookupEndpoint | None:
    """What an endpoint's lookups need; None if it is in another mode."""
    lookup = endpoint.mode == "lookup"
    return LookupEndpoint.of(endpoint, pool_of, advertise) if lookup else None
