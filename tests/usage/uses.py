"""Uses as the daemon counts them, and what a ledger holds, without the code that reads it."""

from sqlalchemy import text

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.store import writing_engine
from chatredirect.usage.tally import DAY, Batch, UsageCount, UsageKey

CHAT = "sip:ocschat@contoso.com"
OC = ClientProduct("Office Communicator 2007 R2", "3.5.6907.196")
LYNC = ClientProduct("Lync 2010", "4.0.7577.0")


def use(
    day: int,
    caller: str = "sip:ann@contoso.com",
    *,
    client: ClientProduct = OC,
    endpoint: str = CHAT,
    trusted: bool = True,
    outcome: str = "redirected",
) -> UsageKey:
    return UsageKey(day, endpoint, caller, client, trusted, outcome)


def batch(*keys: UsageKey, at: float | None = None, count: int = 1) -> Batch:
    """One batch with `count` uses of each, at the begin and at noon of their days."""
    uses = {key: UsageCount(count, key.day * DAY, key.day * DAY + DAY / 2) for key in keys}
    return Batch(max(key.day for key in keys) * DAY + 1.0 if at is None else at, uses)


def rows(address: StoreAddress, query: str) -> list[tuple[object, ...]]:
    with writing_engine(address).begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def uses_by_caller(address: StoreAddress) -> dict[object, object]:
    query = """SELECT caller, CAST(SUM(uses) AS INTEGER) FROM usage_days
    JOIN usage_who ON usage_who.id = who GROUP BY caller"""
    return dict(rows(address, query))  # type: ignore[arg-type]
