"""The daemon itself: what runs, with which configuration, since when."""

import os
import platform
from math import inf

import chatredirect
from chatredirect import codec
from chatredirect.config.endpoint import written
from chatredirect.control.protocol import Json
from chatredirect.endpoints.directory import Endpoint
from chatredirect.log.level import LogLevel
from chatredirect.metrics.view import View
from chatredirect.pools.health import HealthState
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from chatredirect.responses.counters import Counters
from chatredirect.runtime.histogram import Histogram
from chatredirect.service.read_model import ReadModel

TARGETS = 16
"""Targets of one pool that are named."""
NOT_PINGED = "not pinged"
"""A target's state where `health` is off: it is taken to work."""


def overview(
    view: View, model: ReadModel, level: LogLevel, now: float, ticks: float
) -> dict[str, Json]:
    """Version, configuration, listeners, certificates, log.

    Args:
        view: the daemon.
        model: its service.
        level: how much it logs.
        now: seconds since the epoch.
        ticks: seconds on the clock that is never set.
    """
    return {
        "version": chatredirect.__version__,
        "python": platform.python_version(),
        "codec": codec.NAME,
        "pid": os.getpid(),
        "now": now,
        "started": view.started,
        "uptime": ticks - view.began,
        "draining": model.draining,
        "event_loop_lag": _lag(view.lag.seen),
        "configuration": _configuration(view, model),
        "log": {
            "level": level.level,
            "configured": level.configured.level,
            "until": level.until,
            "lines_lost": view.sink.dropped,
        },
        "listeners": _listeners(model),
        "certificates": [
            {"file": file, "expires": until, "days_left": int((until - now) // 86_400)}
            for file, until in model.expiries.items()
        ],
    }


def _lag(seen: Histogram) -> Json:
    """How late the event loop was on average, and 99 times in 100 at most; seconds."""
    total = sum(seen.counts)
    if not total:
        return None
    most = next(bound for bound, number in seen.buckets if number >= 0.99 * total)
    return {"mean": seen.seconds / total, "mostly_below": most if most < inf else None}


def _configuration(view: View, model: ReadModel) -> Json:
    settings, reloader = model.settings, view.reloader
    verdict = reloader.verdict
    return {
        "file": str(reloader.config),
        "files": 0 if settings is None else len(settings.files),
        "fingerprint": "" if settings is None else settings.fingerprint,
        "in_force_since": model.since,
        "reloads": {"done": reloader.done, "refused": reloader.refused},
        "last_reload": None if verdict is None else {"what": verdict.what, "at": verdict.at},
    }


def _listeners(model: ReadModel) -> Json:
    datagrams: list[Json] = [{"url": each.url} for each in model.datagrams]
    return datagrams + [
        {"url": each.url, "connections": each.connections} for each in model.streams
    ]


def trouble(endpoint: Endpoint) -> str:
    """Why callers don't get through, or only for the time being; empty if they do."""
    settings = endpoint.settings
    if endpoint.closed is not None:
        if settings.active_from is not None:
            return f"{endpoint.state} until {written(settings.active_from)}"
        return endpoint.state
    if endpoint.lookup is not None:
        channels = endpoint.lookup.channels
        return "" if channels.usable else channels.reason
    pool = endpoint.pool
    if pool.usable:
        return ""
    if settings.on_all_down == "serve" and pool.resolved:
        return f"{pool.reason}; serves all the same"
    return pool.reason


def endpoint_line(endpoint: Endpoint, counters: Counters) -> dict[str, Json]:
    """One endpoint, with the daemon's counters of it."""
    settings, pool = endpoint.settings, endpoint.pool
    tally = counters.endpoints.get(endpoint.address)
    by_status: dict[str, int] = {}
    if tally is not None and counters.together is None:
        for (_, _, status), number in tally.counts.items():
            by_status[str(status)] = by_status.get(str(status), 0) + number
    return {
        "sip_address": endpoint.address,
        "display_name": settings.display_name,
        "mode": settings.mode,
        "state": endpoint.state,
        "pool_fqdn": pool.fqdn,
        "port": pool.port,
        "transport": pool.transport,
        "trouble": trouble(endpoint),
        "requests": 0 if tally is None else tally.requests,
        "answers": by_status if counters.together is None else None,
        "source": settings.source,
    }


def troubled(pool: Pool) -> bool:
    """Whether there is anything wrong with a pool."""
    return not pool.usable or pool.stale is not None or len(pool.live) < len(pool.targets)


def pool_line(pools: Pools, pool: Pool, now: float) -> dict[str, Json]:
    """One pool.

    Args:
        pools: all of them.
        pool: the pool to describe.
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
    health = None if pools.prober is None else pools.prober.health.get(target.key)
    return {
        "target": str(target),
        "host": target.host,
        "state": NOT_PINGED if health is None else health.state.value,
        "pinged": health is not None and health.state is not HealthState.UNKNOWN,
        "last_ping": "" if health is None else health.detail,
        "priority": target.priority,
        "weight": target.weight,
    }


def dns(pools: Pools | None) -> Json:
    """What DNS did since the start."""
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
