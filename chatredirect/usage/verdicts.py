"""Whether an endpoint may be turned off, and what a ledger can't know of that."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.runtime.wording import counted
from chatredirect.usage.grouping import client_name, written_day, written_time
from chatredirect.usage.reader import Ledgers, SignsOfLife, Who
from chatredirect.usage.tally import DAY

RECENT = 7
"""Days within which a use says that an endpoint is in use."""
MONTH = 30
_NAMED = 5  # of the days on which nothing ran, and of the times after which something is missing
_NAMED_CLIENTS = 5
_MOST_NAMED = 1000  # endpoints that a query names; with more, it reads all
_SIGN_OF_LIFE = 2 * 3600.0  # seconds: an instance writes every hour at least

State: TypeAlias = Literal["in use", "quiet", "safe to turn off"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one endpoint.

    Attributes:
        last: the last use that counts; None if there was none.
        strangers: the last use by a stranger where strangers don't count; None if there was none.
        recent: how many callers that count came in the last 7 days.
        month: how many came in the last 30 days.
        clients: what they called with, in the last 30 days, the most frequent first.
        unknown: what can't be known, so that quiet isn't safe.
    """

    endpoint: str
    state: State
    last: Who | None
    strangers: Who | None
    recent: int
    month: int
    clients: tuple[str, ...]
    unknown: tuple[str, ...]

    def sentences(self, *, disabled: bool = False) -> Iterator[str]:
        """The verdict for people, line by line; `disabled`: whether the endpoint is already."""
        last = self.last
        if self.state == "in use":
            clients = ", ".join(self.clients[:_NAMED_CLIENTS])
            yield (
                f"{self.endpoint}: in use: {counted(self.recent, 'caller')} in {RECENT} days, "
                f"{self.month:,} in {MONTH} days, with {clients}"
            )
        elif self.state == "quiet":
            since = "the ledger began" if last is None else written_time(last.last)
            yield f"{self.endpoint}: quiet since {since}"
        else:
            yield f"{self.endpoint}: safe to turn off"
        if last is None:
            yield "  never used, as far as the ledger goes"
        else:
            client = client_name(last.client)
            yield f"  last by {last.caller} with {client}, {written_time(last.last)}"
        if self.strangers is not None:
            yield (
                f"  strangers don't decide: the last was {self.strangers.caller}, "
                f"{written_time(self.strangers.last)}"
            )
        for each in self.unknown:
            yield f"  not known: {each}"
        if self.state == "in use":
            yield "  next: lead its last callers to the pool, and look again"
        elif self.state == "quiet":
            yield "  next: wait, and look again"
        elif disabled:
            yield f"  next: chatredirect endpoint remove {self.endpoint}"
        else:
            yield f"  next: chatredirect endpoint set {self.endpoint} --state disabled"
            yield f"        and a week later chatredirect endpoint remove {self.endpoint}"

    def as_json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "endpoint": self.endpoint,
            "state": self.state,
            "last": None if self.last is None else _who_as_json(self.last),
            "last_stranger": None if self.strangers is None else _who_as_json(self.strangers),
            "callers_7_days": self.recent,
            "callers_30_days": self.month,
            "clients_30_days": list(self.clients),
            "not_known": list(self.unknown),
        }


def changed_at(endpoints: Iterable[EndpointSettings]) -> dict[str, float]:
    """When the file that defines each endpoint was last changed, by address; 1970 if unknown.

    An endpoint is as old as its file at least; nothing else says when it was first served.
    """
    files: dict[str, float] = {}
    changed: dict[str, float] = {}
    for each in endpoints:
        path = each.source.rpartition(":")[0]
        if path not in files:
            try:
                files[path] = os.stat(path).st_mtime
            except OSError:
                files[path] = 0.0
        changed[str(each.sip_address)] = files[path]
    return changed


