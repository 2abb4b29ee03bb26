"""A ledger's figures, worked out by the database, in the thread that writes.

All of it is bounded: endpoints by a number, clients by the families that the project names.
"""

from sqlalchemy import Connection, func, select

from chatredirect.usage.identity import FAMILIES
from chatredirect.usage.schema import DAYS, WHO
from chatredirect.usage.tally import DAY, LedgerFigures

SPANS = (1, 7, 30)
"""Days over which callers are counted."""
OTHER_FAMILY = "other"
"""Clients that the project doesn't name."""
_MOST_ENDPOINTS = 2000  # each with trusted peers and with strangers


def read_figures(connection: Connection, now: float) -> LedgerFigures:
    """Work them out; `now` in seconds since 1970."""
    latest = func.max(WHO.c.last)
    last = select(WHO.c.endpoint, WHO.c.trusted, latest).group_by(WHO.c.endpoint, WHO.c.trusted)
    recent = connection.execute(last.order_by(latest.desc()).limit(_MOST_ENDPOINTS))
    # from 0 on, so that the first one is seen
    callers = {(days, trusted): 0 for days in SPANS for trusted in (True, False)}
    for days in SPANS:
        since = WHO.c.last >= now - days * DAY
        count = select(WHO.c.trusted, func.count(WHO.c.caller.distinct())).where(since)
        for trusted, number in connection.execute(count.group_by(WHO.c.trusted)):
            callers[days, bool(trusted)] = number
    begin = int(now // DAY) - SPANS[-1] + 1
    uses = (
        select(WHO.c.family, WHO.c.trusted, func.sum(DAYS.c.uses))
        .join(DAYS, DAYS.c.who == WHO.c.id)
        .where(WHO.c.last >= begin * DAY, DAYS.c.day >= begin)
        .group_by(WHO.c.family, WHO.c.trusted)
    )
    families: dict[tuple[str, bool], int] = {}
    for family, trusted, number in connection.execute(uses):
        key = (family if family in FAMILIES else OTHER_FAMILY, bool(trusted))
        families[key] = families.get(key, 0) + int(number)
    return LedgerFigures(
        {(endpoint, bool(trusted)): at for endpoint, trusted, at in recent}, callers, families
    )
