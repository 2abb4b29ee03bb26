"""Puts the parts together: serve a configuration, serve another one, stop.

The only module that knows them all. DNS is not waited for, since a daemon that is there and says
480 is more use to a client than none.
"""

import asyncio
import platform
import secrets
import time
from dataclasses import dataclass, field, fields
from functools import partial

import structlog

import chatredirect
from chatredirect.certificates import INTERVAL, Certificates
from chatredirect.client.wire import CONNECTS, tls_connect
from chatredirect.config import EndpointSettings, LimitSettings, ListenUrl, Settings
from chatredirect.counters import Counters
from chatredirect.directory import Directory, build_directory
from chatredirect.listeners import Listeners, Serving
from chatredirect.lookups import Lookups, lookup_of, registrars_of
from chatredirect.own_names import OwnNames, local_addresses, own_names
from chatredirect.pool import Pool
from chatredirect.pools import Pools
from chatredirect.roles.server import Answering, Server
from chatredirect.roles.tap import Tapping
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import TagMaker
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission, ConnectionLimits
from chatredirect.transport.terms import StreamTimeouts
from chatredirect.trust import Trust

log = structlog.get_logger()

_SHOWN = 20  # endpoints that the start-up line names
_LAST_ROUND = 0.1  # seconds in which what has reached our sockets is still read


