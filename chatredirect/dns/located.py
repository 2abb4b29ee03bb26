"""What is asked of RFC 3263 for a pool, and what a resolution comes to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from chatredirect.config.fields import Family
from chatredirect.dns.trace import Trace
from chatredirect.net.target import Target
from chatredirect.sip.uri import Wanted


class LocatedState(Enum):
    """How a resolution ended."""

    FOUND = "found"
    NONE = "none"  # the DNS says clearly that there is no target
    FAILED = "failed"  # no name server could say


@dataclass(frozen=True, slots=True)
class Located:
    """The result of a resolution.

    Attributes:
        state: whether there are targets.
        targets: by priority, then as the records sort; the same records give the same tuple.
        reason: why there are none, for people; empty if there are.
        refresh_at: when to resolve again; infinite where nothing was asked.
        stale: why some of it is outdated; None if it isn't.
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
    """What to locate, and how.

    Attributes:
        fqdn: a host name in lower case without the final dot, or an IP address.
        port: None to let DNS decide.
        transport: None to let DNS decide; `sips` to let it decide among those that are secure.
        prefer: the family that is listed first.
        fraction: the part of a TTL after which a refresh is due.
        is_own: whether a target is one of this daemon's own listeners.
        trace: records each step, if given.
    """

    fqdn: str
    port: int | None
    transport: Wanted | None
    prefer: Family = "ipv4"
    fraction: float = 0.9
    is_own: Callable[[Target], bool] = field(default=lambda target: False)
    trace: Trace | None = None
