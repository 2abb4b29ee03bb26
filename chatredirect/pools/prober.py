"""Pings what is due: a thin shell with a clock around `chatredirect.pools.health`.

One timer waits for the next ping; when it rings, what is due goes out, a bounded number at a time.
A ping over TCP is a connection of its own: that it can be made is part of the answer.
"""

import random
from collections.abc import Callable, Iterable, Mapping

import structlog

from chatredirect.client.wire import CONNECTS, Connect
from chatredirect.config import HealthSettings, Transport
from chatredirect.net.target import Target, TargetAddress
from chatredirect.pools.health import Health, HealthState, PingOutcome
from chatredirect.pools.options_ping import ping
from chatredirect.runtime.worker_pool import WorkerPool

AT_ONCE = 64
"""Pings that are under way at the same time."""

log = structlog.get_logger()


class Prober:
    """Keeps `health` up to date while it runs."""

    def __init__(
        self,
        settings: HealthSettings,
        changed: Callable[[TargetAddress], None],
        *,
        clock: Callable[[], float],
        rng: random.Random,
        connects: Mapping[Transport, Connect] = CONNECTS,
    ) -> None:
        """Send nothing yet.

        Args:
            settings: how often, how long, how many.
            changed: is called with each place that has gone down or come back.
            clock: seconds that never go back.
            rng: spreads pings over time.
            connects: how to reach targets, by transport; those of others are not pinged.
        """
        self.health = Health(settings, rng)
        self._settings = settings
        self._changed = changed
        self._clock = clock
        self._connects = connects
        self._workers = WorkerPool(self._next, self._work, clock, AT_ONCE)

    def start(self) -> None:
        """Ping what is due, from now on."""
        self._workers.start()

    async def aclose(self) -> None:
        """Stop, and give up the pings under way."""
        await self._workers.aclose()

    def update(self, settings: HealthSettings) -> None:
        """Take other numbers; what is known stays."""
        self._settings = settings
        self.health.update(settings, self._clock())
        self._workers.wake()

    def exchange(self, before: Iterable[Target], after: Iterable[Target]) -> None:
        """A pool has other targets than before: watch those it has now."""
        self.health.watch(self._reachable(after), self._clock())
        self.health.unwatch(self._reachable(before))
        self._workers.wake()

    def _reachable(self, targets: Iterable[Target]) -> list[Target]:
        return [target for target in targets if target.transport in self._connects]

    def _next(self) -> float | None:
        return self.health.next()

    async def _work(self) -> bool:
        target = self.health.pop(self._clock())
        if target is None:
            return False
        outcome, detail = PingOutcome.LOST, "fault of this program"
        try:
            connect = self._connects[target.transport]
            outcome, detail = await ping(target, connect, self._settings.timeout)
        finally:
            log.debug(
                "ping", target=str(target), host=target.host, outcome=outcome.value, answer=detail
            )
            if self._workers.running and self.health.observe(
                target, outcome, detail, self._clock()
            ):
                self._tell(target)
                self._changed(target.key)
        return True

    def _tell(self, target: Target) -> None:
        health = self.health.get(target.key)
        assert health is not None
        if health.state is HealthState.DOWN:
            log.warning("target_down", target=str(target), host=target.host, why=health.detail)
        else:
            log.info("target_up", target=str(target), host=target.host, answer=health.detail)
