"""Refreshes all pools in the background.

A pool is due for a refresh when the first of its records is (`chatredirect.dns.cache` says when,
with jitter). One timer heap has them all; a limited number is resolved at a time. Requests don't
come here: they hold their `Pool` and read it. Pools and what is known of them survive a reload.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from math import inf

from chatredirect.client.wire import CONNECTS, Connect
from chatredirect.config import DnsSettings, HealthSettings, Transport
from chatredirect.dns.resolution import Located
from chatredirect.dns.resolver import Resolver
from chatredirect.net.target import PoolAddress, Target, TargetAddress
from chatredirect.pools.log import PoolLog
from chatredirect.pools.pool import Pool
from chatredirect.pools.prober import Prober
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.worker_pool import WorkerPool
from chatredirect.sip.transaction.timer_heap import TimerHeap
from chatredirect.sip.uri import Wanted

AT_ONCE = 100
"""Pools that are being resolved at the same time."""
CROWD = 200
"""With more unresolved pools than this, each is first asked only whether its name exists."""
CROWD_SECONDS = 10.0
CROWD_PACE = 200.0
"""Seconds within which they are then resolved; with very many, pools a second."""
SOONEST = 0.5
"""The least number of seconds between two refreshes of a pool."""
FILES_INTERVAL = 5.0
"""Seconds between two checks of the hosts file and resolv.conf."""


class Pools:
    """Pools by FQDN, port and transport.

    Attributes:
        resolver: finds the targets.
        dns_counters: the resolver's.
        addresses: the IP addresses of all targets, each with its number of targets.
        prober: pings the targets; None without health settings.
    """

    def __init__(
        self,
        resolver: Resolver,
        health: HealthSettings | None = None,
        *,
        connects: Mapping[Transport, Connect] = CONNECTS,
    ) -> None:
        """Ask nothing yet; `start` does.

        Args:
            resolver: closed with the pools; its clock and random numbers are used for them as well.
            health: how to ping; None to treat all targets as live.
            connects: connect to targets for pings, by transport.
        """
        self.resolver = resolver
        self._clock = resolver.clock
        self._rng = resolver.rng
        self._connects = connects
        self.dns_counters = resolver.counters
        self.addresses: Counter[str] = Counter()
        self._pools: dict[PoolAddress, Pool] = {}
        self._timers: TimerHeap[Pool] = TimerHeap()
        self._unanswered = 0
        self._all_answered = asyncio.Event()
        self._count_unanswered(0)
        self._files_at = self._clock() + FILES_INTERVAL
        self._log = PoolLog(self._clock)
        self._workers = WorkerPool(self._next, self._work, self._clock, AT_ONCE)
        self.prober: Prober | None = None
        self._started = False
        self._set_health(health)

    async def addresses_of(self, host: str) -> frozenset[str]:
        """The IP addresses that DNS gives for a host name, found as a pool's. Raises nothing."""
        # with a port and a transport no SRV or NAPTR record is asked for (RFC 3263 §4)
        located = await self.resolver.locate(PoolAddress(host, 1, "udp"))
        return frozenset(target.address for target in located.targets)

    def __len__(self) -> int:
        """How many pools there are."""
        return len(self._pools)

    def __iter__(self) -> Iterator[Pool]:
        """All pools, in the order of their creation."""
        return iter(self._pools.values())

    def get(self, fqdn: str, port: int | None = None, transport: Wanted | None = None) -> Pool:
        """The pool of this name, port and transport; a new one is resolved from `start` on.

        A pool whose name needs no DNS (an IP address, a name in the hosts file) has its targets at
        once.

        Args:
            fqdn: host name in any case, or an IP address.
            port: None to let DNS decide.
            transport: None to let DNS decide; `sips` for the pool of a sips: endpoint.
        """
        key = PoolAddress(fqdn.lower().rstrip("."), port, transport)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key, self.resolver.settings.prefer)
            self.resolver.expect(len(self._pools))
            pool.want = self._want
            self._count_unanswered(1)
            if self.prober is not None:
                self.prober.watch(pool)
            located = self.resolver.fixed(key)
            if located is None:
                self._set_due(pool, self._clock())
                self._workers.wake()
            else:
                self._take(pool, located)
        return pool

    def due(self, pool: Pool) -> float | None:
        """When a pool's next refresh is due, by the clock of `Pools`; None during one."""
        return None if pool.due == inf else pool.due

    async def first_answers(self, seconds: float) -> None:
        """Resolve from now on; returns when each pool has had an answer, or after `seconds`."""
        self._workers.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), seconds)

    def start(self) -> None:
        """Resolve and ping from now on; returns at once. Needs a running loop."""
        self._started = True
        self._workers.start()
        if self.prober is not None:
            self.prober.start()

    async def aclose(self) -> None:
        """Stop, cancel what is running, close all sockets."""
        self._started = False
        if self.prober is not None:
            await self.prober.aclose()
        await self._workers.aclose()
        await self.resolver.aclose()

    async def update(
        self,
        dns: DnsSettings,
        health: HealthSettings | None,
        *,
        is_own: Callable[[Target], bool] | None = None,
        slicer: Slicer | None = None,
    ) -> None:
        """Use other settings; the pools stay.

        Targets, answers and health that are still valid stay and serve until they are replaced. If
        name servers or fixed names have changed, everything is resolved again.
        """
        slicer = slicer or Slicer()
        preferred = self.resolver.settings.prefer
        changed = self.resolver.update(dns, is_own=is_own)
        if preferred != dns.prefer:
            for pool in list(self._pools.values()):
                pool.prefer(dns.prefer)
                await slicer.checkpoint()
        if changed or is_own is not None:
            await self._refresh_all(slicer)
        if health is None and self.prober is not None:
            await self.prober.aclose()
        if self._set_health(health):
            for pool in list(self._pools.values()):
                if pool.key in self._pools:
                    if self.prober is not None:
                        self.prober.watch(pool)
                    self._review(pool)
                await slicer.checkpoint()

    async def keep(self, keys: Set[PoolAddress], slicer: Slicer | None = None) -> None:
        """Drop all pools but these."""
        slicer = slicer or Slicer()
        for key in list(self._pools):
            if key not in keys:
                self._drop(self._pools.pop(key))
            await slicer.checkpoint()

    def _set_health(self, health: HealthSettings | None) -> bool:
        """Ping by these settings; returns whether all pools must be reviewed."""
        if health is not None and self.prober is not None:
            self.prober.update(health)
            return False
        if health is None and self.prober is None:
            return False
        self.prober = None
        if health is not None:
            self.prober = Prober(
                health, self._review, clock=self._clock, rng=self._rng, connects=self._connects
            )
            if self._started:
                self.prober.start()
        return True

    # --- refreshing

    def _set_due(self, pool: Pool, due: float) -> None:
        pool.due = due
        self._timers.changed(pool)

    def _next(self) -> float | None:
        due = self._timers.next_due()
        return self._files_at if due is None else min(due, self._files_at)

    async def _work(self) -> bool:
        now = self._clock()
        if now >= self._files_at:
            await self._look_at_files(now)
            return True
        pool = self._timers.pop(now)
        if pool is None:
            return False
        pool.due = inf
        key = pool.key
        if not pool.answered and self._unanswered > CROWD and await self._peek(pool):
            return True
        spread = pool.want is not None and len(self._pools) > CROWD
        try:
            located = await self.resolver.locate(key, spread=spread)
        except BaseException:  # a bug, or a cancelled task: the pool is tried again
            if self._pools.get(key) is pool:
                self._set_due(pool, now + self.resolver.settings.retry)
            raise
        if self._pools.get(key) is pool:
            self._take(pool, located)
        return True

    async def _peek(self, pool: Pool) -> bool:
        """Whether one quick query makes the pool usable; the full resolution follows later."""
        self._count_unanswered(-1)
        pool.answered = True
        if not await self.resolver.peek(pool.fqdn):
            return False
        if self._pools.get(pool.key) is pool:
            pool.exists()
            seconds = max(CROWD_SECONDS, len(self._pools) / CROWD_PACE)
            self._set_due(pool, self._clock() + self._rng.uniform(1.0, seconds))
        return True

    def _take(self, pool: Pool, located: Located) -> None:
        """Give a resolution's result to the pool, log what changed, and schedule the next one."""
        now = self._clock()
        if not pool.answered:
            self._count_unanswered(-1)
        before, notes = pool.targets, pool.notes
        change = pool.take(located, now, self.resolver.settings.stale)
        due = min(max(located.refresh_at, now + SOONEST), now + self.resolver.settings.ttl_ceiling)
        self._set_due(pool, due)
        if pool.targets != before:
            self._exchange_addresses(before, pool.targets)
            if self.prober is not None:
                self.prober.exchange(pool, before, pool.targets)
            self._review(pool)
        if pool.notes != notes:
            self.resolver.counters.refused_targets += len(pool.notes)
            self._log.notes(pool)
        if change is not None:
            self._log.change(pool, change)
        self._log.resolved(pool, due - now)

    def _count_unanswered(self, more: int) -> None:
        self._unanswered += more
        if self._unanswered:
            self._all_answered.clear()
        else:
            self._all_answered.set()

    def _exchange_addresses(self, before: Iterable[Target], after: Iterable[Target]) -> None:
        self.addresses.update(target.address for target in after)
        for target in before:
            self.addresses[target.address] -= 1
            if not self.addresses[target.address]:
                del self.addresses[target.address]

    def _want(self, pool: Pool) -> None:
        """A request needs a pool that has no full answer yet: resolve it first."""
        if pool.due < inf:
            self._set_due(pool, -inf)
            self._workers.wake()

    async def _refresh_all(self, slicer: Slicer) -> None:
        """Resolve everything again, a thousand pools a second."""
        now = self._clock()
        spread = len(self._pools) / 1000
        for key in list(self._pools):
            pool = self._pools.get(key)
            if pool is not None:
                self._set_due(pool, now + self._rng.uniform(0, spread))
            await slicer.checkpoint()
        self._workers.wake()

    def _drop(self, pool: Pool) -> None:
        if not pool.answered:
            self._count_unanswered(-1)
        pool.want = None
        pool.due = inf
        self._exchange_addresses(pool.targets, ())
        if self.prober is not None:
            self.prober.unwatch(pool)

    async def _look_at_files(self, now: float) -> None:
        """Periodic work: changed files, unused records, counts of omitted log lines."""
        self._files_at = now + FILES_INTERVAL
        slicer = Slicer()
        if await self.resolver.reread():
            await self._refresh_all(slicer)
        for _ in self.resolver.sweep():
            await slicer.checkpoint()
        self._log.report_left_out()

    def _review(self, pool: Pool) -> None:
        before = pool.usable
        is_down = _never_down if self.prober is None else self.prober.health.is_down
        if pool.review(is_down) and pool.usable != before and pool.targets:
            self._log.usable(pool)


def _never_down(address: TargetAddress) -> bool:
    return False
