"""One resolution for a command: the targets it found, and every step that led to them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from chatredirect.commands.target_pings import Pinged
from chatredirect.config import DnsSettings, Settings
from chatredirect.dns.located import Located
from chatredirect.dns.resolver import Resolver
from chatredirect.dns.trace import ResolutionStep, Trace
from chatredirect.log.escape import escape
from chatredirect.net.own_names import local_addresses, own_names
from chatredirect.net.target import PoolAddress, Target


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
            "steps": [asdict(step) for step in self.trace.steps],
        }


def resolve_all(pools: Iterable[PoolAddress], settings: Settings | None) -> list[Resolution]:
    """Resolve each pool once, at the same time, from an empty cache. Raises nothing.

    Args:
        pools: what to resolve.
        settings: say whom to ask, and which targets are our own listeners and so none; without
            them it is as with the defaults.
    """
    return asyncio.run(_resolve_all(tuple(pools), settings))


async def _resolve_all(
    pools: tuple[PoolAddress, ...], settings: Settings | None
) -> list[Resolution]:
    if settings is None:
        resolver = Resolver(DnsSettings())
    else:
        own = own_names(settings.listen, settings.advertise, local_addresses())
        resolver = Resolver(settings.dns, is_own=own.listens_on)
    try:
        return await asyncio.gather(*(_resolve(pool, resolver) for pool in pools))
    finally:
        await resolver.aclose()


async def _resolve(pool: PoolAddress, resolver: Resolver) -> Resolution:
    trace = Trace()
    located = await resolver.locate(pool.fqdn, pool.port, pool.transport, trace=trace)
    return Resolution(pool, located, trace)


def resolution_lines(
    resolution: Resolution, health: Mapping[Target, Pinged] | None = None
) -> Iterator[str]:
    """The pool, the steps and the targets, escaped: names in DNS hold any octet.

    Args:
        resolution: what was found.
        health: the results of pings of its targets, if there were any.
    """
    return map(escape, _lines(resolution, health or {}))


def target_text(target: Target) -> str:
    """A target with the name that its address belongs to."""
    named = f"  {target.host}" if target.host != target.address else ""
    return escape(f"{target}{named}")


def _lines(resolution: Resolution, health: Mapping[Target, Pinged]) -> Iterator[str]:
    located = resolution.located
    yield str(resolution.pool)
    for step in resolution.trace.steps:
        yield from _step(step)
    for note in located.notes:
        yield f"  note: {note}"
    for target in located.targets:
        srv = f", priority {target.priority}, weight {target.weight}"
        yield f"  → {target_text(target)}{srv}{_health(health.get(target))}"
    if not located.targets:
        yield f"  no targets: {located.reason}"


def _health(pinged: Pinged | None) -> str:
    if pinged is None:
        return ""
    return f", {'works' if pinged.works else 'FAILS'}: {pinged.detail}"


def _step(step: ResolutionStep) -> Iterator[str]:
    ttl = f", TTL {step.ttl:g} s" if step.ttl is not None else ""
    yield f"  {step.type:<5} {step.name}: {step.outcome} ({step.source}{ttl})"
    for record in step.records:
        yield f"          {record}"
    for attempt in step.attempts:
        spent = f"{attempt.seconds * 1000:.0f} ms"
        yield f"          {attempt.server} over {attempt.transport}: {attempt.outcome}, {spent}"
