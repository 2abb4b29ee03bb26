"""A pool as a request sees it: its targets are ready, nothing is looked up.

`usable` and `reason` are plain attributes, `order` is a short computation. They change between
requests: after a refresh or a ping `chatredirect.pools.refresh` calls `take` or `review`, and logs
the changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from chatredirect.config.fields import Family
from chatredirect.dns.order import Order
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.net.target import PoolAddress, Target, TargetAddress
from chatredirect.sip.uri import Wanted


class PoolEvent(Enum):
    """What happened to a pool; the values are the names of log events."""

    RESOLVED = "pool_resolved"  # it has targets and had none
    CHANGED = "pool_changed"  # it has other targets than before
    STALE = "pool_stale"  # DNS fails; the last good answer serves on
    FRESH = "pool_fresh"  # DNS answers again, as before
    FAILED = "pool_failed"  # it has no targets, for another reason than before


@dataclass(frozen=True, slots=True)
class PoolChange:
    """An event of a pool to log: added and removed targets, and the reason."""

    event: PoolEvent
    added: tuple[Target, ...] = ()
    removed: tuple[Target, ...] = ()
    reason: str = ""


@dataclass(slots=True, eq=False, repr=False)
class Pool:
    """A pool of one or more endpoints.

    When very many pools start, one whose name has addresses is `usable` before its targets are
    known, since a redirect to its name is right whatever they are. `order` is empty until then.

    Attributes:
        key: FQDN, port and transport.
        fqdn: host name in lower case, or an IP address.
        port: None if DNS decides.
        transport: None if DNS decides.
        usable: whether a target works, as far as is known.
        reason: why the pool isn't usable: printable ASCII without quotes, for a Warning header.
        targets: all targets of the last good answer.
        live: those that work, as far as is known.
        good_at: when DNS last confirmed the targets; None before the first time.
        stale: why the targets are outdated; None if they aren't.
        notes: what was left out of DNS's answer, and why.
        want: asks for the first resolution out of turn; None after it.
        answered: whether any resolution has ended, with or without targets.
        due: when the next refresh is due; infinite during one.
        queued: used by the timer heap.
    """

    key: PoolAddress
    _prefer: Family
    fqdn: str = field(init=False)
    port: int | None = field(init=False)
    transport: Wanted | None = field(init=False)
    usable: bool = False
    reason: str = field(init=False)
    targets: tuple[Target, ...] = ()
    live: tuple[Target, ...] = ()
    good_at: float | None = None
    stale: str | None = None
    notes: tuple[str, ...] = ()
    want: "Callable[[Pool], None] | None" = None
    answered: bool = False
    due: float = inf
    queued: float = inf
    _order: Order | None = None
    _reported: str | None = None

    def __post_init__(self) -> None:
        """Begin without targets."""
        self.fqdn, self.port, self.transport = self.key
        self.reason = f"{self.fqdn}: not resolved yet"

    @property
    def resolved(self) -> bool:
        """Whether there are targets, working or not."""
        return bool(self.targets)

    def order(self, caller: bytes) -> tuple[Target, ...]:
        """The targets for a caller's requests, the first to be tried first.

        These are the live targets in the order of RFC 3263 and RFC 2782, or all targets if none is
        live, for endpoints with `on_all_down: serve`. A caller gets the same order while they stay
        the same.

        Args:
            caller: identifies the caller: the From URI, for instance.
        """
        if self._order is None:
            self._order = Order(self.live or self.targets, self._prefer)
        return self._order.for_caller(caller)

    def take(self, located: Located, now: float, stale_limit: float) -> PoolChange | None:
        """Take the result of a resolution; returns the event to log, if there is one.

        Args:
            located: the result.
            now: seconds of a monotonic clock.
            stale_limit: seconds that unconfirmed targets may serve.
        """
        self.answered = True
        self.want = None
        if located.state is LocatedState.FOUND:
            return self._confirmed(located, now)
        overdue = self.good_at is None or now >= self.good_at + stale_limit
        if located.state is LocatedState.FAILED and self.targets and not overdue:
            first, self.stale = self.stale is None, located.reason
            return PoolChange(PoolEvent.STALE, reason=located.reason) if first else None
        removed = self.targets
        # the failing server and its error may differ each time: log once that none answers
        outcome = located.reason if located.state is LocatedState.NONE else located.state.value
        reported_before = outcome == self._reported
        self._reported = outcome
        self.stale = None
        self.notes = located.notes
        self.reason = f"{self.fqdn}: {_printable(located.reason)}"
        self._set_targets(())
        if removed or not reported_before:
            return PoolChange(PoolEvent.FAILED, removed=removed, reason=self.reason)
        return None

    def exists(self) -> None:
        """Note that the name has addresses; the targets aren't known yet."""
        self.answered = True
        self.usable = True
        self.reason = f"{self.fqdn}: targets not resolved yet"

    def review(self, is_down: Callable[[TargetAddress], bool]) -> bool:
        """Update `live` by which targets are down; returns whether it changed."""
        live = tuple(target for target in self.targets if not is_down(target.key))
        if live == self.live:
            return False
        self._set_live(live)
        return True

    def prefer(self, family: Family) -> None:
        """Put the addresses of a family first."""
        if family != self._prefer:
            self._prefer = family
            self._set_live(self.live)

    def _confirmed(self, located: Located, now: float) -> PoolChange | None:
        before = self.targets
        self._reported = None
        was_stale, self.stale = self.stale, located.stale
        if located.stale is None or self.good_at is None:
            self.good_at = now
        self.notes = located.notes
        if located.targets != before:
            self._set_targets(located.targets)
        if not before:
            return PoolChange(PoolEvent.RESOLVED, located.targets, reason=located.stale or "")
        added = tuple(target for target in located.targets if target not in before)
        removed = tuple(target for target in before if target not in located.targets)
        if added or removed:
            return PoolChange(PoolEvent.CHANGED, added, removed, reason=located.stale or "")
        if located.stale is not None and was_stale is None:
            return PoolChange(PoolEvent.STALE, reason=located.stale)
        if located.stale is None and was_stale is not None:
            return PoolChange(PoolEvent.FRESH)
        return None

    def _set_targets(self, targets: tuple[Target, ...]) -> None:
        # whether new ones are down is looked up by `review`, which follows
        gone = set(self.targets) - set(self.live)
        self.targets = targets
        self._set_live(tuple(target for target in targets if target not in gone))

    def _set_live(self, live: tuple[Target, ...]) -> None:
        self.live = live
        self._order = None
        self.usable = bool(live)
        if live:
            self.reason = ""
        elif self.targets:
            count = len(self.targets)
            which = "its only target is down" if count == 1 else f"all {count} targets are down"
            self.reason = f"{self.fqdn}: {which}"


def _printable(text: str) -> str:
    """Text as one line of ASCII for a quoted string; names in DNS may contain any octet."""
    return "".join(
        character if " " <= character <= "~" and character not in '"\\' else "?"
        for character in text.replace('"', "'")
    )[:200]
