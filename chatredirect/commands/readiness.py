"""`check --live`: whether each endpoint works now, and what to do if it doesn't."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from chatredirect.commands.live_pools import LivePool, Pinged, target_text
from chatredirect.commands.other_instances import OtherInstance
from chatredirect.config import EndpointSettings, Settings
from chatredirect.config.endpoint import written
from chatredirect.dns.resolution import LocatedState
from chatredirect.log.escape import escape
from chatredirect.net.target import PoolAddress
from chatredirect.runtime.wording import counted
from chatredirect.transport.certificates import EXPIRY_WARNING


class Grade(StrEnum):
    """Whether an item is met."""

    OK = "ok"
    DOUBTFUL = "doubtful"  # ready all the same
    FAILS = "FAILS"


@dataclass(frozen=True, slots=True)
class Item:
    """One condition for an endpoint to work. `remedy` says what to do; it may be empty."""

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


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """All endpoints of a configuration, and the pools that they lead to.

    Attributes:
        now: when the pools were looked at, in seconds since the epoch.
        instances: the others, compared with this one.
    """

    settings: Settings
    pools: Mapping[PoolAddress, LivePool]
    now: float
    instances: Sequence[OtherInstance] = ()

    def all_ready(self) -> bool:
        """Whether every endpoint is ready, and the other instances are as this one."""
        alike = not any(each.problems for each in self.instances)
        return alike and all(self._is_ready(each) for each in self.settings.endpoints)

    def lines(self, shown: int) -> Iterator[str]:
        """Every pool with its targets; then `shown` endpoints, those that aren't ready first."""
        for address, pool in self.pools.items():
            yield str(address)
            for each in pool.pinged:
                works = "works" if each.works else "FAILS"
                yield f"  {works}  {target_text(each.target)}: {each.detail}"
            if not pool.pinged:
                yield f"  FAILS  {pool.why_not}"
        yield ""
        ready = {each.sip_address.key: self._is_ready(each) for each in self.settings.endpoints}
        endpoints = sorted(self.settings.endpoints, key=lambda each: ready[each.sip_address.key])
        for endpoint in endpoints[:shown]:
            pool = self._decisive(endpoint)
            word = "ready" if ready[endpoint.sip_address.key] else "not ready"
            why = "" if pool.ready else f" ({pool.resolution.pool}: {pool.why_not})"
            yield f"{word:<9}  {endpoint.sip_address}{why}"
            yield from (f"  {escape(str(item))}" for item in self._items(endpoint))
        if len(endpoints) > shown:
            yield f"… and {len(endpoints) - shown:,} more"
        for instance in self.instances:
            yield instance.line()
        yield f"{sum(ready.values()):,} of {counted(len(endpoints), 'endpoint')} ready"

    def as_json(self) -> dict[str, object]:
        """The pools and the endpoints' readiness for scripts."""
        return {
            "pools": [pool.as_json() for pool in self.pools.values()],
            "instances": [each.as_json() for each in self.instances],
            "readiness": [
                {
                    "sip_address": str(endpoint.sip_address),
                    "ready": self._is_ready(endpoint),
                    "items": [item.as_json() for item in self._items(endpoint)],
                }
                for endpoint in self.settings.endpoints
            ],
        }

    def _is_ready(self, endpoint: EndpointSettings) -> bool:
        return is_ready(self._items(endpoint))

    def _items(self, endpoint: EndpointSettings) -> tuple[Item, ...]:
        return readiness(endpoint, self._decisive(endpoint), self.now)

    def _decisive(self, endpoint: EndpointSettings) -> LivePool:
        """The pool that decides: the endpoint's, or its first ready channel service's."""
        if endpoint.mode != "lookup":
            return self.pools[endpoint.pool]
        channels = [self.pools[endpoint.channel_pool(uri)] for uri in endpoint.channels]
        return next((pool for pool in channels if pool.ready), channels[0])


def readiness(endpoint: EndpointSettings, pool: LivePool, now: float) -> tuple[Item, ...]:
    """Every item of an endpoint, in the order in which a request meets them.

    Args:
        pool: the endpoint's pool, or that of its working channel service.
        now: seconds since the epoch.
    """
    return (
        Item("URI", Grade.OK, f"{endpoint.sip_address}, from {endpoint.source}"),
        _state(endpoint, now),
        *_pool(pool, now),
    )


def is_ready(items: Sequence[Item]) -> bool:
    """Whether a client would get through, now or when the endpoint becomes active."""
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


def _pool(live: LivePool, now: float) -> Iterator[Item]:
    located, pool, pinged = live.resolution.located, live.resolution.pool, live.pinged
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
    target = failed[0].target
    remedy = (
        f"start the service there, or let {target.transport} port {target.port} "
        "through the firewalls"
    )
    return _failing("connection", failed, pinged, pinged, remedy)


def _certificate(pinged: Sequence[Pinged], now: float) -> Item:
    connected = [each for each in pinged if each.connected]
    failed = [each for each in connected if each.insecure]
    if failed:
        remedy = "" if ";" in failed[0].detail else "renew it, or see to it, at the pool"
        return _failing("certificate", failed, connected, pinged, remedy)
    secured = [each.secured for each in connected if each.secured is not None]
    names = ", ".join(dict.fromkeys(name for each in secured for name in each.names))
    until = min(each.until for each in secured)
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
    return _failing("OPTIONS", failed, asked, pinged, remedy)


def _failing(
    name: str,
    failed: Sequence[Pinged],
    tried: Sequence[Pinged],
    pinged: Sequence[Pinged],
    remedy: str,
) -> Item:
    """An item that some targets fail; it is only doubtful if others of those tried are right."""
    grade = Grade.FAILS if len(failed) == len(tried) else Grade.DOUBTFUL
    first = failed[0]
    detail = f"{_of(failed, pinged)}: {first.target} {first.detail}"
    return Item(name, grade, detail, remedy)


def _of(some: Sequence[Pinged], of: Sequence[Pinged]) -> str:
    if len(some) == len(of):
        return "its only target" if len(of) == 1 else f"all {len(of)} targets"
    return f"{len(some)} of {len(of)} targets"
