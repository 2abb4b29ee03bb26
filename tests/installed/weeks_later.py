"""Makes a ledger what it is some weeks after a migration: python -m tests.installed.weeks_later N.

Every user calls once a week, yesterday and on the same day of the weeks before, until their last
week. So what a command prints doesn't depend on the day on which the test runs.
"""

import sys
import time

from sqlalchemy import text

from chatredirect.config.usage_section import parse_store
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.recorder import LOOKED_UP
from chatredirect.usage.store import UsageStore, writing_engine
from chatredirect.usage.tally import DAY, Batch, UsageCount, UsageKey

STORE = parse_store("sqlite:///var/lib/chatredirect/usage.db")
CHAT = "sip:ocschat@contoso.com"
OC = ClientProduct("Office Communicator 2007 R2", "3.5.6907.196")
LYNC = ClientProduct("Group Chat", "4.0.7577.0")
#: Each user's client, and the last week in which they call; the first one is 0.
USERS = {
    "ann": (OC, 0),
    "bob": (OC, 0),
    "carol": (LYNC, 1),
    "dave": (OC, 1),
    "erin": (LYNC, 2),
    "frank": (OC, 3),
}
BEFORE = 35
"""Days for which the service had run before the first Monday."""


def write(weeks: int) -> None:
    """Write a ledger in which the first week was so many weeks ago."""
    today = int(time.time()) // DAY
    first = today - 1 - 7 * weeks
    store = UsageStore(STORE)
    store.write(Batch(float((first - BEFORE) * DAY), {}))
    with writing_engine(STORE).begin() as connection:
        for table in ("who", "days", "totals", "running"):
            connection.execute(text(f"DELETE FROM usage_{table}"))
    for day in range(first - BEFORE, today + 1):
        week, no_day_of_use = divmod(day - first, 7)
        at = float(day * DAY + 10)
        uses = {}
        if not no_day_of_use and week >= 0:
            for number, (user, (client, last)) in enumerate(USERS.items()):
                if week <= last:
                    key = UsageKey(day, CHAT, f"sip:{user}@contoso.com", client, True, LOOKED_UP)
                    uses[key] = UsageCount(3, at, at + number)
        store.write(Batch(at, uses))
    # the service has run until now
    store.write(Batch(time.time(), {}))


if __name__ == "__main__":
    write(int(sys.argv[1]))
