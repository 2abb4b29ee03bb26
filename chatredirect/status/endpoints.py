"""The endpoints, each with what is wrong with it."""

from chatredirect.config.moment import written
from chatredirect.control.protocol import Json
from chatredirect.counters import Counters
from chatredirect.directory import Endpoint


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