@dataclass(slots=True)
class Service:
    """The running daemon.

    Attributes:
        counters: what happened so far.
        certificates: TLS for listeners and for connections to pools.
        settings: the configuration that is in force, None before the first.
        tapping: says who looks on at the messages.
        inherited: sockets that systemd has bound for us.
        directory: the endpoints that are served.
        listeners: what is listened on; None before the first configuration, like the next two.
        pools: the endpoints' pools.
        lookups: the lookups.
    """

    counters: Counters = field(default_factory=Counters)
    certificates: Certificates = field(default_factory=lambda: Certificates(time.time))
    settings: Settings | None = None
    tapping: Tapping = field(default_factory=Tapping)
    inherited: Inherited = field(default_factory=Inherited)
    directory: Directory = field(default_factory=partial(Directory, ()))
    listeners: Listeners | None = None
    pools: Pools | None = None
    lookups: Lookups | None = None
    _looking: asyncio.Task[None] | None = None
    _spare_key: bytes = field(default_factory=partial(secrets.token_bytes, 32))

    @property
    def listening(self) -> list[ListenUrl]:
        """The addresses that are listened on, with the ports that they really have."""
        return [] if self.listeners is None else self.listeners.bound

    async def apply(self, settings: Settings, *, log_requests: bool) -> None:
        """Serve a configuration, the first as any later one.

        What can fail is done before anything changes, so a configuration is in force as a whole or
        not at all. Listeners that stay the same stay open, pools keep what is known of them.

        Args:
            settings: the configuration.
            log_requests: whether each request gets a line in the log.

        Raises:
            BindError: an address can't be listened on.
            InheritError: systemd's sockets and `listen` differ.
            TlsError: a certificate, key or CA file can't be used.
        """
        loop = asyncio.get_running_loop()
        tls = self.certificates.prepare(settings.secure_listeners, settings.tls)
        if self.listeners is None:
            admission = Admission(_connection_limits(settings.limits), loop.time)
            self.listeners = Listeners(loop, admission, self.inherited)
            self.lookups = Lookups(self.counters, loop, self.tapping)
        plan = self.listeners.plan(settings.listen, settings.limits.receive_buffer)
        try:
            names = own_names(plan.urls.values(), settings.advertise, local_addresses())
            pools = await self._bring_pools(settings, names)
            lookups = partial(lookup_of, lambda pool: pools.get(*pool), settings.advertise)
            directory = build_directory(settings.endpoints, partial(_pool, pools), lookups)
        except BaseException:  # cancelled or faulty: what was bound for it must not stay bound
            plan.give_up()
            raise
        self.certificates.take(tls)
        self.listeners.admission.limits = _connection_limits(settings.limits)
        self.listeners.carry_out(
            plan,
            Serving(
                server=self._server(settings, directory, names, log_requests),
                trust=Trust(settings.trusted_peers),
                limits=_limits(settings.limits),
                timeouts=_timeouts(settings.limits),
                security=tls.listeners,
            ),
        )
        self.directory = directory
        addresses = frozenset(endpoint.address for endpoint in directory)
        self.counters.keep(addresses, settings.http.endpoints)
        before, self.settings = self.settings, settings
        if before is None:
            pools.start()
            self._looking = loop.create_task(self._look_at_certificates())
            self._tell_started(loop, settings)
        else:
            _tell_changed(before, settings)

    async def stop(self) -> None:
        """Answer what has come, close every connection after its answers, and end."""
        if self._looking is not None:
            self._looking.cancel()
        # Closing a connection with requests unread would reset it, and a connection that waits to
        # be accepted is one too: so everything gets its turn once more.
        await asyncio.sleep(_LAST_ROUND)
        if self.listeners is not None:
            await self.listeners.close()
        if self.lookups is not None:
            self.lookups.close()
        if self.pools is not None:
            await self.pools.aclose()
        counters = self.counters
        log.info("stopped", answers=counters.answers, drops=counters.drops)

    async def _look_at_certificates(self) -> None:
        """Take up certificates that are renewed, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                self.certificates.look()
            except Exception:  # a fault of ours must not take later renewals away as well
                log.exception("certificates_not_looked_at")

    async def _bring_pools(self, settings: Settings, names: OwnNames) -> Pools:
        if self.pools is None:
            self.pools = Pools(
                settings.dns,
                settings.health,
                is_own=names.listens_on,
                connects={**CONNECTS, "tls": tls_connect(self.certificates.outgoing)},
            )
        else:
            keys = {pool for each in settings.endpoints for pool in each.pools}
            await self.pools.update(settings.dns, settings.health, keys, is_own=names.listens_on)
        return self.pools

    def _server(
        self, settings: Settings, directory: Directory, names: OwnNames, log_requests: bool
    ) -> Server:
        secret = settings.secret
        key = self._spare_key if secret is None else secret.get_secret_value().encode()
        agent = settings.advertise.host if settings.advertise is not None else "chatredirect"
        tags = TagMaker(key)
        assert self.lookups is not None
        self.lookups.serve(settings, tags, agent.encode("ascii"), log_requests)
        answering = Answering(
            tags=tags,
            retry_after=settings.retry_after,
            agent=agent.encode("ascii"),
            log_requests=log_requests,
            attendant=self.lookups.attendant,
            registrars=registrars_of(settings),
            tapping=self.tapping,
        )
        return Server(directory, names, answering, _limits(settings.limits), self.counters)

    def _tell_started(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        endpoints = settings.endpoints
        log.info(
            "started",
            version=chatredirect.__version__,
            listen=[str(url) for url in self.listening],
            endpoints=len(endpoints),
            serving=[_describe(each) for each in endpoints[:_SHOWN]],
            loop=type(loop).__module__.partition(".")[0],
            python=platform.python_version(),
        )
        if settings.secure_listeners and isinstance(loop, asyncio.BaseEventLoop):
            log.warning(
                "no_uvloop",
                why="with asyncio's own event loop an idle TLS connection takes some 300 KB, with "
                "uvloop 30",
                remedy="pip install uvloop, and loop: auto",
            )


def _tell_changed(before: Settings, after: Settings) -> None:
    """One line for a new configuration: what is different."""
    old = {each.sip_address.key: each for each in before.endpoints}
    new = {each.sip_address.key: each for each in after.endpoints}
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    changed = [key for key in new.keys() & old.keys() if _differs(old[key], new[key])]
    sections = [
        each.name
        for each in fields(Settings)
        if each.name not in ("endpoints", "files")
        and getattr(before, each.name) != getattr(after, each.name)
    ]
    if not (added or removed or changed or sections):
        log.info("configuration_unchanged")  # whoever asked for a reload waits for a word
        return
    log.info(
        "configuration_changed",
        added=[_describe(new[key]) for key in sorted(added)[:_SHOWN]],
        removed=[_describe(old[key]) for key in sorted(removed)[:_SHOWN]],
        changed=[_describe(new[key]) for key in sorted(changed)[:_SHOWN]],
        counts={"added": len(added), "removed": len(removed), "changed": len(changed)},
        settings=sections,
    )


def _differs(before: EndpointSettings, after: EndpointSettings) -> bool:
    """Whether an endpoint does something else; where it is defined doesn't matter."""
    names = (each.name for each in fields(EndpointSettings) if each.name != "source")
    return any(getattr(before, name) != getattr(after, name) for name in names)


def _pool(pools: Pools, endpoint: EndpointSettings) -> Pool:
    return pools.get(*endpoint.pool)


def _describe(endpoint: EndpointSettings) -> str:
    return f"{endpoint.sip_address} -> {endpoint.pool_fqdn}"


def _limits(settings: LimitSettings) -> Limits:
    return Limits(
        message=settings.message,
        header_line=settings.header_line,
        headers=settings.headers,
        via_values=settings.via_values,
        uri=settings.uri,
    )


def _timeouts(settings: LimitSettings) -> StreamTimeouts:
    return StreamTimeouts(
        idle=settings.idle_timeout,
        message=settings.message_timeout,
        write=settings.write_timeout,
        handshake=settings.handshake_timeout,
        keepalive=settings.keepalive,
    )


def _connection_limits(settings: LimitSettings) -> ConnectionLimits:
    return ConnectionLimits(
        connections=settings.connections,
        connections_per_peer=settings.connections_per_peer,
        handshakes=settings.handshakes,
        handshakes_per_peer=settings.handshakes_per_peer,
    )
