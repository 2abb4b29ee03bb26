"""The mode proxy in the running daemon: makes its driver, resolves Routes for it, and drains it.

Open requests outlive configurations: each goes by the settings with which it began.
"""

import asyncio
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from chatredirect.client.next_hop import next_hop
from chatredirect.net.target import Target
from chatredirect.pools.refresh import Pools
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.driver import ProxyDriver
from chatredirect.proxy.settings import ProxySettings
from chatredirect.responses.counters import Counters
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.work_list import Timer
from chatredirect.service.sockets import Outbound
from chatredirect.sip.observer import Observing
from chatredirect.sip.uri import SipUri, canonical_host

log = structlog.get_logger()

_OCTETS = 4096  # of random numbers, from one system call
_SEARCHES = 100  # Routes that are being resolved at a time; a further one leads nowhere


@dataclass(slots=True)
class ProxyMode:
    """The daemon's proxied requests.

    Attributes:
        driver: None as long as no configuration had a proxy endpoint.
    """

    counters: Counters
    loop: asyncio.AbstractEventLoop
    observing: Observing
    outbound: Outbound
    pools: Pools
    driver: ProxyDriver | None = None
    _searches: set[asyncio.Task[None]] = field(default_factory=set)
    _timer: Timer | None = None

    def prepare(self, settings: ProxySettings) -> ProxyDriver | None:
        """Make the driver if there is none and the configuration has a proxy endpoint."""
        if self.driver is None and settings.pools:
            outbound = self.outbound
            new_number = partial(next, _random_numbers())
            core = ProxyCore(settings, outbound.outgoing, outbound.flow_table, new_number)
            timer = Timer(self.loop, lambda: driver.handle_timers(), "proxy")  # noqa: PLW0108  # made below
            driver = ProxyDriver(
                core,
                self.counters,
                self.loop.time,
                timer.at,
                self._seek,
                self.observing,
                time.time,
            )
            outbound.flow_table.on_lost = driver.lost
            outbound.outgoing.udp_sender.on_unreachable = driver.unreachable
            self.driver, self._timer = driver, timer
        return self.driver

    def serve(self, settings: ProxySettings, *, log_requests: bool) -> None:
        """Go by a configuration from now on; open requests go on."""
        if self.driver is not None:
            self.driver.core.go_by(settings, self.loop.time())
            self.driver.log_requests = log_requests

    @property
    def idle(self) -> bool:
        """Whether no request waits for its final response."""
        return self.driver is None or not self.driver.core.open

    async def drain(self, seconds: float) -> bool:
        """Begin no more dialogs, and let open requests finish for so many seconds.

        What is left then gets 500, and its branches are cancelled.

        Returns:
            Whether all have finished in time.
        """
        driver = self.driver
        if driver is None:
            return True
        driver.core.draining = True
        if not driver.core.open:
            return True
        idle = asyncio.Event()
        driver.on_idle = idle.set
        try:
            async with asyncio.timeout(seconds):
                await idle.wait()
        except TimeoutError:
            log.warning("not_drained", open=len(driver.core.open), seconds=seconds)
            slicer = Slicer()
            for context in list(driver.core.open):
                driver.give_up(context)
                await slicer.checkpoint()
            return False
        return True

    def close(self) -> None:
        """Stop the timer, and cancel DNS lookups."""
        if self._timer is not None:
            self._timer.close()
        for task in self._searches:
            task.cancel()

    def _seek(self, uri: SipUri, found: Callable[[tuple[Target, ...]], None]) -> None:
        """Resolve a URI; `found` is called later, in any case."""
        resolve = len(self._searches) < _SEARCHES
        task = self.loop.create_task(self._search(uri, found, resolve=resolve))
        self._searches.add(task)
        task.add_done_callback(self._searches.discard)

    async def _search(
        self, uri: SipUri, found: Callable[[tuple[Target, ...]], None], *, resolve: bool
    ) -> None:
        targets: tuple[Target, ...] = ()
        try:
            if resolve:
                targets = await self._targets(uri)
        except Exception:  # a fault of ours: the waiting request must go on all the same
            log.exception("route_not_resolved")
        try:
            found(targets)
        except Exception:  # nobody awaits this task
            log.exception("route_not_taken")

    async def _targets(self, uri: SipUri) -> tuple[Target, ...]:
        try:
            hop = next_hop(uri)
        except ValueError:
            return ()
        located = await self.pools.resolver.locate(hop)
        # with maddr another host is looked up, but the certificate must prove the URI's own
        domain = canonical_host(uri.host).decode("ascii").strip("[]")
        return tuple(replace(target, domain=domain) for target in located.targets)


def _random_numbers() -> Iterator[int]:
    """Numbers of 64 random bits, for ever; nobody can guess the next from the last."""
    while True:
        for (number,) in struct.iter_unpack("=Q", secrets.token_bytes(_OCTETS)):
            yield number
