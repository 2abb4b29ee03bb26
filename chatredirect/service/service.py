"""Puts the parts together: serve a configuration, serve another one, stop.

It serves before DNS has answered: a response 480 is more use to a client than no daemon.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from chatredirect.answering.request_handler import RequestHandler
from chatredirect.answering.stateful import StatefulModes
from chatredirect.client.wire import CONNECTS, tls_connect
from chatredirect.config import Settings
from chatredirect.dns.resolver import Resolver
from chatredirect.endpoints.activation import ActivationSchedule
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.http.listener import HttpListeners
from chatredirect.http.token_file import ensure_token
from chatredirect.net.own_names import OwnNames, local_addresses, own_names
from chatredirect.net.refusals import Refusals
from chatredirect.pools.refresh import Pools
from chatredirect.responses.counters import Counters
from chatredirect.runtime.regular_file import in_thread
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.changes import Changes, build_directory, log_changed, log_started
from chatredirect.service.lookup_mode import LookupMode, lookup_of
from chatredirect.service.own_secret import OwnSecret, own_secret
from chatredirect.service.proxy_mode import ProxyMode
from chatredirect.service.request_handling import RequestHandling, limits_of
from chatredirect.service.sockets import ListenerPlan, Listeners, Outbound, Serving
from chatredirect.sip.observer import Observing
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission, ConnectionLimits
from chatredirect.transport.certificates import Certificates, Prepared
from chatredirect.transport.connection_settings import ConnectionSettings, StreamLimits
from chatredirect.transport.open_connections import GOODBYE
from chatredirect.transport.outgoing import OutgoingLimits
from chatredirect.usage.ledger import UsageLedger

log = structlog.get_logger()

_AT_ONCE = 50  # endpoints that are taken apart between two looks at the time
_FIRST_ANSWERS = 1.0  # seconds that DNS may take before the first request is answered
_LAST_PEERS = 0.4  # seconds for connections that began while the others were being closed
_LAST_ROUND = 0.1  # seconds in which what has reached our sockets is still read


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration in force; it is exchanged as a whole.

    Attributes:
        since: since when, in seconds since the epoch.
    """

    settings: Settings
    directory: Directory
    handler: RequestHandler
    since: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives configurations."""

    listeners: Listeners
    outbound: Outbound
    pools: Pools
    lookups: LookupMode
    proxying: ProxyMode


@dataclass(slots=True)
class Running:
    """A service from its first configuration on.

    Attributes:
        renewing: takes up renewed certificates.
    """

    parts: Parts
    in_force: InForce
    renewing: asyncio.Task[None]


def _activation() -> ActivationSchedule:
    loop = asyncio.get_running_loop
    return ActivationSchedule(time.time, lambda seconds, call: loop().call_later(seconds, call))


@dataclass(slots=True)
class Service:
    """The service of a daemon, before and after its first configuration.

    Attributes:
        inherited: sockets that systemd has bound.
        certificates: TLS for listeners and for connections to pools.
        activation: endpoints that are activated at a time.
        running: None before the first configuration.
        http: the listeners for metrics and for the page; None where nobody has made them.
        usage: who was served, written down.
        draining: whether it is about to stop, so that requests should go elsewhere.
    """

    inherited: Inherited
    counters: Counters = field(default_factory=lambda: Counters(refusals=Refusals(time.time)))
    certificates: Certificates = field(default_factory=lambda: Certificates(time.time))
    activation: ActivationSchedule = field(default_factory=_activation)
    observing: Observing = field(default_factory=Observing)
    running: Running | None = None
    http: HttpListeners | None = None
    usage: UsageLedger = field(default_factory=lambda: UsageLedger(os.environ))
    draining: bool = False
    _own_secret: OwnSecret | None = None
    _logged_secret: bool = False

    async def apply(self, settings: Settings, *, log_requests: bool, slicer: Slicer) -> Changes:
        """Serve a configuration, the first as any later one.

        What can fail is done before anything changes, so a configuration is in force as a whole or
        not at all. Listeners that stay the same stay open, pools keep what is known of them.

        Returns:
            What is different now; all endpoints, if it is the first.

        Raises:
            BindError: an address can't be listened on.
            InheritError: systemd's sockets and `listen` differ.
            TlsError: a certificate, key or CA file can't be used.
            TokenFault: the page's token can't be used.
        """
        loop = asyncio.get_running_loop()
        # in a thread: it reads files, and the system's authorities are many
        tls = await in_thread(
            partial(self.certificates.prepare, settings.tls_profiles, settings.tls)
        )
        await in_thread(partial(ensure_token, settings.http, os.environ))
        before = self.running
        if before is None:
            self.counters.usage = self.usage.recorder
            await self.usage.serve(settings.usage)  # first: a use of the first second counts, too
            admission = Admission(limits_of(ConnectionLimits, settings.limits), loop.time)
            refusals = self.counters.refusals
            listeners = Listeners(loop, admission, self.inherited, self._watch, refusals)
        else:
            listeners = before.parts.listeners
        plan = listeners.plan(
            settings.listen, settings.limits.receive_buffer, free_bind=settings.free_bind
        )
        http_plans = None
        try:
            if self.http is not None:
                http_plans = self.http.plan(settings.http, tls.listeners)
            names = own_names(plan.urls.values(), settings.names, local_addresses())
            if before is None:
                parts = self._parts(loop, listeners, settings, names)
            else:
                parts = before.parts
                is_own = names.listens_on
                await parts.pools.update(
                    settings.dns, settings.health, is_own=is_own, slicer=slicer
                )
            pools = parts.pools
            lookups_of = partial(lookup_of, lambda pool: pools.get(*pool), settings.advertise)
            reading = self.activation.read()
            builder = DirectoryBuilder(
                lambda endpoint: pools.get(*endpoint.pool), lookups_of, reading.closed
            )
            directory = Directory() if before is None else before.in_force.directory
            changes, keys = await build_directory(directory, builder, settings, slicer)
            key = await self._key(settings, proxies=bool(builder.proxied_pools))
            handling = RequestHandling.of(settings, builder, names, key, pools.addresses)
            if before is None:
                # Requests wait in the sockets meanwhile. Answered at once they would get 480, as
                # if their pools were down, and a restart would be noticed.
                await pools.first_answers(_FIRST_ANSWERS)
        except BaseException:  # cancelled or faulty: what was bound for it must not stay bound
            plan.give_up()
            if http_plans is not None:
                http_plans.give_up()
            raise
        in_force = self._swap(parts, handling, tls, plan, log_requests=log_requests)
        self.activation.serve(reading, builder.waiting)
        self.counters.keep(builder.addresses, settings.http.endpoints)
        if before is None:
            renewing = loop.create_task(self.certificates.keep_looking())
            self.running = Running(parts, in_force, renewing)
        else:
            old, before.in_force = before.in_force.settings, in_force
        if self.http is not None and http_plans is not None:
            await self.http.carry_out(http_plans)
        if before is None:
            pools.start()
            log_started(loop, listeners.bound, settings)
        else:
            await self.usage.serve(settings.usage)
            changes.compare(old, settings)
            log_changed(changes)
            del old  # its endpoints go one by one, with the directory
            await pools.keep(keys, slicer)
            while directory.take_apart(_AT_ONCE):
                await slicer.checkpoint()
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
        """Put a configuration in force, in one step: nothing here waits or fails."""
        settings, lookups, proxying = handling.settings, parts.lookups, parts.proxying
        stateful = StatefulModes(
            lookups.prepare(handling.lookup, wanted=handling.wants_lookups),
            proxying.prepare(handling.proxy),
        )
        answering = replace(
            handling.answering,
            stateful=stateful,
            observing=self.observing,
            log_requests=log_requests,
        )
        handler = RequestHandler(
            handling.directory, handling.names, answering, handling.limits, self.counters
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
        serving = Serving(handler, connection_settings, tls.listeners)
        parts.listeners.carry_out(plan, serving)
        parts.outbound.serve(serving, OutgoingLimits(connect=settings.proxy.attempt_timeout))
        return InForce(settings, handling.directory, handler, time.time())

    def log_requests(self, wanted: bool) -> None:
        """Log every request, or none, until the next `apply`."""
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
        await self.usage.close()
        if self.http is not None:
            await self.http.close()
        counters = self.counters
        log.info("stopped", answers=counters.answers, drops=counters.drops)

    async def _stop(self, running: Running) -> None:
        parts, in_force = running.parts, running.in_force
        parts.listeners.hand_over()
        running.renewing.cancel()
        await _drain(parts.lookups, parts.proxying, in_force.settings.drain)
        # Closing a connection with unread requests would reset it, also one that waits to be
        # accepted: so everything gets its turn once more.
        await asyncio.sleep(_LAST_ROUND)
        # systemd's sockets are answered till the end: the next process reads them in a moment
        if not self.inherited.sockets:
            in_force.handler.ending = True
        # what came in that round has been sent on: its responses are waited for as well
        await parts.proxying.drain(GOODBYE)
        connections = parts.listeners.admission.open
        if connections:
            log.info("closing_connections", connections=connections, seconds=GOODBYE)
        late = await parts.listeners.say_goodbye()
        if late:
            log.info("connections_cut_off", connections=late, why="they didn't read in time")
        # after them: until here a new connection gets 503 with Retry-After, and isn't refused
        await parts.listeners.close(_LAST_PEERS)
        # last: over these come the responses to what systemd's sockets brought until now
        await parts.proxying.drain(GOODBYE)
        await parts.outbound.outgoing.aclose()
        self.activation.close()
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
        outbound = Outbound(listeners, security, settings.limits.receive_buffer)
        pools = Pools(
            Resolver(settings.dns, is_own=names.listens_on),
            settings.health,
            connects={**CONNECTS, "tls": tls_connect(security)},
        )
        lookups = LookupMode(self.counters, loop, self.observing)
        proxying = ProxyMode(self.counters, loop, self.observing, outbound, pools)
        return Parts(listeners, outbound, pools, lookups, proxying)

    async def _key(self, settings: Settings, *, proxies: bool) -> bytes:
        """The key that signs To tags and Record-Routes: the configuration's secret, or ours."""
        if settings.secret is not None:
            return settings.secret.get_secret_value().encode()
        if self._own_secret is None:
            self._own_secret = await in_thread(partial(own_secret, os.environ))
        if proxies and not self._logged_secret:
            self._logged_secret = True
            self._own_secret.log_unless_kept()
        return self._own_secret.key

    def _watch(
        self, transport: str, host: str, port: int, names: tuple[str, ...], what: str
    ) -> None:
        """Report something about a connection to the observer of messages."""
        observer = self.observing.observer
        if observer is not None:
            observer.happened(host, port, transport, names, what)


async def _drain(lookups: LookupMode, proxying: ProxyMode, seconds: float) -> None:
    waiting = not (lookups.idle and proxying.idle)
    if waiting:
        log.info("draining", seconds=seconds)
    began = time.monotonic()
    ended = await asyncio.gather(
        lookups.drain(seconds, lambda: proxying.idle), proxying.drain(seconds)
    )
    if waiting:
        log.info("drained", seconds=round(time.monotonic() - began, 1), all_ended=all(ended))
