"""Whether an endpoint is ready: items from its URI to its pool's answer, each with a remedy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from chatredirect.commands.pool_resolution import Resolution
from chatredirect.commands.target_pings import Pinged
from chatredirect.config import EndpointSettings
from chatredirect.config.moment import written
from chatredirect.dns.located import LocatedState
from chatredirect.runtime.wording import counted
from chatredirect.transport.certificates import EXPIRY_WARNING


class Grade(StrEnum):
    """The grade of an item."""

    OK = "ok"
    DOUBTFUL = "doubtful"  # ready all the same
    FAILS = "FAILS"


@dataclass(frozen=True, slots=True)
class Item:
    """One condition for an endpoint to work.

    Attributes:
        name: the condition.
        grade: whether it is met.
        detail: what was found.
        remedy: what to do; may be empty.
    """

    name: str
    grade: Grade
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """The item as one line."""
        todo = f": {self.remedy}" if self.remedy else ""
        return f"{self.grade:<8}  {self.name:<11}  {self.detail}{todo}"

    def as_json(self) -> dict[str, object]:
        """The item for scripts."""
        return {
            "item": self.name,
            "grade": self.grade.value.lower(),
            "detail": self.detail,
            "remedy": self.remedy,
        }


def readiness(
    endpoint: EndpointSettings, resolution: Resolution, pinged: Sequence[Pinged], now: float
) -> tuple[Item, ...]:
    """Every item of an endpoint, in the order in which a request meets them.

    Args:
        endpoint: the endpoint.
        resolution: of its pool, or of its working channel service.
        pinged: the pings of that pool's targets.
        now: seconds since the epoch.
    """
    return (
        Item("URI", Grade.OK, f"{endpoint.sip_address}, from {endpoint.source}"),
        _state(endpoint, now),
        *_pool(resolution, pinged, now),
    )


def is_ready(items: Sequence[Item]) -> bool:
    """Whether a client would get through, now or when the endpoint's time has come."""
    return all(item.grade is not Grade.FAILS for item in items)


def _state(endpoint: EndpointSettings, now: float) -> Item:
    state = endpoint.state_at(now)
    if state == "active":
        return Item("state", Grade.OK, state)
    if endpoint.active_from is not None:
        detail = f"{state} until {written(endpoint.active_from)}, then active by itself"
        return Item("state", Grade.OK, detail)
    remedy = f"chatredirect endpoint set {endpoint.sip_address} --state active"
    return Item("state", Grade.FAILS, state, remedy)


def _pool(resolution: Resolution, pinged: Sequence[Pinged], now: float) -> Iterator[Item]:
    located, pool = resolution.located, resolution.pool
    if not pinged:
        shows = f"chatredirect resolve {pool.fqdn} shows each step"
        remedy = (
            f"add its records to DNS, or the name to dns.hosts; {shows}"
            if located.state is LocatedState.NONE
            else f"see to the name servers (dns.nameservers, /etc/resolv.conf); {shows}"
        )
        yield Item("pool's DNS", Grade.FAILS, f"{pool}: {located.reason}", remedy)
        return
    found = f"{pool}: {counted(len(pinged), 'target')}"
    if located.stale is not None or located.notes:
        yield Item("pool's DNS", Grade.DOUBTFUL, f"{found}; {located.stale or located.notes[0]}")
    else:
        yield Item("pool's DNS", Grade.OK, found)
    yield _connection(pinged)
    if any(each.connected and each.target.transport == "tls" for each in pinged):
        yield _certificate(pinged, now)
    if any(each.connected and not each.insecure for each in pinged):
        yield _options(pinged)


def _connection(pinged: Sequence[Pinged]) -> Item:
    failed = [each for each in pinged if not each.connected]
    if not failed:
        return Item("connection", Grade.OK, f"to {_of(pinged, pinged)}")
    first = failed[0]
    remedy = (
        f"start the service there, or let {first.target.transport} port {first.target.port} "
        "through the firewalls"
    )
    grade = Grade.FAILS if len(failed) == len(pinged) else Grade.DOUBTFUL
    return Item("connection", grade, f"{_of(failed, pinged)}: {_said(first)}", remedy)


def _certificate(pinged: Sequence[Pinged], now: float) -> Item:
    reached = [each for each in pinged if each.connected and each.target.transport == "tls"]
    failed = [each for each in reached if each.insecure]
    good = [each.secured for each in reached if each.secured is not None]
    if failed:
        remedy = "" if ";" in failed[0].detail else "renew it, or see to it, at the pool"
        connected = [each for each in pinged if each.connected]
        grade = Grade.FAILS if len(failed) == len(connected) else Grade.DOUBTFUL
        return Item("certificate", grade, f"{_of(failed, pinged)}: {_said(failed[0])}", remedy)
    names = ", ".join(dict.fromkeys(name for each in good for name in each.names))
    until = min(each.until for each in good)
    day = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if until - now < EXPIRY_WARNING:
        remedy = "renew it at the pool before then"
        return Item("certificate", Grade.DOUBTFUL, f"{names}, only until {day}", remedy)
    return Item("certificate", Grade.OK, f"{names}, until {day}")


def _options(pinged: Sequence[Pinged]) -> Item:
    asked = [each for each in pinged if each.connected and not each.insecure]
    failed = [each for each in asked if not each.works]
    if not failed:
        return Item("OPTIONS", Grade.OK, asked[0].detail)
    remedy = "something listens there and doesn't serve: see to the service, and its own log"
    grade = Grade.FAILS if len(failed) == len(asked) else Grade.DOUBTFUL
    return Item("OPTIONS", grade, f"{_of(failed, pinged)}: {_said(failed[0])}", remedy)


def _of(some: Sequence[Pinged], of: Sequence[Pinged]) -> str:
    if len(some) == len(of):
        return "its only target" if len(of) == 1 else f"all {len(of)} targets"
    return f"{len(some)} of {len(of)} targets"


def _said(pinged: Pinged) -> str:
    return f"{pinged.target} {pinged.detail}"
