"""Lookups in the running daemon: what they need of a configuration, a clock and a timer.

The dialogs outlive configurations: one that has begun ends by the endpoint's settings with which it
began.
"""

import asyncio
from collections.abc import Callable

import structlog

from chatredirect.client.identity import new_branch
from chatredirect.config import EndpointSettings, HostPort, Settings
from chatredirect.config.endpoint import PoolName
from chatredirect.counters import Counters
from chatredirect.pool import Pool
from chatredirect.roles.lookup.attendant import Attendant
from chatredirect.roles.lookup.core import Core, Rules
from chatredirect.roles.lookup.endpoint import LookupEndpoint
from chatredirect.roles.tap import Tapping
from chatredirect.sip.response import TagMaker
from chatredirect.waker import Waker

log = structlog.get_logger()

_AFTER_A_FAULT = 1.0  # seconds


class Lookups:
    """The daemon's lookups, once there is an endpoint for them.

    Attributes:
        attendant: deals with them; None as long as no configuration had a lookup endpoint.
    """

    def __init__(
        self, counters: Counters, loop: asyncio.AbstractEventLoop, tapping: Tapping
    ) -> None:
        """Begin without any; `tapping` says who looks on."""
        self.attendant: Attendant | None = None
        self._counters = counters
        self._loop = loop
        self._tapping = tapping
        self._waker = Waker(loop, self._elapse)

    def serve(
        self,
        settings: Settings,
        tags: TagMaker,
        agent: bytes,
        *,
        wanted: bool,
        log_requests: bool,
    ) -> None:
        """Go by a configuration from now on.

        Args:
            settings: the configuration.
            tags: makes To tags.
            agent: our name, as in Warning.
            wanted: whether it has an endpoint in the mode `lookup`.
            log_requests: whether each request gets a line in the log.
        """
        rules = Rules(tags, settings.retry_after, agent, settings.limits.dialogs)
        if self.attendant is None:
            if not wanted:
                return
            core = Core(rules, new_branch)
            self.attendant = Attendant(
                core, self._counters, self._loop.time, self._waker.at, self._tapping
            )
        self.attendant.core.rules = rules
        self.attendant.log_requests = log_requests

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        self._waker.close()

    def _elapse(self) -> None:
        assert self.attendant is not None
        try:
            self.attendant.elapse()
        except Exception:  # a fault of ours in one dialog must not stop the timers of the others
            log.exception("lookup_timer_failed")
            self._waker.at(self._loop.time() + _AFTER_A_FAULT)


def lookup_of(
    pool_of: Callable[[PoolName], Pool], advertise: HostPort | None, endpoint: EndpointSettings
) -> LookupEndpoint | None:
    """What an endpoint's lookups need; None if it is in another mode."""
    if endpoint.mode != "lookup":
        return None
    return LookupEndpoint.of(endpoint, pool_of, advertise)
