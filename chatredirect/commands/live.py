"""`check --live`: would it work this minute? Each pool resolved, each of its targets pinged."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from chatredirect.client.wire import CONNECTS, Connect, tls_connect
from chatredirect.commands.report import counted
from chatredirect.commands.resolution_text import target_text
from chatredirect.commands.resolving import Resolution, Way, resolve_all
from chatredirect.config import HealthSettings, Settings, Transport
from chatredirect.dns.target import Target
from chatredirect.health import Outcome
from chatredirect.ping import ping
from chatredirect.transport.secure import Security
from chatredirect.transport.tls import client_context

AT_ONCE = 64
"""Pings that are under way at the same time."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """A target, whether it works, and what it said or what prevented it."""

    target: Target
    works: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LivePool:
    """A pool as it is right now. Ready: at least one target works."""

    resolution: Resolution
    targets: tuple[Pinged, ...]

    @property
    def ready(self) -> bool:
        """Whether a client would get through."""
        return any(each.works for each in self.targets)

    @property
    def why_not(self) -> str:
        """What is the matter if it isn't ready."""
        if not self.targets:
            return self.resolution.located.reason
        return f"of {counted(len(self.targets), 'target')} none works"

    def as_json(self) -> dict[str, object]:
        """All of it, for scripts."""
        pings = [
            {"target": str(each.target), "works": each.works, "detail": each.detail}
            for each in self.targets
        ]
        named = {"pool_fqdn": self.resolution.way.fqdn, "ready": self.ready, "pings": pings}
        return {**named, **self.resolution.as_json()}


def look(settings: Settings) -> dict[Way, LivePool]:
    """Resolve and ping the pools of all endpoints, each once.

    Raises:
        TlsError: a certificate, key or CA file can't be used.
    """
    ways = dict.fromkeys(map(Way.of, settings.endpoints))
    outgoing = Security(settings.tls, client_context(settings.tls))
    found = resolve_all(ways, settings.dns)
    pinger = _Pinger(
        connects={**CONNECTS, "tls": tls_connect(lambda: outgoing)},
        seconds=(settings.health or HealthSettings()).timeout,
    )
    return asyncio.run(_ping_all(found, pinger))


@dataclass(slots=True)
class _Pinger:
    """How targets are reached, and how long each gets, in seconds."""

    connects: Mapping[Transport, Connect]
    seconds: float
    at_once: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, AT_ONCE))

    async def ping(self, target: Target) -> Pinged:
        async with self.at_once:
            outcome, detail = await ping(target, self.connects[target.transport], self.seconds)
        return Pinged(target, outcome is Outcome.ANSWERED, detail)


async def _ping_all(found: list[Resolution], pinger: _Pinger) -> dict[Way, LivePool]:
    targets = list(dict.fromkeys(each for one in found for each in one.located.targets))
    pinged = await asyncio.gather(*map(pinger.ping, targets))
    by_target = {each.target: each for each in pinged}
    return {
        one.way: LivePool(one, tuple(by_target[each] for each in one.located.targets))
        for one in found
    }


def live_lines(settings: Settings, pools: dict[Way, LivePool], shown: int) -> Iterator[str]:
    """Every pool with its targets; then each endpoint, those that aren't ready first."""
    for way, pool in pools.items():
        yield str(way)
        for each in pool.targets:
            works = "works" if each.works else "FAILS"
            yield f"  {works}  {target_text(each.target)}: {each.detail}"
        if not pool.targets:
            yield f"  FAILS  {pool.why_not}"
    yield ""
    endpoints = sorted(settings.endpoints, key=lambda each: pools[Way.of(each)].ready)
    for endpoint in endpoints[:shown]:
        pool = pools[Way.of(endpoint)]
        why = "" if pool.ready else f" ({pool.resolution.way}: {pool.why_not})"
        yield f"{'ready' if pool.ready else 'not ready':<9}  {endpoint.sip_address}{why}"
    if len(endpoints) > shown:
        yield f"… and {len(endpoints) - shown:,} more"
    ready = sum(pools[Way.of(each)].ready for each in endpoints)
    yield f"{ready:,} of {counted(len(endpoints), 'endpoint')} ready"
