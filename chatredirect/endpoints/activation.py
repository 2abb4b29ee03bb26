"""Endpoints that open by themselves: when their time has come, once, whatever the clock does.

The time is one of the wall clock, which can be set. So it is looked at every second as long as an
endpoint waits, and no timer is set for an hour that may never come, or come early. An endpoint that
has been opened stays open: that its time has come is remembered by its address and that time, over
reloads, so that a clock that is set back neither closes it nor opens it a second time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import structlog

from chatredirect.config.endpoint import EndpointSettings, written
from chatredirect.endpoints.directory import Endpoint, Unavailability

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between two looks at the clock, at the most."""
_SHOWN = 20  # endpoints that wait, and are told of one by one
_LATE = 2.0  # seconds; nothing but a clock that was set, or a machine that slept, makes it so late

#: An endpoint's key and its time, in seconds since the epoch.
_Mark: TypeAlias = tuple[bytes, float]


class _Handle(Protocol):
    """What has been asked for, and can be cancelled."""

    def cancel(self) -> None:
        """Not to be called any more."""


@dataclass(slots=True)
class ClockReading:
    """The states of a configuration that isn't in force yet."""

    states: "ActivationSchedule"
    marks: set[_Mark] = field(default_factory=set)
    passed: set[_Mark] = field(default_factory=set)

    def closed(self, settings: EndpointSettings) -> Unavailability | None:
        """Why an endpoint isn't open; None if it is."""
        moment = settings.active_from
        disabled = settings.state == "disabled"
        if moment is None:
            if settings.state == "active":
                return None
            why = "disabled" if disabled else "in maintenance"
            return Unavailability(disabled, None, why, self.states.wall)
        mark = _mark(settings)
        self.marks.add(mark)
        if self.states.has_come(mark):
            self.passed.add(mark)
            return None
        why = f"{'disabled' if disabled else 'in maintenance'} until {written(moment)}"
        return Unavailability(disabled, mark[1], why, self.states.wall)


class ActivationSchedule:
    """Which endpoints wait for their time.

    Attributes:
        wall: seconds since the epoch, on a clock that may jump.
    """

    def __init__(
        self, wall: Callable[[], float], later: Callable[[float, Callable[[], None]], _Handle]
    ) -> None:
        """Wait for nothing yet.

        Args:
            wall: see there.
            later: calls a function after some seconds, on a clock that never jumps.
        """
        self.wall = wall
        self._later = later
        self._timer: _Handle | None = None
        self._over: set[_Mark] = set()
        self._waiting: list[Endpoint] = []  # the earliest last
        self._told: set[_Mark] = set()

    @property
    def waiting(self) -> int:
        """How many endpoints wait."""
        return len(self._waiting)

    def read(self) -> ClockReading:
        """Begin with a new configuration."""
        return ClockReading(self)

    def has_come(self, mark: _Mark) -> bool:
        """Whether an endpoint's time is over, or was once."""
        return mark in self._over or self.wall() >= mark[1]

    def serve(self, reading: ClockReading, waiting: Iterable[Endpoint]) -> None:
        """Go by a configuration from now on.

        Args:
            reading: its states.
            waiting: its endpoints that open at a time.
        """
        self._over = (self._over & reading.marks) | reading.passed
        found = sorted(waiting, key=lambda each: _mark(each.settings)[1], reverse=True)
        for endpoint in found:  # meanwhile the old configuration's may have been opened
            if _mark(endpoint.settings) in self._over:
                endpoint.closed = None
        self._waiting = [each for each in found if each.closed is not None]
        self._tell_waiting()
        self.look()

    def look(self) -> None:
        """Open the endpoints whose time has come, and ask to be called for the others."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.wall()
        while self._waiting and _mark(self._waiting[-1].settings)[1] <= now:
            self._open(self._waiting.pop(), now)
        if self._waiting:
            left = _mark(self._waiting[-1].settings)[1] - now
            self._timer = self._later(min(left, INTERVAL), self.look)

    def close(self) -> None:
        """Open nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self, endpoint: Endpoint, now: float) -> None:
        mark = _mark(endpoint.settings)
        endpoint.closed = None
        self._over.add(mark)
        self._told.discard(mark)
        late = now - mark[1]
        log.info(
            "endpoint_activated",
            endpoint=endpoint.address,
            active_from=_moment(endpoint),
            **({"seconds_late": round(late)} if late >= _LATE else {}),
        )

    def _tell_waiting(self) -> None:
        """Say which endpoints wait, each once and not with every reload."""
        marks = {_mark(each.settings) for each in self._waiting}
        new = [each for each in reversed(self._waiting) if _mark(each.settings) not in self._told]
        self._told = marks
        for endpoint in new[:_SHOWN]:
            log.info(
                "endpoint_waits",
                endpoint=endpoint.address,
                state=endpoint.settings.state_at(0),
                active_from=_moment(endpoint),
            )
        if len(new) > _SHOWN:
            log.info("endpoints_wait", more=len(new) - _SHOWN)


def _mark(settings: EndpointSettings) -> _Mark:
    moment = settings.active_from
    return settings.sip_address.key, 0.0 if moment is None else moment.timestamp()


def _moment(endpoint: Endpoint) -> str:
    moment = endpoint.settings.active_from
    return "" if moment is None else written(moment)
