"""A resolution: what is asked, its result, the steps that led to it, and counters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from chatredirect.config.fields import Family
from chatredirect.net.target import Target
from chatredirect.sip.uri import Wanted

Source: TypeAlias = Literal["hosts", "cache", "stale", "dns", "skipped"]


@dataclass(frozen=True, slots=True)
class QueryAttempt:
    """One question to one server: its outcome, and the seconds that it took."""

    server: str
    transport: Literal["udp", "tcp"]
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ResolutionStep:
    """The lookup of one name and type.

    Attributes:
        name: without the final dot.
        type: `NAPTR`, `SRV`, `A` or `AAAA`.
        source: where the answer came from.
        outcome: `NOERROR`, `NODATA`, `NXDOMAIN`, or why there is no answer.
        ttl: seconds; None if there is none.
        records: as in a zone file, aliases included.
        attempts: in the order of asking.
    """

    name: str
    type: str
    source: Source
    outcome: str
    ttl: float | None = None
    records: tuple[str, ...] = ()
    attempts: tuple[QueryAttempt, ...] = ()


#: Steps in the order in which they ended.
Trace: TypeAlias = list[ResolutionStep]


class LocatedState(Enum):
    """How a resolution ended."""

    FOUND = "found"
    NONE = "none"  # DNS answered: there is no target
    FAILED = "failed"  # no name server answered


@dataclass(frozen=True, slots=True)
class Located:
    """The result of a resolution.

    Attributes:
        targets: by priority, then as the records sort; the same records give the same tuple.
        reason: why there are no targets, for people; empty if there are.
        refresh_at: when to resolve again; infinite if nothing was asked.
        stale: why part of the result is outdated; None if it isn't.
        notes: what was left out, and why.
    """

    state: LocatedState
    targets: tuple[Target, ...]
    reason: str
    refresh_at: float
    stale: str | None
    notes: tuple[str, ...]


@dataclass(slots=True)
class Question:
    """What to resolve, and how.

    Attributes:
        fqdn: a host name in lower case without the final dot, or an IP address.
        port: None to let DNS decide.
        transport: None to let DNS decide; `sips` to let it decide among those that are secure.
        prefer: the family that is listed first.
        fraction: the part of a TTL after which a refresh is due.
        is_own: whether a target is one of this daemon's own listeners.
        trace: gets each step, if given.
    """

    fqdn: str
    port: int | None
    transport: Wanted | None
    prefer: Family = "ipv4"
    fraction: float = 0.9
    is_own: Callable[[Target], bool] = field(default=lambda target: False)
    trace: Trace | None = None


@dataclass(slots=True)
class DnsCounters:
    """Counts since the start.

    Attributes:
        queries: questions sent to a server, over either transport.
        tcp_queries: those of them sent over TCP, after a truncated answer.
        answers: positive answers.
        negatives: NXDOMAIN and NODATA.
        timeouts: questions without an answer in time.
        unreachable: questions that couldn't be sent, and ICMP errors.
        refusals: answers with another response code, SERVFAIL and REFUSED for instance.
        malformed: answers that can't be read or make no sense, CNAME loops for instance.
        ignored: datagrams that answer no question of ours.
        cache_hits: questions that the cache answered.
        joined: questions that waited for the same question already asked.
        failures: lookups that no server answered.
        stale: lookups that an outdated answer served (RFC 8767).
        refreshes: resolutions of a pool.
        refused_targets: targets that can't be used: our own listeners, for instance.
    """

    queries: int = 0
    tcp_queries: int = 0
    answers: int = 0
    negatives: int = 0
    timeouts: int = 0
    unreachable: int = 0
    refusals: int = 0
    malformed: int = 0
    ignored: int = 0
    cache_hits: int = 0
    joined: int = 0
    failures: int = 0
    stale: int = 0
    refreshes: int = 0
    refused_targets: int = 0
