"""The endpoints, each with what is wrong with it."""

from chatredirect.control.protocol import Json
from chatredirect.counters import Counters
from chatredirect.directory import Endpoint


def trouble(endpoint: Endpoint, now: float) -> str:
    """Why callers don't get through, or only for the time being; empty if they do.

    Args:
        endpoint: it.
        now: seconds since the epoch.
    """
    settings = endpoint.settings
    state = settings.state_at(now)
    if state != "active":
        if settings.active_from is not None:
            return f"{state} until {settings.active_from.isoformat()}"
        return str(state)
    if endpoint.lookup is not None:
        channels = endpoint.lookup.channels
        return "" if channels.usable else channels.reason
    pool = endpoint.pool
    if pool.usable:
        return ""
    if settings.on_all_down == "serve" and pool.resolved:
        return f"{pool.reason}; serves all the same"
    return pool.reason


def endpoint_line(endpoint: Endpoint, counters: Counters, now: float) -> dict[str, Json]:
    """One endpoint.

    Args:
        endpoint: it.
        counters: the daemon's.
        now: seconds since the epoch.
    """
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
        "state": settings.state_at(now),
        "pool_fqdn": pool.fqdn,
        "port": pool.port,
        "transport": pool.transport,
        "trouble": trouble(endpoint, now),
        "requests": 0 if tally is None else tally.requests,
        "answers": by_status if counters.together is None else None,
        "source": settings.source,
    }
