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

from chatredirect.answering.stateful import StatefulModes
from chatredirect.client.wire import CONNECTS, tls_connect
from chatredirect.config import EndpointSettings, Settings
from chatredirect.endpoints.activation import ActivationSchedule
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.http.listener import HttpListener
from chatredirect.net.own_names import OwnNames, local_addresses, own_names
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from chatredirect.responses.counters import Counters
from chatredirect.runtime.regular_file import in_thread
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.changes import Changes, log_changed, log_started
from chatredirect.service.listeners import ListenerPlan, Listeners, Serving
from chatredirect.service.lookup_mode import LookupMode, lookup_of
from chatredirect.service.outbound import Outbound
from chatredirect.service.own_secret import OwnSecret, own_secret
from chatredirect.service.proxy_mode import ProxyMode
from chatredirect.service.request_handling import RequestHandling, limits_of
from chatredirect.service.running import InForce, Parts, Running
from chatredirect.sip.observer import Observing
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission, ConnectionLimits
from chatredirect.transport.certificates import INTERVAL, Certificates, Prepared
from chatredirect.transport.connection_settings import ConnectionSettings, StreamLimits
from chatredirect.transport.open_connections import GOODBYE
from chatredirect.transport.outgoing import OutgoingLimits

log = structlog.get_logger()


_AT_ONCE = 50  # endpoints that are let go of before it is time to look whether it is time
_LAST_PEERS = 0.4  # seconds for the peers that came while the others were waited for
_LAST_ROUND = 0.1  # seconds in which what has reached our sockets is still read


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)


def _states() -> ActivationSchedule:
    return ActivationSchedule(time.time, _later)


