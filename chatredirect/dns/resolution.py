"""A resolution: what is asked, its result, the steps that led to it, and counters."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from chatredirect.config.fields import Family
from chatredirect.net.target import PoolAddress, Target

Source: TypeAlias = Literal["hosts", "cache", "stale", "dns", "skipped"]


@dataclass(frozen=True, slots=True)
class QueryAttempt:
    """One query to one server: its outcome, and the seconds that it took."""

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
        prefer: the family that is listed first.
        fraction: the part of a TTL after which a refresh is due.
        is_own: whether a target is one of this daemon's own listeners.
        trace: gets each step, if given.
    """

    pool: PoolAddress
    prefer: Family
    fraction: float
    is_own: Callable[[Target], bool]
    trace: Trace | None = None


@dataclass(slots=True)
class DnsCounters:
    """Counts since the start."""

    queries: int = 0  # sent to a server, over either transport
    tcp_queries: int = 0  # those of them sent over TCP, after a truncated answer
    answers: int = 0  # positive answers
    negatives: int = 0  # NXDOMAIN and NODATA
    timeouts: int = 0  # queries without an answer in time
    unreachable: int = 0  # queries that couldn't be sent, and ICMP errors
    refusals: int = 0  # answers with another response code, SERVFAIL and REFUSED for instance
    malformed: int = 0  # answers that can't be read or make no sense, CNAME loops for instance
    ignored: int = 0  # datagrams that answer no query of ours
    cache_hits: int = 0  # lookups that the cache answered
    joined: int = 0  # lookups that waited for the same query of another one
    failures: int = 0  # lookups that no server answered
    stale: int = 0  # lookups that an outdated answer served (RFC 8767)
    refreshes: int = 0  # resolutions of a pool
    refused_targets: int = 0  # targets that can't be used: our own listeners, for instance