def verdicts_on(
    endpoints: Mapping[str, bool],
    ledgers: Ledgers,
    now: float,
    quiet_for: int,
    changed: Mapping[str, float] = MappingProxyType({}),
) -> list[Verdict]:
    """The verdict on each endpoint.

    Args:
        endpoints: by address, whether it serves trusted peers alone; none for all that the ledgers
            know, as if they served anyone.
        ledgers: what is read.
        now: seconds since 1970.
        quiet_for: days without a use after which it may go.
        changed: as `changed_at` gives it. One that nobody has used yet may be new.

    Raises:
        StoreFault: a ledger can't be read.
    """
    running = ledgers.running()
    unknown = tuple(_unknown(running, now, quiet_for))
    known_since = max(min(running.days, default=0) * DAY + DAY, now - quiet_for * DAY)
    found: dict[str, _Seen] = {}
    wanted = endpoints if len(endpoints) <= _MOST_NAMED else ()
    for who in ledgers.who("endpoint", endpoints=wanted):
        seen = found.get(who.endpoint)
        if seen is None:
            trusted_only = endpoints.get(who.endpoint, False)
            seen = found[who.endpoint] = _Seen(now, trusted_only=trusted_only)
        seen.add(who)
    return [
        _verdict(
            each,
            found.get(each) or _Seen(now, trusted_only=False),
            quiet_for,
            (*unknown, *_unserved(found.get(each), changed.get(each, 0.0), known_since)),
        )
        for each in endpoints or found
    ]


def _unserved(seen: "_Seen | None", changed: float, known_since: float) -> Iterator[str]:
    """Why silence may only mean that an endpoint is new."""
    if changed >= known_since and (seen is None or seen.last is None):
        yield (
            f"whether it was served before {written_day(int(changed // DAY))}, when its file was "
            "last changed"
        )


@dataclass(slots=True)
class _Seen:
    """What has been seen of one endpoint; a caller's uses come one after the other."""

    now: float
    trusted_only: bool = field(kw_only=True)
    last: Who | None = None
    strangers: Who | None = None
    recent: int = 0
    month: int = 0
    clients: dict[str, int] = field(default_factory=dict)
    _caller: str = ""
    _caller_last: float = 0.0
    _caller_clients: set[str] = field(default_factory=set)

    def add(self, who: Who) -> None:
        if self.trusted_only and not who.trusted:
            self.strangers = _later(self.strangers, who)
            return
        self.last = _later(self.last, who)
        if who.last < self.now - MONTH * DAY:
            return
        if who.caller != self._caller:
            self.month += 1
            self._caller, self._caller_last = who.caller, 0.0
            self._caller_clients.clear()
        week = self.now - RECENT * DAY
        self.recent += self._caller_last < week <= who.last
        self._caller_last = max(self._caller_last, who.last)
        name = client_name(who.client)
        if name not in self._caller_clients:
            self._caller_clients.add(name)
            self.clients[name] = self.clients.get(name, 0) + 1


def _later(one: Who | None, other: Who) -> Who:
    return other if one is None or other.last > one.last else one


def _verdict(endpoint: str, seen: _Seen, quiet_for: int, unknown: tuple[str, ...]) -> Verdict:
    last = seen.last
    age = seen.now - last.last if last is not None else float("inf")
    state: State
    if age < min(RECENT, quiet_for) * DAY:
        state = "in use"
    elif age < quiet_for * DAY or unknown:
        state = "quiet"
    else:
        state = "safe to turn off"
    clients = tuple(sorted(seen.clients, key=lambda name: (-seen.clients[name], name)))
    return Verdict(endpoint, state, last, seen.strangers, seen.recent, seen.month, clients, unknown)


def _unknown(running: SignsOfLife, now: float, quiet_for: int) -> Iterator[str]:
    """Why silence in the ledger may not be silence on the wire."""
    today = int(now // DAY)
    if not running.days:
        yield "no instance has ever written to the ledger"
        return
    began = min(running.days)
    if began > today - quiet_for:
        yield f"what was before {written_day(began)}, when the ledger began"
    missing = [
        day
        for day in range(max(began, today - quiet_for), today)  # today may be young
        if day not in running.days
    ]
    if missing:
        yield f"what was on {_few(map(written_day, missing))}: no instance ran"
    last = max(sign for _, sign in running.days.values())
    begin = (today - quiet_for) * DAY
    broken = sorted(
        sign for sign in running.broken if begin <= sign < now - _SIGN_OF_LIFE and sign < last
    )
    if broken:
        yield (
            f"what came after {_few(map(written_time, broken))}: an instance ended without "
            "writing its last uses"
        )
    if now - last > _SIGN_OF_LIFE:
        yield f"what was since {written_time(last)}: no instance has written since"


def _few(texts: Iterable[str]) -> str:
    named = list(texts)
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def _who_as_json(who: Who) -> dict[str, object]:
    return {
        "caller": who.caller,
        "client": who.client.family,
        "version": who.client.version,
        "at": written_time(who.last),
    }