@dataclass(slots=True)
class Service:
    """The service of a daemon, before and after its first configuration.

    Attributes:
        counters: what happened so far.
        certificates: TLS for listeners and for connections to pools.
        states: which endpoints wait for their time.
        observing: holds the observer of messages.
        inherited: sockets that systemd has bound for us.
        running: what serves; None before the first configuration.
        http: where metrics are to be had; None where nobody has made it.
        draining: whether it is about to stop, so that requests should go elsewhere.
    """

    counters: Counters = field(default_factory=Counters)
    certificates: Certificates = field(default_factory=lambda: Certificates(time.time))
    states: ActivationSchedule = field(default_factory=_states)
    observing: Observing = field(default_factory=Observing)
    inherited: Inherited = field(default_factory=Inherited)
    running: Running | None = None
    http: HttpListener | None = None
    draining: bool = False
    _own_secret: OwnSecret | None = None
    _logged_secret: bool = False

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
        before = self.running
        if before is None:
            admission = Admission(limits_of(ConnectionLimits, settings.limits), loop.time)
            listeners = Listeners(loop, admission, self.inherited, self._watch)
        else:
            listeners = before.parts.listeners
        plan = listeners.plan(settings.listen, settings.limits.receive_buffer)
        http_plan = None
        try:
            if self.http is not None:
                http_plan = self.http.plan(settings.http.listen)
            names = own_names(plan.urls.values(), settings.advertise, local_addresses())
            if before is None:
                parts = self._parts(loop, listeners, settings, names)
            else:
                parts = before.parts
                is_own = names.listens_on
                await parts.pools.update(settings.dns, settings.health, is_own=is_own, slicer=pace)
            pools = parts.pools
            lookups_of = partial(lookup_of, lambda pool: pools.get(*pool), settings.advertise)
            reading = self.states.read()
            building = DirectoryBuilder(partial(_pool, pools), lookups_of, reading.closed)
            directory = Directory() if before is None else before.in_force.directory
            changes, keys = await _build(directory, building, settings, pace)
            key = await self._key(settings, building)
            handling = RequestHandling.of(settings, building, names, key, pools.addresses)
        except BaseException:  # cancelled or faulty: what was bound for it must not stay bound
            plan.give_up()
            if http_plan is not None:
                http_plan.give_up()
            raise
        in_force = self._swap(parts, handling, tls, plan, log_requests=log_requests)
        self.states.serve(reading, building.waiting)
        self.counters.keep(building.addresses, settings.http.endpoints)
        if before is None:
            self.running = Running(parts, in_force, loop.create_task(self._look_at_certificates()))
        else:
            old, before.in_force = before.in_force.settings, in_force
        if self.http is not None and http_plan is not None:
            await self.http.carry_out(http_plan)
        if before is None:
            pools.start()
            log_started(loop, listeners.bound, settings)
        else:
            changes.compare(old, settings)
            log_changed(changes)
            del old  # its endpoints go one by one, with the directory
            await pools.keep(keys, pace)
            while directory.take_apart(_AT_ONCE):
                await pace.checkpoint()
        return changes

    def _swap(
        self,
        parts: Parts,
        handling: RequestHandling,
        tls: Prepared,
        plan: ListenerPlan,
        *,
        log_requests: bool,
    ) -> InForce:
        """Put a configuration in force, in one step: nothing here waits, or can fail."""
        settings, lookups, proxying = handling.settings, parts.lookups, parts.proxying
        stateful = StatefulModes(
            lookups.prepare(handling.lookup, wanted=handling.wants_lookups),
            proxying.prepare(handling.proxy),
        )
        handler = handling.handler(
            stateful, self.observing, self.counters, log_requests=log_requests
        )
        self.certificates.take(tls)
        lookups.serve(handling.lookup, log_requests=log_requests)
        proxying.serve(handling.proxy, log_requests=log_requests)
        parts.listeners.admission.limits = limits_of(ConnectionLimits, settings.limits)
        connection_settings = ConnectionSettings(
            handler.answer_event,
            handling.trust,
            handling.limits,
            limits_of(StreamLimits, settings.limits),
        )
        parts.listeners.carry_out(plan, Serving(handler, connection_settings, tls.listeners))
        connect = OutgoingLimits(connect=settings.proxy.attempt_timeout)
        parts.outbound.serve(handler, connection_settings, connect)
        return InForce(settings, handling.directory, handler, time.time())

    def log_requests(self, wanted: bool) -> None:
        """Whether every request gets a line in the log from now on, until the next `apply`."""
        running = self.running
        if running is None:
            return
        running.in_force.handler.log_requests = wanted
        for driver in (running.parts.lookups.driver, running.parts.proxying.driver):
            if driver is not None:
                driver.log_requests = wanted

    async def stop(self) -> None:
        """Answer what has come, close every connection after its answers, and end."""
        self.draining = True
        if self.running is not None:
            await self._stop(self.running)
        if self.http is not None:
            self.http.close()
        counters = self.counters
        log.info("stopped", answers=counters.answers, drops=counters.drops)

    async def _stop(self, running: Running) -> None:
        parts, in_force = running.parts, running.in_force
        parts.listeners.hand_over()
        running.renewing.cancel()
        await drain(parts.lookups, parts.proxying, in_force.settings.drain)
        # Closing a connection with requests unread would reset it, and a connection that waits to
        # be accepted is one too: so everything gets its turn once more.
        await asyncio.sleep(_LAST_ROUND)
        # what systemd's sockets still bring here is answered: the next process is there in a moment
        if not self.inherited.sockets:
            in_force.handler.ending = True
        connections = parts.listeners.admission.open
        if connections:
            log.info("closing_connections", connections=connections, seconds=GOODBYE)
        _, late = await asyncio.gather(parts.outbound.aclose(), parts.listeners.say_goodbye())
        if late:
            log.info("connections_cut_off", connections=late, why="they didn't read in time")
        # last: until here who came was told to come back later, and not refused
        await parts.listeners.close(_LAST_PEERS)
        self.states.close()
        parts.lookups.close()
        parts.proxying.close()
        await parts.pools.aclose()

    def _parts(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: Listeners,
        settings: Settings,
        names: OwnNames,
    ) -> Parts:
        security = self.certificates.outgoing
        outbound = Outbound(
            loop,
            lambda: listeners.udp,
            lambda: listeners.bound,
            security,
            settings.limits.receive_buffer,
            self._watch,
        )
        pools = Pools(
            settings.dns,
            settings.health,
            is_own=names.listens_on,
            connects={**CONNECTS, "tls": tls_connect(security)},
        )
        lookups = LookupMode(self.counters, loop, self.observing)
        proxying = ProxyMode(self.counters, loop, self.observing, outbound, pools)
        return Parts(listeners, outbound, pools, lookups, proxying)

    async def _key(self, settings: Settings, building: DirectoryBuilder) -> bytes:
        """Give what tags and Record-Routes are signed with: the configuration's secret, or ours."""
        if settings.secret is not None:
            return settings.secret.get_secret_value().encode()
        if self._own_secret is None:
            self._own_secret = await in_thread(partial(own_secret, os.environ))
        if building.proxied_pools and not self._logged_secret:
            self._logged_secret = True
            self._own_secret.tell()
        return self._own_secret.key

    def _watch(self, transport: str, host: str, port: int, what: str) -> None:
        """Tell the observer of messages what became of a connection."""
        observer = self.observing.observer
        if observer is not None:
            observer.happened(host, port, transport, what)

    async def _look_at_certificates(self) -> None:
        """Take up certificates that are renewed, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.certificates.look()
            except Exception:  # a fault of ours must not take later renewals away as well
                log.exception("certificates_not_looked_at")


async def drain(lookups: LookupMode, proxying: ProxyMode, seconds: float) -> None:
    """Let lookups and proxied requests finish.

    Args:
        lookups: the daemon's.
        proxying: the same of the mode `proxy`.
        seconds: how long to wait for them.
    """
    waiting = not (lookups.idle and proxying.idle)
    if waiting:
        log.info("draining", seconds=seconds)
    began = time.monotonic()
    ended = await asyncio.gather(
        lookups.drain(seconds, lambda: proxying.idle), proxying.drain(seconds)
    )
    if waiting:
        log.info("drained", seconds=round(time.monotonic() - began, 1), all_ended=all(ended))


async def _build(
    old: Directory, building: DirectoryBuilder, settings: Settings, pace: Slicer
) -> tuple[Changes, set[PoolAddress]]:
    """Make the new directory; what it changes, and the pools that it needs."""
    changes, keys = Changes(), set[PoolAddress]()
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


def _pool(pools: Pools, endpoint: EndpointSettings) -> Pool:
    return pools.get(*endpoint.pool)
