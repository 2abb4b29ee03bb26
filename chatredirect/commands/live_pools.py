"""Pools as they are now: a resolution with every step, and a ping of each target."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from chatredirect.client.tls import NotSecureError, Secured
from chatredirect.client.wire import CONNECTS, Connect, Wire, tls_connect
from chatredirect.commands.progress import Progress, progress
from chatredirect.config import DnsSettings, HealthSettings, Settings, Transport
from chatredirect.dns.resolution import Located, ResolutionStep, Trace
from chatredirect.dns.resolver import Resolver
from chatredirect.log.escape import escape
from chatredirect.net.own_names import local_addresses, own_names
from chatredirect.net.target import PoolAddress, Target
from chatredirect.pools.health import PingOutcome
from chatredirect.pools.prober import ping
from chatredirect.runtime.wording import counted
from chatredirect.transport.peer_identity import Security
from chatredirect.transport.tls_contexts import client_context

_PINGS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Resolution:
    """The targets of a pool, and the steps that led to them."""

    pool: PoolAddress
    located: Located
    trace: Trace

    def as_json(self) -> dict[str, object]:
        """The resolution for scripts."""
        return {
            "port": self.pool.port,
            "transport": self.pool.transport,
            "state": self.located.state.value,
            "reason": self.located.reason,
            "targets": [asdict(target) for target in self.located.targets],
            "stale": self.located.stale,
            "notes": self.located.notes,
            "steps": [asdict(step) for step in self.trace],
        }


@dataclass(frozen=True, slots=True)
class Pinged:
    """A target, and the result of a ping.

    Attributes:
        works: whether its response says that it works.
        detail: the response, or the error.
        connected: whether there was a connection; over UDP, a response.
        secured: the TLS session; None without TLS, or if it failed.
        insecure: whether TLS failed.
    """

    target: Target
    works: bool
    detail: str
    connected: bool = True
    secured: Secured | None = None
    insecure: bool = False

    def as_json(self) -> dict[str, object]:
        """The result for scripts."""
        return {"target": str(self.target), "works": self.works, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class LivePool:
    """A pool as it is now."""

    resolution: Resolution
    pinged: tuple[Pinged, ...]

    @property
    def ready(self) -> bool:
        """Whether at least one target works."""
        return any(each.works for each in self.pinged)

    @property
    def why_not(self) -> str:
        """The reason if it isn't ready."""
        if not self.pinged:
            return self.resolution.located.reason
        return f"of {counted(len(self.pinged), 'target')} none works"

    def as_json(self) -> dict[str, object]:
        """The pool for scripts."""
        pings = [each.as_json() for each in self.pinged]
        named = {"pool_fqdn": self.resolution.pool.fqdn, "ready": self.ready, "pings": pings}
        return {**named, **self.resolution.as_json()}


def look(settings: Settings) -> dict[PoolAddress, LivePool]:
    """Resolve and ping the pools of all endpoints, each once.

    Raises:
        TlsError: a certificate, key or CA file can't be used.
    """
    addresses = dict.fromkeys(pool for each in settings.endpoints for pool in each.pools)
    found = resolve_all(addresses, settings)
    pinged = ping_all(found, settings)
    return {
        one.pool: LivePool(one, tuple(pinged[each] for each in one.located.targets))
        for one in found
    }


def resolve_all(
    pools: Iterable[PoolAddress], settings: Settings | None, *, ours: bool = False
) -> list[Resolution]:
    """Resolve each pool once, all at the same time, from an empty cache. Raises nothing.

    Args:
        settings: the name servers, and our own listeners; None for the defaults.
        ours: whether our own listeners may be targets.
    """
    wanted = tuple(pools)
    with progress("resolving pools", len(wanted)) as counter:
        return asyncio.run(_resolve_all(wanted, settings, counter, ours=ours))


