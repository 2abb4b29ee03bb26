"""The parts of a status: the daemon, its traffic, DNS, a line for an endpoint or a pool."""

import heapq
import os
import platform
import time
from collections import Counter
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
from chatredirect.service.read_model import LookupFigures, ProxyFigures, ReadModel

_TARGETS = 16  # targets of one pool that are named
_PEERS = 20  # peers that are named: those with the most connections
_NOT_PINGED = "not pinged"  # a target's state where `health` is off: it is taken to work


def overview(view: View, model: ReadModel, level: LogLevel) -> dict[str, Json]:
    """Version, configuration, listeners, certificates, log."""
    now = time.time()
    return {
        "version": chatredirect.__version__,
        "python": platform.python_version(),
        "codec": codec.NAME,
        "pid": os.getpid(),
        "now": now,
        "started": view.started,
        "uptime": time.monotonic() - view.began,
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
    """How late the event loop was: on average, and the 99th percentile's bucket; seconds."""
    total = sum(seen.counts)
    if not total:
        return None
    most = next(bound for bound, number in seen.buckets if number >= 0.99 * total)
    return {"mean": seen.seconds / total, "mostly_below": most if most < inf else None}


def _configuration(view: View, model: ReadModel) -> Json:
    settings, reloader = model.settings, view.reloader
    verdict = reloader.verdict
    return {
        "file": os.path.abspath(reloader.config),
        "include": None if settings is None else settings.include,
        "files": 0 if settings is None else len(settings.files),
        "fingerprint": "" if settings is None else settings.fingerprint,
        "in_force_since": model.since,
        "reloads": {
            "done": reloader.done,
            "refused": reloader.refused,
            "history": [{"what": each.what, "at": each.at} for each in reversed(reloader.history)],
        },
        "last_reload": None if verdict is None else {"what": verdict.what, "at": verdict.at},
    }


def _listeners(model: ReadModel) -> Json:
    datagrams: list[Json] = [{"url": each.url} for each in model.datagrams]
    return datagrams + [
        {"url": each.url, "connections": each.connections} for each in model.streams
    ]


def trouble(endpoint: Endpoint) -> str:
    """Why requesters aren't led to a target; empty if they are."""
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
    """One endpoint with its counters."""
    settings, pool = endpoint.settings, endpoint.pool
    tally = counters.endpoints.get(endpoint.address)
    by_status: Counter[str] = Counter()
    if tally is not None and counters.together is None:
        for (_, _, status), number in tally.counts.items():
            by_status[str(status)] += number
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
        "answers": dict(by_status) if counters.together is None else None,
        "source": settings.source,
    }


def troubled(pool: Pool) -> bool:
    """Whether there is anything wrong with a pool."""
    return not pool.usable or pool.stale is not None or len(pool.live) < len(pool.targets)


def pool_line(pools: Pools, pool: Pool, now: float) -> dict[str, Json]:
    """One of the pools; `now` in seconds by the pools' clock."""
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
        "notes": list(pool.notes[:_TARGETS]),
        "targets": [
            _target(pools, pool, index) for index in range(min(_TARGETS, len(pool.targets)))
        ],
        "more_targets": max(0, len(pool.targets) - _TARGETS),
    }


def _target(pools: Pools, pool: Pool, index: int) -> Json:
    target = pool.targets[index]
    health = None if pools.prober is None else pools.prober.health.get(target.key)
    return {
        "target": str(target),
        "host": target.host,
        "state": _NOT_PINGED if health is None else health.state.value,
        "pinged": health is not None and health.state is not HealthState.UNKNOWN,
        "last_ping": "" if health is None else health.detail,
        "priority": target.priority,
        "weight": target.weight,
    }


def dns(pools: Pools | None) -> Json:
    """DNS queries since the start, and their results."""
    if pools is None:
        return None
    names = ("queries", "answers", "negatives", "timeouts", "refusals", "failures", "stale")
    return {name: getattr(pools.dns_counters, name) for name in names}


def traffic(view: View, model: ReadModel) -> dict[str, Json]:
    """Answers, drops, faults, connections, lookups, proxied requests, control commands."""
    counters, control = model.counters, view.control
    dropped = ("busy", "garbage", "slow", "unread", "unknown")
    return {
        "answers": {str(status): number for status, number in sorted(counters.answers.items())},
        "drops": dict(sorted(counters.drops.items())),
        "malformed": dict(sorted(counters.faults.items())),
        "connections": _connections(model),
        "lookups": _lookups(model.lookups),
        "proxy": _proxy(model.proxy),
        "control": {
            "requests": dict(control.requests),
            "dropped": {name: getattr(control, name) for name in dropped},
        },
    }


def _connections(model: ReadModel) -> Json:
    connections = model.connections
    if connections is None:
        return None
    closed: Counter[str] = Counter()
    for each in model.streams:
        closed.update(each.closed)
    peers = connections.by_peer
    most = heapq.nlargest(_PEERS, peers.items(), key=lambda each: each[1])
    return {
        "open": connections.open,
        "most": connections.most,
        "peers": len(peers),
        "by_peer": [{"peer": peer, "connections": number} for peer, number in most],
        "refused": dict(connections.refused),
        "closed": dict(closed),
        "sent_away": [
            {"peer": peer, "reason": reason, "at": at}
            for each in model.streams
            for peer, reason, at in each.sent_away
        ],
        "to_targets": 0 if model.outgoing is None else model.outgoing.connections,
    }


def _proxy(proxy: ProxyFigures | None) -> Json:
    if proxy is None:
        return None
    counters = proxy.counters
    return {
        "open": proxy.open,
        "most": proxy.most,
        "transactions": proxy.transactions,
        "forwarded": dict(counters.forwarded),
        "responses": counters.responses,
        "failovers": counters.failovers,
        "failures": dict(counters.failures),
        "refused": dict(counters.refused),
        "retransmissions": counters.retransmissions,
        "cancelled": counters.cancelled,
    }


def _lookups(lookups: LookupFigures | None) -> Json:
    if lookups is None:
        return None
    counters = lookups.counters
    return {
        "dialogs": lookups.open,
        "most": lookups.most,
        "transactions": lookups.transactions,
        "begun": counters.begun,
        "found": counters.found,
        "not_found": counters.not_found,
        "ended": dict(counters.ended),
        "retransmissions": counters.retransmissions,
    }
