"""A demonstration: endpoints, and a year of their use in which the old clients become fewer."""

import time
from pathlib import Path
from random import Random
from typing import Any

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY, Batch, UsageCount, UsageKey
from tests.service.daemon import endpoint

CHAT, SALES, OLD = "sip:ocschat@contoso.com", "sip:sales@contoso.com", "sip:archive@contoso.com"
COMMUNICATOR = ClientProduct("Office Communicator 2007 R2", "3.5.6907.196")
LYNC_2010 = ClientProduct("Lync 2010", "4.0.7577.0")
LYNC_2013 = ClientProduct("Lync 2013", "15.0.4420.1017")
YEAR = 365
PEOPLE = 24

ENDPOINTS: list[dict[str, Any]] = [
    endpoint(CHAT, display_name="Group Chat"),
    endpoint(SALES, display_name="Sales"),
    endpoint(OLD, display_name="Archive"),
]


def write_ledger(path: Path, *more: UsageKey) -> None:
    """A year of the endpoints' use, the same each time but for its end, which is today; and more.

    `more` are used three times, now.
    """
    store, random, now = UsageStore(StoreAddress("sqlite", str(path))), Random(1), time.time()
    today = int(now // DAY)
    for ago in range(YEAR - 1, -1, -1):
        day = today - ago
        at = day * DAY + DAY / 2 if ago else now
        uses: dict[UsageKey, UsageCount] = {}
        working = (day + 3) % 7 < 5  # 1970-01-01 was a Thursday
        for person in range(PEOPLE if working else 3):
            if random.random() < 0.3:
                continue
            moves = YEAR * person / PEOPLE  # days ago when this person got the new client
            old = COMMUNICATOR if person % 3 else LYNC_2010
            client = old if ago > moves else LYNC_2013
            name = f"sip:user{person:02}@contoso.com"
            where = SALES if person % 4 == 0 else CHAT
            count = random.randint(1, 6)
            uses[UsageKey(day, where, name, client, True, "redirected")] = UsageCount(count, at, at)
        if ago > 200:
            key = UsageKey(day, OLD, "sip:user07@contoso.com", COMMUNICATOR, True, "redirected")
            uses[key] = UsageCount(2, at, at)
        store.write(Batch(at, uses))
    if more:
        store.write(Batch(now, {key: UsageCount(3, now, now) for key in more}))
