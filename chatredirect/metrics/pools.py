"""Readings: DNS, pools, targets.

There may be ten thousand pools. Sums are made in slices, and single pools and targets have series
of their own only up to the number in `http.pools`.
"""

from collections.abc import Iterator, Sequence

from chatredirect.dns.resolution import DnsCounters
from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, by_label
from chatredirect.net.addresses import bracketed
from chatredirect.pools.health import Health, HealthState
from chatredirect.pools.pool import Pool
from chatredirect.service.read_model import ReadModel

_SLICE = 500  # pools or targets in a row

_STATES = ("usable", "stale", "down", "failed", "waiting")


def pool_readings(model: ReadModel, now: float) -> Iterator[Reading]:
    """DNS, pools, targets; `now` in seconds by the pools' clock."""
    pools, settings = model.pools, model.settings
    if pools is None or settings is None:
        return
    yield from _dns(pools.dns_counters)
    every = list(pools)
    yield from _sums(every, now)
    few = settings.http.pools
    yield from _single(every if len(every) <= few else (), now)
    if pools.prober is not None:
        yield from _targets(pools.prober.health, few)


def _dns(dns: DnsCounters) -> Iterator[Reading]:
    queries = {"udp": dns.queries - dns.tcp_queries, "tcp": dns.tcp_queries}
    yield catalogue.DNS_QUERIES, by_label(queries)
    answers = {
        "positive": dns.answers,
        "negative": dns.negatives,
        "timeout": dns.timeouts,
        "unreachable": dns.unreachable,
        "refusal": dns.refusals,
        "malformed": dns.malformed,
    }
    yield catalogue.DNS_ANSWERS, by_label(answers)
    yield catalogue.DNS_IGNORED, [((), dns.ignored)]
    yield catalogue.DNS_CACHE_HITS, [((), dns.cache_hits)]
    yield catalogue.DNS_JOINED, [((), dns.joined)]
    yield catalogue.DNS_FAILURES, [((), dns.failures)]
    yield catalogue.DNS_STALE, [((), dns.stale)]
    yield catalogue.RESOLUTIONS, [((), dns.refreshes)]
    yield catalogue.REFUSED_TARGETS, [((), dns.refused_targets)]


def _state_of(pool: Pool) -> str:
    if pool.usable:
        return "usable" if pool.stale is None else "stale"
    if pool.targets:
        return "down"
    return "failed" if pool.answered else "waiting"


def _sums(pools: Sequence[Pool], now: float) -> Iterator[Reading]:
    by_state = dict.fromkeys(_STATES, 0)
    oldest = now
    for start in range(0, len(pools), _SLICE):
        for pool in pools[start : start + _SLICE]:
            by_state[_state_of(pool)] += 1
            if pool.good_at is not None and pool.good_at < oldest and pool.targets:
                oldest = pool.good_at
        yield None
    yield catalogue.POOLS, by_label(by_state)
    yield catalogue.POOLS_AGE, [((), now - oldest)]


def _single(pools: Sequence[Pool], now: float) -> Iterator[Reading]:
    names = [(_name(pool),) for pool in pools]
    named = list(zip(names, pools, strict=True))
    yield catalogue.POOL_USABLE, ((name, pool.usable) for name, pool in named)
    yield catalogue.POOL_STALE, ((name, pool.stale is not None) for name, pool in named)
    yield catalogue.POOL_TARGETS, ((name, len(pool.targets)) for name, pool in named)
    yield catalogue.POOL_LIVE, ((name, len(pool.live)) for name, pool in named)
    yield (
        catalogue.POOL_AGE,
        ((name, now - pool.good_at) for name, pool in named if pool.good_at is not None),
    )


def _name(pool: Pool) -> str:
    """A pool as a URI would have it: `pcpool.contoso.com:5061;transport=tls`."""
    port = "" if pool.port is None else f":{pool.port}"
    transport = "" if pool.transport is None else f";transport={pool.transport}"
    return f"{bracketed(pool.fqdn)}{port}{transport}"


def _targets(health: Health, few: int) -> Iterator[Reading]:
    by_state = {state.name.lower(): 0 for state in HealthState}
    places = list(health)
    for start in range(0, len(places), _SLICE):
        for each in places[start : start + _SLICE]:
            by_state[each.state.name.lower()] += 1
        yield None
    yield catalogue.TARGETS, by_label(by_state)
    single: dict[str, bool] = {}
    for each in places if len(places) <= few else ():
        # one address may be pinged under several names; it is up if it is under all of them
        name, up = str(each.target), each.state is not HealthState.DOWN
        single[name] = single.get(name, True) and up
    yield catalogue.TARGET_UP, by_label(single)
    counters = health.counters
    yield catalogue.PINGS, [((), counters.pings)]
    yield catalogue.PINGS_LOST, [((), counters.lost)]
    changes = {"up": counters.came_up, "down": counters.went_down}
    yield catalogue.TARGET_CHANGES, by_label(changes)
