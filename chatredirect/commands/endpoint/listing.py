"""Endpoints as `get` and `-PassThru` show them."""

from collections.abc import Iterator, Sequence

from chatredirect.config.endpoint import EndpointSettings, written
from chatredirect.net.target import PoolAddress

_COLUMNS = ("SipAddress", "PersistentChatPoolFqdn", "Mode", "State", "DisplayName")


def state_text(endpoint: EndpointSettings, now: float) -> str:
    """The state that is in force, and until when if that is known.

    Args:
        endpoint: whose.
        now: seconds since the epoch.
    """
    state = endpoint.state_at(now)
    if endpoint.active_from is None or state == "active":
        return state
    return f"{state} until {written(endpoint.active_from)}"


def pool_text(endpoint: EndpointSettings) -> str:
    """The pool with its port and transport, as far as they are given."""
    return str(PoolAddress(endpoint.pool_fqdn, endpoint.port, endpoint.transport))


def table(endpoints: Sequence[EndpointSettings], now: float) -> Iterator[str]:
    """A line for each endpoint, below a line with the columns' names."""
    rows = [_COLUMNS, *(_row(each, now) for each in endpoints)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _row(endpoint: EndpointSettings, now: float) -> tuple[str, ...]:
    return (
        str(endpoint.sip_address),
        pool_text(endpoint),
        endpoint.mode,
        state_text(endpoint, now),
        endpoint.display_name or "",
    )


def sheet(endpoint: EndpointSettings, now: float) -> Iterator[str]:
    """Everything about one endpoint, a line each."""
    shown = {
        "SipAddress": str(endpoint.sip_address),
        "PersistentChatPoolFqdn": endpoint.pool_fqdn,
        "DisplayName": endpoint.display_name or "",
        "Mode": endpoint.mode,
        "Port": str(endpoint.port or ""),
        "Transport": endpoint.transport or "",
        "State": state_text(endpoint, now),
        "Source": endpoint.source,
    }
    width = max(map(len, shown))
    for name, value in shown.items():
        yield f"{name:<{width}} : {value}".rstrip()


def as_json(endpoint: EndpointSettings, now: float) -> dict[str, object]:
    """Everything about one endpoint, for scripts."""
    return {
        "sip_address": str(endpoint.sip_address),
        "pool_fqdn": endpoint.pool_fqdn,
        "display_name": endpoint.display_name,
        "mode": endpoint.mode,
        "port": endpoint.port,
        "transport": endpoint.transport,
        "state": endpoint.state,
        "active_from": None if endpoint.active_from is None else written(endpoint.active_from),
        "state_now": endpoint.state_at(now),
        "source": endpoint.source,
    }