async def _resolve_all(
    pools: tuple[PoolAddress, ...], settings: Settings | None, counter: Progress, *, ours: bool
) -> list[Resolution]:
    if settings is None or ours:
        resolver = Resolver(DnsSettings() if settings is None else settings.dns)
    else:
        own = own_names(settings.listen, settings.names, local_addresses())
        resolver = Resolver(settings.dns, is_own=own.listens_on)
    try:
        return await asyncio.gather(*(_resolve(pool, resolver, counter) for pool in pools))
    finally:
        await resolver.aclose()


async def _resolve(pool: PoolAddress, resolver: Resolver, counter: Progress) -> Resolution:
    trace = Trace()
    located = await resolver.locate(pool, trace=trace)
    counter.advance()
    return Resolution(pool, located, trace)


def ping_all(found: Iterable[Resolution], settings: Settings) -> dict[Target, Pinged]:
    """Ping each target once, over its own transport, as the daemon would.

    Raises:
        TlsError: a certificate, key or CA file can't be used.
    """
    targets = tuple(dict.fromkeys(each for one in found for each in one.located.targets))
    outgoing = Security(settings.tls, client_context(settings.tls))
    connects = {**CONNECTS, "tls": tls_connect(lambda: outgoing)}
    health = settings.health or HealthSettings()
    with progress("pinging targets", len(targets)) as counter:
        return asyncio.run(_ping_all(targets, connects, health, counter))


async def _ping_all(
    targets: tuple[Target, ...],
    connects: Mapping[Transport, Connect],
    health: HealthSettings,
    counter: Progress,
) -> dict[Target, Pinged]:
    at_once = asyncio.Semaphore(_PINGS_AT_ONCE)

    async def limited(target: Target) -> Pinged:
        async with at_once:
            pinged = await _ping(target, connects[target.transport], health.timeout)
        counter.advance()
        return pinged

    return dict(zip(targets, await asyncio.gather(*map(limited, targets)), strict=True))


async def _ping(target: Target, connect: Connect, seconds: float) -> Pinged:
    connected = insecure = False
    secured: Secured | None = None

    async def watched(target: Target) -> Wire:
        nonlocal connected, insecure, secured
        try:
            wire = await connect(target)
        except NotSecureError:
            connected = insecure = True
            raise
        connected, secured = True, wire.secured
        return wire

    outcome, detail = await ping(target, watched, seconds)
    works = outcome is PingOutcome.ANSWERED
    if target.transport == "udp":
        connected = works
    return Pinged(target, works, detail, connected, secured, insecure)


def resolution_text(resolution: Resolution, health: Mapping[Target, Pinged]) -> str:
    """The pool, the steps and the targets, with the results of pings if there are any."""
    # names in DNS contain any octet
    return "\n".join(map(escape, _lines(resolution, health)))


def target_text(target: Target) -> str:
    """A target with the name that its address belongs to."""
    named = f"  {target.host}" if target.host != target.address else ""
    return escape(f"{target}{named}")


def _lines(resolution: Resolution, health: Mapping[Target, Pinged]) -> Iterator[str]:
    located = resolution.located
    yield str(resolution.pool)
    for step in resolution.trace:
        yield from _step(step)
    for note in located.notes:
        yield f"  note: {note}"
    for target in located.targets:
        line = f"  → {target_text(target)}, priority {target.priority}, weight {target.weight}"
        pinged = health.get(target)
        if pinged is not None:
            line += f", {'works' if pinged.works else 'FAILS'}: {pinged.detail}"
        yield line
    if not located.targets:
        yield f"  no targets: {located.reason}"


def _step(step: ResolutionStep) -> Iterator[str]:
    ttl = f", TTL {step.ttl:g} s" if step.ttl is not None else ""
    yield f"  {step.type:<5} {step.name}: {step.outcome} ({step.source}{ttl})"
    for record in step.records:
        yield f"          {record}"
    for attempt in step.attempts:
        spent = f"{attempt.seconds * 1000:.0f} ms"
        yield f"          {attempt.server} over {attempt.transport}: {attempt.outcome}, {spent}"
