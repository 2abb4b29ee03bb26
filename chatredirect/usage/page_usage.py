"""What the page shows of the ledger: uses by day and client, by endpoint, and single callers.

All of it blocks, and is for a thread beside the event loop: it reads in small slices and sleeps in
between, so that SIP gets the interpreter.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import ColumnElement, Executable, case, func, select

from chatredirect.config import EndpointSettings
from chatredirect.config.usage_section import QUIET_FOR, StoreAddress
from chatredirect.usage.grouping import client_name, written_day, written_time
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.reader import SLICE, Ledgers, paused, reading
from chatredirect.usage.schema import CLIENTS, DAYS, TOTALS, WHO
from chatredirect.usage.tally import DAY
from chatredirect.usage.verdicts import MONTH, changed_at, verdicts_on

NO_USES = {"uses_today": 0, "uses_30_days": 0, "strangers_30_days": 0, "last": None}
"""Of an endpoint that the ledger knows, and that wasn't used lately."""
SPAN = 365
"""Days that are shown."""
MOST_ENDPOINTS = 5000
"""Endpoints of which uses and verdicts are shown."""
MOST_CALLERS = 500
"""Rows of callers in one answer."""
_CLIENTS_SINCE = 3  # version of the tables
_PAUSE = 0.0005  # seconds after each slice
_pause = partial(time.sleep, _PAUSE)


@dataclass(frozen=True, slots=True)
class UsageOverview:
    """What the ledger says of all endpoints.

    Attributes:
        days: `since`, `today`, and `by_day`: uses by day and client.
        uses: of each endpoint that the ledger knows, by its address.
        verdicts: of each endpoint in force.
        fault: why there is nothing of all that; empty if there is.
    """

    days: Mapping[str, object]
    uses: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    verdicts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    fault: str = ""


def read_overview(
    address: StoreAddress, endpoints: Sequence[EndpointSettings], now: float
) -> UsageOverview:
    """What the ledger says of the endpoints in force.

    Args:
        address: where it is.
        endpoints: those in force.
        now: seconds since 1970.

    Raises:
        StoreFault: it can't be read.
    """
    ledgers, served = Ledgers((address,), _pause), dict[str, bool]()
    changed: dict[str, float] = {}
    for start in range(0, len(endpoints[:MOST_ENDPOINTS]), SLICE):
        some = endpoints[start : min(start + SLICE, MOST_ENDPOINTS)]
        served |= {str(each.sip_address): each.trusted_only for each in some}
        changed |= changed_at(some)
        _pause()
    verdicts = {
        found.endpoint: found
        for found in (verdicts_on(served, ledgers, now, QUIET_FOR, changed) if served else ())
    }
    uses = _uses(address, now)
    for name, verdict in verdicts.items():
        last = [who.last for who in (verdict.last, verdict.strangers) if who is not None]
        if last:
            uses.setdefault(name, dict(NO_USES))["last"] = written_time(max(last))
    shown = {name: verdict.as_json() for name, verdict in verdicts.items()}
    return UsageOverview(read_days(address, now), uses, shown)


def read_days(address: StoreAddress, now: float, endpoint: str | None = None) -> dict[str, object]:
    """Uses by day and client, of all endpoints or of one, in order. Raises StoreFault."""
    since = int(now // DAY) - SPAN + 1
    rows: dict[tuple[int, str], dict[str, object]] = {}
    with reading(address) as (connection, version):
        query = _days_of(endpoint, since, summed=version >= _CLIENTS_SINCE)
        found = connection.execution_options(yield_per=SLICE).execute(query)
        for row in paused(found.partitions(), _pause):
            client = client_name(ClientProduct(row.family, row.version))
            shown = rows.setdefault(
                (row.day, client),
                {"day": written_day(row.day), "client": client, "uses": 0, "strangers": 0},
            )
            shown["uses" if row.trusted else "strangers"] = int(row.uses)
    return {**no_days(now), "by_day": list(rows.values())}


def _days_of(endpoint: str | None, since: int, *, summed: bool) -> Executable:
    """The rows of each day and client; `summed` tells whether the ledger has them ready."""
    if endpoint is None and summed:
        ready = CLIENTS.c
        return (
            select(CLIENTS)
            .where(ready.day >= since)
            .order_by(ready.day, ready.family, ready.version)
        )
    columns = (DAYS.c.day, WHO.c.family, WHO.c.version, WHO.c.trusted)
    query = select(*columns, func.sum(DAYS.c.uses).label("uses"))
    query = query.join(DAYS, DAYS.c.who == WHO.c.id).where(DAYS.c.day >= since)
    if endpoint is not None:
        query = query.where(WHO.c.endpoint == endpoint)
    return query.group_by(*columns).order_by(DAYS.c.day, WHO.c.family, WHO.c.version)


def no_days(now: float) -> dict[str, object]:
    """The span that is shown, without uses."""
    today = int(now // DAY)
    return {"since": written_day(today - SPAN + 1), "today": written_day(today), "by_day": []}


def read_callers(
    address: StoreAddress, *, endpoint: str | None = None, text: str | None = None
) -> dict[str, object]:
    """Callers, who came last first: those of an endpoint, or with a text in their address.

    Raises:
        StoreFault: the ledger can't be read.
    """
    uses = select(func.sum(DAYS.c.uses)).where(DAYS.c.who == WHO.c.id).scalar_subquery()
    query = select(WHO, uses.label("uses")).order_by(WHO.c.last.desc(), WHO.c.id)
    if endpoint is not None:
        query = query.where(WHO.c.endpoint == endpoint)
    if text is not None:
        query = query.where(WHO.c.caller.contains(text.lower(), autoescape=True))
    with reading(address) as (connection, _):
        found = list(connection.execute(query.limit(MOST_CALLERS + 1)))
    callers = [
        {
            "caller": row.caller,
            "endpoint": row.endpoint,
            "client": client_name(ClientProduct(row.family, row.version)),
            "trusted": bool(row.trusted),
            "uses": int(row.uses or 0),
            "first": written_time(row.first),
            "last": written_time(row.last),
        }
        for row in found[:MOST_CALLERS]
    ]
    return {"callers": callers, "more": len(found) > MOST_CALLERS}


def _uses(address: StoreAddress, now: float) -> dict[str, dict[str, object]]:
    """Uses of each endpoint: today, and in 30 days by trusted peers and by others."""
    today = int(now // DAY)
    of_today: ColumnElement[int] = case((TOTALS.c.day == today, TOTALS.c.uses), else_=0)
    query = (
        select(
            TOTALS.c.endpoint,
            TOTALS.c.trusted,
            func.sum(TOTALS.c.uses).label("uses"),
            func.sum(of_today).label("of_today"),
        )
        .where(TOTALS.c.day > today - MONTH)
        .group_by(TOTALS.c.endpoint, TOTALS.c.trusted)
    )
    found: dict[str, dict[str, object]] = {}
    with reading(address) as (connection, _):
        totals = connection.execution_options(yield_per=SLICE).execute(query)
        for row in paused(totals.partitions(), _pause):
            shown = found.setdefault(row.endpoint, dict(NO_USES))
            if row.trusted:
                shown["uses_today"], shown["uses_30_days"] = int(row.of_today), int(row.uses)
            else:
                shown["strangers_30_days"] = int(row.uses)
    return found
