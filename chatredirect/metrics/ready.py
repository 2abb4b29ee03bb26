"""Whether requests should come here: what /readyz says to a load balancer.

It is ready as soon as it serves a configuration, and until it is about to stop. Whether an endpoint
without a target makes it not ready is for the configuration to say: such an endpoint gets 480, and
an instance that is taken out of service takes all the others along.
"""

import asyncio
from dataclasses import dataclass

from chatredirect.endpoints.directory import Endpoint
from chatredirect.service.read_model import ReadModel

_SLICE = 1000  # endpoints in a row, before others have their turn
_NAMED = 20  # endpoints that are named


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should come, and if not, why: lines for people."""

    ready: bool
    why: tuple[str, ...] = ()


async def readiness(model: ReadModel, now: float) -> Readiness:
    """Judge by the read model; `now` in seconds since the epoch."""
    settings = model.settings
    if model.draining:
        return Readiness(False, ("it is about to stop",))
    if settings is None:
        return Readiness(False, ("no configuration is served yet",))
    if not settings.http.ready_needs_targets:
        return Readiness(True)
    without: list[str] = []
    endpoints = list(model.directory)
    for start in range(0, len(endpoints), _SLICE):
        some = endpoints[start : start + _SLICE]
        without += (each.address for each in some if not served(each, now))
        await asyncio.sleep(0)
    if not without:
        return Readiness(True)
    named = [f"{address} has no target that works" for address in without[:_NAMED]]
    if len(without) > _NAMED:
        named.append(f"and {len(without) - _NAMED} more")
    return Readiness(False, tuple(named))


def served(endpoint: Endpoint, now: float) -> bool:
    """Whether an endpoint has a target, or isn't meant to have one now."""
    if endpoint.settings.state_at(now) != "active":
        return True
    if endpoint.lookup is not None:
        return endpoint.lookup.channels.usable
    pool = endpoint.pool
    return pool.usable or (endpoint.settings.on_all_down == "serve" and pool.resolved)
