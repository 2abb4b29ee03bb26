"""Uses grouped by day, week, endpoint, client or caller: the rows of `chatredirect usage`."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias

from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.reader import Ledgers, Order, Who

Grouping: TypeAlias = Literal["day", "week", "endpoint", "client", "caller"]
_EPOCH = date(1970, 1, 1)


@dataclass(slots=True)
class UsageRow:
    """One row.

    Attributes:
        name: the day, the Monday of the week, the endpoint, the client or the caller.
        uses: those of trusted peers.
        strangers: those of all others.
        callers: how many called; 0 where the grouping is one by time.
        last: the last use, in seconds since 1970; None where the grouping is one by time.
    """

    name: str
    uses: int = 0
    strangers: int = 0
    callers: int = 0
    last: float | None = None

    def add(self, uses: int, *, trusted: bool) -> None:
        """Count uses."""
        if trusted:
            self.uses += uses
        else:
            self.strangers += uses

    def as_json(self, by: Grouping) -> dict[str, object]:
        """For scripts."""
        shown: dict[str, object] = {by: self.name, "uses": self.uses, "strangers": self.strangers}
        if self.last is not None:
            shown |= {"callers": self.callers, "last": written_time(self.last)}
        return shown


def grouped(
    ledgers: Ledgers, by: Grouping, since: int, endpoints: Collection[str] = ()
) -> list[UsageRow]:
    """The rows: by time from the oldest on, else by the number of uses.

    Args:
        ledgers: what is read.
        by: what a row is about.
        since: from which day on, counted from 1970-01-01.
        endpoints: those that count; none for all.

    Raises:
        StoreFault: a ledger can't be read.
    """
    rows: dict[str, UsageRow] = {}
    if by in ("day", "week"):
        for (day, trusted), uses in ledgers.totals(since, endpoints).items():
            name = written_day(day if by == "day" else monday_of(day))
            rows.setdefault(name, UsageRow(name)).add(uses, trusted=trusted)
        return [rows[name] for name in sorted(rows)]
    order, name_of = _ORDERS[by]
    caller: tuple[str, str] | None = None
    for who in ledgers.who(order, since, endpoints):
        if not who.uses:
            continue
        name = name_of(who)
        row = rows.setdefault(name, UsageRow(name))
        row.add(who.uses, trusted=who.trusted)
        if caller != (name, who.caller):  # a row's callers come one after the other
            caller = (name, who.caller)
            row.callers += 1
        row.last = who.last if row.last is None else max(row.last, who.last)
    return sorted(rows.values(), key=lambda row: (-row.uses, -row.strangers, row.name))


def client_name(client: ClientProduct) -> str:
    """A client's product and version in one text."""
    return " ".join(part for part in client if part)


_ORDERS: dict[Grouping, tuple[Order, Callable[[Who], str]]] = {
    "endpoint": ("endpoint", lambda who: who.endpoint),
    "client": ("client", lambda who: client_name(who.client)),
    "caller": ("caller", lambda who: who.caller),
}


def monday_of(day: int) -> int:
    """The Monday of a day's week; both counted from 1970-01-01, a Thursday."""
    return day - (day + 3) % 7


def written_day(day: int) -> str:
    """A day as in 2026-11-28."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def written_time(at: float) -> str:
    """A time in UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


def day_of(text: str, today: int) -> int:
    """The day of `2026-11-01` or of `30d` ago.

    Raises:
        ValueError: it is neither.
    """
    if text.endswith("d") and text[:-1].isdecimal() and text.isascii() and len(text) < 7:
        return today - int(text[:-1])
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise ValueError(f"{text!r} is neither a number of days (30d) nor a date") from None
