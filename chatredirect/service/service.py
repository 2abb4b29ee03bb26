"""Puts the parts together: serve a configuration, serve another one, stop.

The only module that knows them all. DNS is not waited for, since a daemon that is there and says
480 is more use to a client than none.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from chatredirect.answering.dispatch import ResponseSettings
from chatredirect.answering.registrar import Registrars
from chatredirect.answering.request_handler import RequestHandler
from chatredirect.answering.stateful import StatefulModes
from chatredirect.client.wire import CONNECTS, tls_connect
from chatredirect.config import EndpointSettings, ListenUrl, Settings
from chatredirect.endpoints.activation import ActivationSchedule
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.http.listener import HttpListener
from chatredirect.net.addresses import PoolAddress
from chatredirect.net.own_names import OwnNames, local_addresses, own_names
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from chatredirect.responses.counters import Counters
from chatredirect.runtime.regular_file import in_thread
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.changes import Changes, tell_changed, tell_started
from chatredirect.service.limits import connection_limits, message_limits, stream_limits
from chatredirect.service.listeners import Listeners, Serving
from chatredirect.service.lookup_mode import LookupMode, lookup_of
from chatredirect.service.outbound import Outbound
from chatredirect.service.own_secret import OwnSecret, own_secret
from chatredirect.service.proxy_mode import ProxyMode
from chatredirect.sip.observer import Tapping
from chatredirect.sip.response import TagMaker
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission
from chatredirect.transport.connection import GOODBYE
from chatredirect.transport.outgoing import OutgoingLimits
from chatredirect.transport.tls_contexts import INTERVAL, Certificates
from chatredirect.transport.trusted_peers import TrustedPeers

log = structlog.get_logger()


async def drain(lookups: LookupMode | None, proxying: ProxyMode | None, seconds: float) -> None:
    """Let lookups and proxied requests finish.

    Args:
        lookups: the daemon's, None if there are none.
        proxying: the same of the mode `proxy`.
        seconds: how long to wait for them.
    """
    parts = [part for part in (lookups, proxying) if part is not None]
    waiting = not all(part.idle for part in parts)
    if waiting:
        log.info("draining", seconds=seconds)
    began = time.monotonic()
    drains = []
    if lookups is not None:
        drains.append(lookups.drain(seconds, lambda: proxying is None or proxying.idle))
    if proxying is not None:
        drains.append(proxying.drain(seconds))
    all_ended = all(await asyncio.gather(*drains))
    if waiting:
        log.info("drained", seconds=round(time.monotonic() - began, 1), all_ended=all_ended)


_AT_ONCE = 50  # endpoints that are let go of before it is time to look whether it is time
_LAST_PEERS = 0.4  # seconds for the peers that came while the others were waited for
_LAST_ROUND = 0.1  # seconds in which what has reached our sockets is still read


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)


def _states() -> ActivationSchedule:
    return ActivationSchedule(time.time, _later)


@dataclass(slots=True)
class Service:
    """The running daemon.

    Attributes:
        counters: what happened so far.
        certificates: TLS for listeners and for connections to pools.
        settings: the configuration that is in force, None before the first.
        states: which endpoints wait for their time.
        tapping: says who looks on at the messages.
        inherited: sockets that systemd has bound for us.
        directory: the endpoints that are served.
        listeners: what is listened on; None before the first configuration, like the next two.
        pools: the endpoints' pools.
        lookups: the lookups.
        outward: the ways to targets, and names for the ways back.
        proxying: what is passed on.
        http: where metrics are to be had; None where nobody has made it.
        draining: whether it is about to stop, so that requests should go elsewhere.
        configured_at: since when the configuration is in force, in seconds since the epoch.
    """

    counters: Counters = field(default_factory=Counters)
    certificates: Certificates = field(default_factory=lambda: Certificates(time.time))
    settings: Settings | None = None
    states: ActivationSchedule = field(default_factory=_states)
    tapping: Tapping = field(default_factory=Tapping)
    inherited: Inherited = field(default_factory=Inherited)
    directory: Directory = field(default_factory=Directory)
    listeners: Listeners | None = None
    pools: Pools | None = None
    lookups: LookupMode | None = None
    outward: Outbound | None = None
    proxying: ProxyMode | None = None
    http: HttpListener | None = None
    draining: bool = False
    configured_at: float = 0.0
    _server_now: RequestHandler | None = None
    _looking: asyncio.Task[None] | None = None
    _own_secret: OwnSecret | None = None
    _told_secret: bool = False

    @property
    def listening(self) -> list[ListenUrl]:
        """The addresses that are listened on, with the ports that they really have."""
        return [] if self.listeners is None else self.listeners.bound

    async def apply(
        self, settings: Settings, *, log_requests: bool, pace: Slicer | None = None
    ) -> Changes:
        """Serve a configuration, the first as any later one.

        What can fail is done before anything changes, so a configuration is in force as a whole or
        not at all. Listeners that stay the same stay open, pools keep what is known of them.

        Args:
            settings: the configuration.
            log_requests: whether each request gets a line in the log.
            pace: says when to give way to requests.

        Returns:
            What is different now; everything, if it is the first.

        Raises:
            BindError: an address can't be listened on.
            InheritError: systemd's sockets and `listen` differ.
            TlsError: a certificate, key or CA file can't be used.
        """
        loop = asyncio.get_running_loop()
        pace = pace or Slicer()
        # it reads files, and the system's authorities are many
        tls = await in_thread(
            partial(self.certificates.prepare, settings.secure_listeners, settings.tls)
        )
        if settings.secret is None and self._own_secret is None:
            self._own_secret = await in_thread(partial(own_secret, os.environ))
        if self.listeners is None:
            admission = Admission(connection_limits(settings.limits), loop.time)
            self.listeners = Listeners(loop, admission, self.inherited, self._watch)
            self.lookups = LookupMode(self.counters, loop, self.tapping)
            self.outward = self._outward(loop, self.listeners, settings)
            self.proxying = ProxyMode(
                self.counters, loop, self.tapping, self.outward, lambda: self.pools
            )
        assert self.outward is not None
        plan = self.listeners.plan(settings.listen, settings.limits.receive_buffer)
        http_plan = None
        try:
            if self.http is not None:
                http_plan = self.http.plan(settings.http.listen)
            names = own_names(plan.urls.values(), settings.advertise, local_addresses())
            pools = await self._bring_pools(settings, names, pace)
            lookups = partial(lookup_of, lambda pool: pools.get(*pool), settings.advertise)
            reading = self.states.read()
            building = DirectoryBuilder(partial(_pool, pools), lookups, reading.closed)
            changes, keys = await self._build(building, settings, pace)
        except BaseException:  # cancelled or faulty: what was bound for it must not stay bound
            plan.give_up()
            if http_plan is not None:
                http_plan.give_up()
            raise
        self.certificates.take(tls)
        self.listeners.admission.limits = connection_limits(settings.limits)
        serving = Serving(
            server=self._server(settings, building, names, log_requests),
            trust=TrustedPeers(settings.trusted_peers),
            limits=message_limits(settings.limits),
            timeouts=stream_limits(settings.limits),
            security=tls.listeners,
        )
        self.listeners.carry_out(plan, serving)
        self.outward.serve(
            serving.server,
            serving.trust,
            serving.limits,
            serving.timeouts,
            OutgoingLimits(connect=settings.proxy.attempt_timeout),
        )
        old, self.directory = self.directory, building.done()
        self.states.serve(reading, building.waiting)
        self.counters.keep(building.addresses, settings.http.endpoints)
        before, self.settings = self.settings, settings
        self.configured_at = time.time()
        if self.http is not None and http_plan is not None:
            await self.http.carry_out(http_plan)
        if before is None:
            pools.start()
            self._looking = loop.create_task(self._look_at_certificates())
            tell_started(loop, self.listening, settings)
        else:
            changes.compare(before, settings)
            tell_changed(changes)
            before = None  # its endpoints go one by one, with the directory
            await pools.keep(keys, pace)
            while old.take_apart(_AT_ONCE):
                await pace.checkpoint()
        return changes

    def log_requests(self, wanted: bool) -> None:
        """Whether every request gets a line in the log from now on, until the next `apply`."""
        if self._server_now is not None:
            self._server_now.log_requests = wanted
        if self.lookups is not None and self.lookups.driver is not None:
            self.lookups.driver.log_requests = wanted
        if self.proxying is not None and self.proxying.driver is not None:
            self.proxying.driver.log_requests = wanted

    async def stop(self) -> None:
        """Answer what has come, close every connection after its answers, and end."""
        self.draining = True
        if self.listeners is not None:
            self.listeners.hand_over()
        if self._looking is not None:
            self._looking.cancel()
        if self.settings is not None:
            await drain(self.lookups, self.proxying, self.settings.drain)
        # Closing a connection with requests unread would reset it, and a connection that waits to
        # be accepted is one too: so everything gets its turn once more.
        await asyncio.sleep(_LAST_ROUND)
        # what systemd's sockets still bring here is answered: the next process is there in a moment
        if self._server_now is not None and not self.inherited.sockets:
            self._server_now.ending = True
        if self.outward is not None and self.listeners is not None:
            connections = self.listeners.admission.open
            if connections:
                log.info("closing_connections", connections=connections, seconds=GOODBYE)
            _, late = await asyncio.gather(self.outward.aclose(), self.listeners.say_goodbye())
            if late:
                log.info("connections_cut_off", connections=late, why="they didn't read in time")
            # last: until here who came was told to come back later, and not refused
            await self.listeners.close(_LAST_PEERS)
        self.states.close()
        if self.lookups is not None:
            self.lookups.close()
        if self.proxying is not None:
            self.proxying.close()
        if self.pools is not None:
            await self.pools.aclose()
        if self.http is not None:
            self.http.close()
        counters = self.counters
        log.info("stopped", answers=counters.answers, drops=counters.drops)

    def _watch(self, transport: str, host: str, port: int, what: str) -> None:
        """Tell who looks on what became of a connection."""
        tap = self.tapping.tap
        if tap is not None:
            tap.happened(host, port, transport, what)

    async def _look_at_certificates(self) -> None:
        """Take up certificates that are renewed, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.certificates.look()
            except Exception:  # a fault of ours must not take later renewals away as well
                log.exception("certificates_not_looked_at")

    def _outward(
        self, loop: asyncio.AbstractEventLoop, listeners: Listeners, settings: Settings
    ) -> Outbound:
        return Outbound(
            loop,
            lambda: listeners.udp,
            lambda: listeners.bound,
            self.certificates.outgoing,
            settings.limits.receive_buffer,
            self._watch,
        )

    async def _build(
        self, building: DirectoryBuilder, settings: Settings, pace: Slicer
    ) -> tuple[Changes, set[PoolAddress]]:
        """Make the new directory; what it changes, and the pools that it needs."""
        changes, keys = Changes(), set[PoolAddress]()
        old = self.directory
        for each in settings.endpoints:
            known = old.get(each.sip_address.key)
            changes.see(None if known is None else known.settings, each)
            building.add(each)
            keys.update(each.pools)
            await pace.checkpoint()
        new = building.done()
        for endpoint in old:
            if new.get(endpoint.settings.sip_address.key) is None:
                changes.removed.add(endpoint.settings)
            building.succeed(endpoint)
            await pace.checkpoint()
        return changes, keys

    async def _bring_pools(self, settings: Settings, names: OwnNames, pace: Slicer) -> Pools:
        if self.pools is None:
            self.pools = Pools(
                settings.dns,
                settings.health,
                is_own=names.listens_on,
                connects={**CONNECTS, "tls": tls_connect(self.certificates.outgoing)},
            )
        else:
            await self.pools.update(
                settings.dns, settings.health, is_own=names.listens_on, pace=pace
            )
        return self.pools

    def _server(
        self, settings: Settings, building: DirectoryBuilder, names: OwnNames, log_requests: bool
    ) -> RequestHandler:
        secret = settings.secret
        if secret is not None:
            key = secret.get_secret_value().encode()
        else:
            assert self._own_secret is not None  # it has been read
            key = self._own_secret.key
            if building.proxied_pools and not self._told_secret:
                self._told_secret = True
                self._own_secret.tell()
        agent = settings.advertise.host if settings.advertise is not None else "chatredirect"
        tags = TagMaker(key)
        assert self.lookups is not None
        assert self.proxying is not None
        self.lookups.serve(
            settings,
            tags,
            agent.encode("ascii"),
            wanted=bool(building.lookup_domains),
            log_requests=log_requests,
        )
        self.proxying.serve(
            settings,
            building.done(),
            names,
            key,
            agent.encode("ascii"),
            trust=TrustedPeers(settings.trusted_peers),
            pools=building.proxied_pools,
            left=building.left_pools,
            log_requests=log_requests,
        )
        answering = ResponseSettings(
            tags=tags,
            retry_after=settings.retry_after,
            agent=agent.encode("ascii"),
            log_requests=log_requests,
            stateful=StatefulModes(self.lookups.driver, self.proxying.driver),
            registrars=Registrars.of(settings.registrars, building.lookup_domains),
            tapping=self.tapping,
        )
        limits = message_limits(settings.limits)
        self._server_now = RequestHandler(building.done(), names, answering, limits, self.counters)
        return self._server_now


def _pool(pools: Pools, endpoint: EndpointSettings) -> Pool:
    return pools.get(*endpoint.pool)
