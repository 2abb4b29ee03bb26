"""Where endpoints lead, and whether it works."""

from chatredirect.control.protocol import Json
from chatredirect.health import State
from chatredirect.metrics.view import View
from chatredirect.pool import Pool
from chatredirect.pools import Pools

TARGETS = 16
"""Targets of one pool that are named."""
NOT_PINGED = "not pinged"
"""A target's state where `health` is off: it is taken to work."""


def troubled(pool: Pool) -> bool:
    """Whether there is anything wrong with a pool."""
    return not pool.usable or pool.stale is not None or len(pool.live) < len(pool.targets)


def pool_line(pools: Pools, pool: Pool, now: float) -> dict[str, Json]:
    """One pool.

    Args:
        pools: all of them.
        pool: it.
        now: seconds by the pools' clock.
    """
    due = pools.due(pool)
    return {
        "pool_fqdn": pool.fqdn,
        "port": pool.port,
        "transport": pool.transport,
        "usable": pool.usable,
        "why": pool.reason,
        "stale": pool.stale,
        "dns_age": None if pool.good_at is None else max(0.0, round(now - pool.good_at, 3)),
        "next_refresh": None if due is None else max(0.0, round(due - now, 3)),
        "notes": list(pool.notes[:TARGETS]),
        "targets": [
            _target(pools, pool, index) for index in range(min(TARGETS, len(pool.targets)))
        ],
        "more_targets": max(0, len(pool.targets) - TARGETS),
    }


def _target(pools: Pools, pool: Pool, index: int) -> Json:
    target = pool.targets[index]
    health = None if pools.prober is None else pools.prober.health.get(target.place)
    return {
        "target": str(target),
        "host": target.host,
        "state": NOT_PINGED if health is None else health.state.value,
        "pinged": health is not None and health.state is not State.UNKNOWN,
        "last_ping": "" if health is None else health.detail,
        "priority": target.priority,
        "weight": target.weight,
    }


def dns(view: View) -> Json:
    """What DNS did since the start."""
    pools = view.service.pools
    if pools is None:
        return None
    counters = pools.dns_counters
    return {
        "queries": counters.queries,
        "answers": counters.answers,
        "negatives": counters.negatives,
        "timeouts": counters.timeouts,
        "refusals": counters.refusals,
        "failures": counters.failures,
        "stale": counters.stale,
    }
