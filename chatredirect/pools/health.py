"""Which targets work: a state machine for each place that is pinged, and when the next ping is due.

A ping is answered or lost. Some in a row that say otherwise change the state; one that agrees with
the state starts the count anew. A target of which nothing is known yet counts as working, and one
answer is enough to know it: at the start nobody has to wait for pings.

No clock, no socket: `chatredirect.pools.prober` sends the pings and reports what came of them.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from chatredirect.config import HealthSettings
from chatredirect.net.target import Target, TargetAddress
from chatredirect.runtime.schedule import Schedule


class HealthState(Enum):
    """What is known of a place; the values are for people."""

    UNKNOWN = "not pinged yet"
    UP = "up"
    DOWN = "down"


class PingOutcome(Enum):
    """What came of one ping."""

    ANSWERED = "answered"  # any SIP response but 503
    LOST = "lost"  # no response in time, no connection, or 503


class Needed(Enum):
    """How many outcomes in a row change a state."""

    ONE = "one"
    LOSSES = "losses"
    SUCCESSES = "successes"

    def count(self, settings: HealthSettings) -> int:
        """The number, by the settings."""
        match self:
            case Needed.ONE:
                return 1
            case Needed.LOSSES:
                return settings.losses
            case Needed.SUCCESSES:
                return settings.successes


class Rule(NamedTuple):
    """To which state so many outcomes in a row lead."""

    needed: Needed
    then: HealthState


#: What isn't here agrees with the state, and starts the count anew.
TRANSITIONS: dict[tuple[HealthState, PingOutcome], Rule] = {
    (HealthState.UNKNOWN, PingOutcome.ANSWERED): Rule(Needed.ONE, HealthState.UP),
    (HealthState.UNKNOWN, PingOutcome.LOST): Rule(Needed.LOSSES, HealthState.DOWN),
    (HealthState.UP, PingOutcome.LOST): Rule(Needed.LOSSES, HealthState.DOWN),
    (HealthState.DOWN, PingOutcome.ANSWERED): Rule(Needed.SUCCESSES, HealthState.UP),
}


@dataclass(slots=True)
class TargetHealth:
    """One place.

    Attributes:
        target: the target whose name goes into the pings; several may share the place.
        state: what is known.
        against: outcomes in a row that speak against the state.
        detail: the last ping's end, for people: `200 OK`, `no response within 4 s`.
        watchers: pools that have the place.
    """

    target: Target
    state: HealthState = HealthState.UNKNOWN
    against: int = 0
    detail: str = ""
    watchers: int = 0

    def observe(self, outcome: PingOutcome, settings: HealthSettings) -> bool:
        """Count an outcome; whether the state changed."""
        rule = TRANSITIONS.get((self.state, outcome))
        if rule is None:
            self.against = 0
            return False
        self.against += 1
        if self.against < rule.needed.count(settings):
            return False
        self.state = rule.then
        self.against = 0
        return True


@dataclass(slots=True)
class HealthCounters:
    """Counts since the start: pings sent, those lost, and how often a target changed its state."""

    pings: int = 0
    lost: int = 0
    went_down: int = 0
    came_up: int = 0


class Health:
    """All places that are watched, by when they are due."""

    __slots__ = ("_places", "_rng", "_schedule", "_settings", "counters")

    def __init__(self, settings: HealthSettings, rng: random.Random) -> None:
        """Begin with nothing to watch."""
        self._settings = settings
        self._rng = rng
        self._places: dict[TargetAddress, TargetHealth] = {}
        self._schedule: Schedule[TargetAddress] = Schedule()
        self.counters = HealthCounters()

    def __len__(self) -> int:
        """How many places are watched."""
        return len(self._places)

    @property
    def places(self) -> list[TargetHealth]:
        """All places that are watched, as they are now."""
        return list(self._places.values())

    def update(self, settings: HealthSettings, now: float) -> None:
        """Take other numbers; what is known stays.

        The next ping comes when it was due, or within the new interval if that ends earlier.
        """
        shorter = settings.interval < self._settings.interval
        self._settings = settings
        for place in self._places if shorter else ():
            due = self._schedule.due(place)
            latest = now + self._rng.uniform(0, settings.interval)
            if due is not None and due > latest:
                self._schedule.set(place, latest)

    def watch(self, targets: Iterable[Target], now: float) -> None:
        """One more pool has these targets; a new place gets its first ping within a second."""
        for target in targets:
            health = self._places.get(target.place)
            if health is None:
                health = self._places[target.place] = TargetHealth(target)
                first = min(1.0, self._settings.interval)
                self._schedule.set(target.place, now + self._rng.uniform(0, first))
            health.watchers += 1

    def unwatch(self, targets: Iterable[Target]) -> None:
        """One pool less has these targets."""
        for target in targets:
            health = self._places.get(target.place)
            if health is not None:
                health.watchers -= 1
                if health.watchers <= 0:
                    del self._places[target.place]
                    self._schedule.remove(target.place)

    def get(self, place: TargetAddress) -> TargetHealth | None:
        """What is known of a place; None if it isn't watched."""
        return self._places.get(place)

    def is_down(self, place: TargetAddress) -> bool:
        """Whether enough pings were lost."""
        health = self._places.get(place)
        return health is not None and health.state is HealthState.DOWN

    def next(self) -> float | None:
        """When the next ping is due; None if there is nothing to ping."""
        return self._schedule.next()

    def pop(self, now: float) -> Target | None:
        """A target to ping now; the caller reports the outcome to `observe`, always."""
        place = self._schedule.pop(now)
        if place is None:
            return None
        self.counters.pings += 1
        return self._places[place].target

    def observe(self, target: Target, outcome: PingOutcome, detail: str, now: float) -> bool:
        """Note what came of a ping; whether the place is now down or up and wasn't before.

        The next ping is due an interval after this one, give or take the jitter. After the very
        first it comes at any time within the interval, so that what began together drifts apart.
        """
        health = self._places.get(target.place)
        if health is None:
            return False  # nobody has the target any more
        settings = self._settings
        first = not health.detail
        health.detail = detail
        spread = settings.jitter * settings.interval
        self._schedule.set(
            target.place,
            now
            + (
                self._rng.uniform(min(1.0, settings.interval), settings.interval)
                if first
                else settings.interval + self._rng.uniform(-spread, spread)
            ),
        )
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
