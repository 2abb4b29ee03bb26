"""Which targets work: a state machine for each pinged address, and when its next ping is due.

A ping is answered or lost. A number of outcomes in a row against the state change it; one that
agrees with it resets the count. A target that wasn't pinged yet counts as working, so that requests
needn't wait for pings at the start, and one answer sets it to up.

This module has no clock and no socket: `chatredirect.pools.prober` sends the pings.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf

from chatredirect.config import HealthSettings
from chatredirect.net.target import Target, TargetAddress
from chatredirect.sip.transaction.timer_heap import TimerHeap


class HealthState(Enum):
    """The state of a target; the values are for people."""

    UNKNOWN = "not pinged yet"
    UP = "up"
    DOWN = "down"


class PingOutcome(Enum):
    """The outcome of one ping."""

    ANSWERED = "answered"  # any SIP response but 503
    LOST = "lost"  # no response in time, no connection, or 503


#: How many outcomes in a row a transition needs, by the settings, and the new state. An outcome
#: without an entry agrees with the state, and starts the count anew.
TRANSITIONS: dict[
    tuple[HealthState, PingOutcome], tuple[Callable[[HealthSettings], int], HealthState]
] = {
    (HealthState.UNKNOWN, PingOutcome.ANSWERED): (lambda _: 1, HealthState.UP),
    (HealthState.UNKNOWN, PingOutcome.LOST): (lambda s: s.losses, HealthState.DOWN),
    (HealthState.UP, PingOutcome.LOST): (lambda s: s.losses, HealthState.DOWN),
    (HealthState.DOWN, PingOutcome.ANSWERED): (lambda s: s.successes, HealthState.UP),
}


@dataclass(slots=True)
class TargetHealth:
    """The state of one address that is pinged.

    Attributes:
        target: the target whose name goes into the pings; several may share the address.
        against: outcomes in a row that speak against the state.
        detail: the last ping's result, for people: `200 OK`, `no response within 4 s`.
        watchers: number of pools that have the address.
        due: when its next ping is due; infinite while a ping is under way.
        queued: used by the timer heap.
    """

    target: Target
    state: HealthState = HealthState.UNKNOWN
    against: int = 0
    detail: str = ""
    watchers: int = 0
    due: float = inf
    queued: float = inf

    def observe(self, outcome: PingOutcome, settings: HealthSettings) -> bool:
        """Count an outcome; returns whether the state changed."""
        transition = TRANSITIONS.get((self.state, outcome))
        if transition is None:
            self.against = 0
            return False
        needed, state = transition
        self.against += 1
        if self.against < needed(settings):
            return False
        self.state = state
        self.against = 0
        return True


@dataclass(slots=True)
class HealthCounters:
    """Pings sent and lost, and changes of state, since the start."""

    pings: int = 0
    lost: int = 0
    went_down: int = 0
    came_up: int = 0


class Health:
    """The health of all addresses that are pinged, by the time of the next ping."""

    __slots__ = ("_by_address", "_rng", "_settings", "_timers", "counters")

    def __init__(self, settings: HealthSettings, rng: random.Random) -> None:
        """Begin with no targets."""
        self._settings = settings
        self._rng = rng
        self._by_address: dict[TargetAddress, TargetHealth] = {}
        self._timers: TimerHeap[TargetHealth] = TimerHeap()
        self.counters = HealthCounters()

    def __len__(self) -> int:
        """How many addresses are pinged."""
        return len(self._by_address)

    def __iter__(self) -> Iterator[TargetHealth]:
        """The state of each pinged address."""
        return iter(self._by_address.values())

    def update(self, settings: HealthSettings, now: float) -> None:
        """Use other settings; states stay.

        The next ping stays when it was due, or comes within the new interval if that ends earlier.
        """
        shorter = settings.interval < self._settings.interval
        self._settings = settings
        for health in self._by_address.values() if shorter else ():
            latest = now + self._rng.uniform(0, settings.interval)
            if latest < health.due < inf:
                self._set_due(health, latest)

    def watch(self, targets: Iterable[Target], now: float) -> None:
        """Add a pool with these targets; a new address gets its first ping within a second."""
        for target in targets:
            health = self._by_address.get(target.key)
            if health is None:
                health = self._by_address[target.key] = TargetHealth(target)
                first = min(1.0, self._settings.interval)
                self._set_due(health, now + self._rng.uniform(0, first))
            health.watchers += 1

    def unwatch(self, targets: Iterable[Target]) -> None:
        """Remove a pool with these targets."""
        for target in targets:
            health = self._by_address.get(target.key)
            if health is not None:
                health.watchers -= 1
                if health.watchers <= 0:
                    del self._by_address[target.key]
                    health.due = inf

    def get(self, address: TargetAddress) -> TargetHealth | None:
        """The state of an address; None if it isn't pinged."""
        return self._by_address.get(address)

    def is_down(self, address: TargetAddress) -> bool:
        """Whether a target at this address is down."""
        health = self._by_address.get(address)
        return health is not None and health.state is HealthState.DOWN

    def _set_due(self, health: TargetHealth, due: float) -> None:
        health.due = due
        self._timers.changed(health)

    def next(self) -> float | None:
        """When the next ping is due; None if there is nothing to ping."""
        return self._timers.next_due()

    def pop(self, now: float) -> Target | None:
        """A target to ping now; its outcome must be passed to `observe`, whatever happens."""
        health = self._timers.pop(now)
        if health is None:
            return None
        health.due = inf
        self.counters.pings += 1
        return health.target

    def observe(self, target: Target, outcome: PingOutcome, detail: str, now: float) -> bool:
        """Record the outcome of a ping; returns whether the target went down or came back.

        The next ping is due after the interval, plus or minus the jitter. The second one comes at a
        random time within the interval, so that pings of targets that started together spread out.
        """
        health = self._by_address.get(target.key)
        if health is None:
            return False  # no pool has the target any more
        settings = self._settings
        if health.detail:
            spread = settings.jitter * settings.interval
            pause = settings.interval + self._rng.uniform(-spread, spread)
        else:
            pause = self._rng.uniform(min(1.0, settings.interval), settings.interval)
        health.detail = detail
        self._set_due(health, now + pause)
        if outcome is PingOutcome.LOST:
            self.counters.lost += 1
        before = health.state
        if not health.observe(outcome, settings):
            return False
        if health.state is HealthState.DOWN:
            self.counters.went_down += 1
        elif before is HealthState.DOWN:
            self.counters.came_up += 1
        return HealthState.DOWN in (before, health.state)
