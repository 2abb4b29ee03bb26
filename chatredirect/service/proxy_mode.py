"""The mode proxy in the running daemon: what it needs of a configuration, a clock and a timer.

What is under way outlives configurations: it ends by the rules with which it began.
"""

import asyncio
import secrets
import struct
import time
from collections.abc import Callable, Container, Iterator, Mapping, Set
from dataclasses import replace
from functools import partial

import structlog

from chatredirect.client.next_hop import next_hop
from chatredirect.config import Settings, TlsSettings
from chatredirect.endpoints.directory import Directory
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import PoolAddress, Target
from chatredirect.pools.refresh import Pools
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.driver import ProxyDriver
from chatredirect.proxy.record_route import LoopDetector, RecordRouteCodec
from chatredirect.proxy.settings import ProxySettings
from chatredirect.responses.counters import Counters
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.timer import Timer
from chatredirect.service.outbound import Outbound
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import TagMaker
from chatredirect.sip.uri import SipUri, canonical_host
from chatredirect.transport.peer_identity import TrustedPeers, matches

log = structlog.get_logger()

_OCTETS = 4096  # of random numbers, from one system call
_SEARCHES = 100  # for the hosts of Routes, at a time; more find nothing


class ProxyMode:
    """What the daemon proxies.

    Attributes:
        driver: deals with it; None as long as no configuration had a proxy endpoint.
    """

    def __init__(
        self,
        counters: Counters,
        loop: asyncio.AbstractEventLoop,
        observing: Observing,
        outbound: Outbound,
        pools: Pools,
    ) -> None:
        """Begin without requests.

        Args:
            counters: the daemon's.
            loop: where it runs.
            observing: holds the observer of messages.
            outbound: the connections to targets, and the names of flows.
            pools: all pools.
        """
        self.driver: ProxyDriver | None = None
        self._counters = counters
        self._loop = loop
        self._observing = observing
        self._outbound = outbound
        self._pools = pools
        self._searches: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None

    def prepare(self, settings: ProxySettings) -> ProxyDriver | None:
        """Make the driver if there is none and the configuration has a proxy endpoint."""
        if self.driver is None and settings.pools:
            outbound = self._outbound
            numbers = random_numbers(secrets.token_bytes)
            core = ProxyCore(
                settings, outbound.outgoing, outbound.flow_table, partial(next, numbers)
            )
            timer = Timer(self._loop, lambda: driver.handle_timers(), "proxy")  # noqa: PLW0108  # made below
            driver = ProxyDriver(
                core,
                self._counters,
                self._loop.time,
                timer.at,
                self._seek,
                self._observing,
                time.time,
            )
            outbound.flow_table.on_lost = driver.lost
            outbound.outgoing.udp_sender.on_unreachable = driver.unreachable
            self.driver, self._timer = driver, timer
        return self.driver

    def serve(self, settings: ProxySettings, *, log_requests: bool) -> None:
        """Go by a configuration from now on; open requests go on."""
        if self.driver is not None:
            self.driver.core.go_by(settings, self._loop.time())
            self.driver.log_requests = log_requests

    @property
    def idle(self) -> bool:
        """Whether no request waits for its final response."""
        return self.driver is None or not self.driver.core.open

    async def drain(self, seconds: float) -> bool:
        """Begin no more dialogs, and let open requests finish; whether all have in time.

        Those that haven't get 500, and what rings for them is cancelled.

        Args:
            seconds: how long to wait for them.
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
            pace = Slicer()
            for context in list(driver.core.open):
                driver.give_up(context)
                await pace.checkpoint()
            return False
        return True

    def close(self) -> None:
        """Stop the timer, and what is being resolved."""
        if self._timer is not None:
            self._timer.close()
        for task in self._searches:
            task.cancel()

    def _seek(self, uri: SipUri, found: Callable[[tuple[Target, ...]], None]) -> None:
        """Find the targets of a URI; `found` is called later, always."""
        pools = self._pools if len(self._searches) < _SEARCHES else None
        task = self._loop.create_task(self._search(pools, uri, found))
        self._searches.add(task)
        task.add_done_callback(self._searches.discard)

    async def _search(
        self, pools: Pools | None, uri: SipUri, found: Callable[[tuple[Target, ...]], None]
    ) -> None:
        targets: tuple[Target, ...] = ()
        try:
            if pools is not None:
                targets = await _targets(pools, uri)
        except Exception:  # a fault of ours: who waits for it must hear of it all the same
            log.exception("route_not_resolved")
        try:
            found(targets)
        except Exception:  # and nobody is there to whom it could be told
            log.exception("route_not_taken")


async def _targets(pools: Pools, uri: SipUri) -> tuple[Target, ...]:
    """Where a URI leads; nothing if it leads nowhere."""
    try:
        hop = next_hop(uri)
    except ValueError:
        return ()
    located = await pools.resolver.locate(hop.fqdn, hop.port, hop.transport)
    # with maddr another host is looked up, but the certificate must prove the URI's own
    domain = canonical_host(uri.host).decode("ascii").strip("[]")
    return tuple(replace(target, domain=domain) for target in located.targets)


def proxy_settings(
    settings: Settings,
    directory: Directory,
    names: OwnNames,
    key: bytes,
    agent: bytes,
    *,
    tags: TagMaker,
    trust: TrustedPeers,
    pools: Mapping[str, Set[PoolAddress]],
    left: Set[PoolAddress],
    addresses: Container[str],
) -> ProxySettings:
    """Give what a configuration says of the mode `proxy`.

    Args:
        settings: the configuration.
        directory: its endpoints.
        names: our own names.
        key: what tags and Record-Routes are signed with.
        agent: our name in Warning header fields.
        tags: makes To tags.
        trust: says which peers are trusted.
        pools: those of endpoints in the mode `proxy`, by their FQDN.
        left: those that were among them until now.
        addresses: the addresses of all pools' targets, as they are at any time.
    """
    proxy = settings.proxy
    return ProxySettings(
        directory=directory,
        names=names,
        advertise=settings.advertise,
        tags=tags,
        record_route=RecordRouteCodec(key),
        loops=LoopDetector(key),
        is_target=lambda host: host.decode("ascii") in addresses,
        follows=_follows(trust, settings.tls),
        pools=pools,
        left=left,
        agent=agent,
        retry_after=settings.retry_after,
        attempt_timeout=proxy.attempt_timeout,
        target_penalty=proxy.target_penalty,
        timer_c=proxy.timer_c,
        target_grace=proxy.target_grace,
        dialog_age=proxy.dialog_age,
        proxy_require=frozenset(tag.lower().encode() for tag in proxy.proxy_require),
        transactions=proxy.transactions,
        transactions_per_peer=proxy.transactions_per_peer,
    )


def random_numbers(source: Callable[[int], bytes]) -> Iterator[int]:
    """Give numbers of 64 random bits, of which nobody can guess the next from the last, for ever.

    Args:
        source: gives so many random octets.
    """
    while True:
        for (number,) in struct.iter_unpack("=Q", source(_OCTETS)):
            yield number


def _follows(trust: TrustedPeers, tls: TlsSettings) -> Callable[[Target], bool]:
    """Whether a request may go to a target that a Route names.

    Over UDP and TCP its address must be trusted. Over TLS its certificate will have to prove the
    name, and `allowed_peers` must have that; without such a list, the address is asked about.
    """

    def follows(target: Target) -> bool:
        if target.transport == "tls" and tls.allowed_peers:
            return any(
                matches((target.domain,), each, wildcards=tls.wildcards)
                for each in tls.allowed_peers
            )
        return trust.lists(target.address)

    return follows
