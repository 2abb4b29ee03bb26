"""Opens endpoints when their time has come, once each, whatever the clock does.

The time is one of the wall clock, which can be set. So the clock is read every second as long as an
endpoint waits, instead of setting a timer for an hour that may come early or never. An endpoint
that has opened stays open: its address and time are remembered over reloads, so that a clock that
is set back neither closes it nor opens it a second time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import structlog

from chatredirect.config.endpoint import EndpointSettings, written
from chatredirect.endpoints.directory import Endpoint, Unavailability

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between two looks at the clock, at most."""
_SHOWN = 20  # waiting endpoints that are logged one by one
_LATE = 2.0  # seconds; only a clock that was set, or a machine that slept, makes it so late

#: An endpoint's key and its time, in seconds since the epoch.
_Mark: TypeAlias = tuple[bytes, float]


class _Handle(Protocol):
    """A call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel it."""


@dataclass(slots=True)
class ClockReading:
    """What the clock says of the endpoints of a configuration that isn't in force yet."""

    schedule: "ActivationSchedule"
    marks: set[_Mark] = field(default_factory=set)
    passed: set[_Mark] = field(default_factory=set)

    def closed(self, settings: EndpointSettings) -> Unavailability | None:
        """Why an endpoint serves nobody; None if it is open."""
        moment = settings.active_from
        disabled = settings.state == "disabled"
        if moment is None:
            if settings.state == "active":
                return None
            why = "disabled" if disabled else "in maintenance"
            return Unavailability(disabled, None, why, self.schedule.wall)
        mark = _mark(settings)
        self.marks.add(mark)
        if self.schedule.has_come(mark):
            self.passed.add(mark)
            return None
        why = f"{'disabled' if disabled else 'in maintenance'} until {written(moment)}"
        return Unavailability(disabled, mark[1], why, self.schedule.wall)


class ActivationSchedule:
    """The endpoints that wait for their time; `wall` gives seconds since the epoch, may jump."""

    def __init__(
        self, wall: Callable[[], float], later: Callable[[float, Callable[[], None]], _Handle]
    ) -> None:
        """Begin without endpoints; `later` calls a function after some seconds."""
        self.wall = wall
        self._later = later
        self._timer: _Handle | None = None
        self._past: set[_Mark] = set()
        self._waiting: list[Endpoint] = []  # the earliest last
        self._logged: set[_Mark] = set()

    def read(self) -> ClockReading:
        """Begin to read a new configuration."""
        return ClockReading(self)

    def has_come(self, mark: _Mark) -> bool:
        """Whether an endpoint's time has come, now or at any time before."""
        return mark in self._past or self.wall() >= mark[1]

    def serve(self, reading: ClockReading, waiting: Iterable[Endpoint]) -> None:
        """Put a configuration in force, with its endpoints that open by themselves."""
        self._past = (self._past & reading.marks) | reading.passed
        found = sorted(waiting, key=lambda each: _mark(each.settings)[1], reverse=True)
        for endpoint in found:  # meanwhile the old configuration's endpoint may have opened
            if _mark(endpoint.settings) in self._past:
                endpoint.closed = None
        self._waiting = [each for each in found if each.closed is not None]
        self._log_waiting()
        self.look()

    def look(self) -> None:
        """Open the endpoints whose time has come, and set the timer for the others."""
        self.close()
        now = self.wall()
        while self._waiting and _mark(self._waiting[-1].settings)[1] <= now:
            self._open(self._waiting.pop(), now)
        if self._waiting:
            left = _mark(self._waiting[-1].settings)[1] - now
            self._timer = self._later(min(left, INTERVAL), self.look)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self, endpoint: Endpoint, now: float) -> None:
        mark = _mark(endpoint.settings)
        endpoint.closed = None
        self._past.add(mark)
        self._logged.discard(mark)
        late = now - mark[1]
        log.info(
            "endpoint_activated",
            endpoint=endpoint.address,
            active_from=_moment(endpoint),
            **({"seconds_late": round(late)} if late >= _LATE else {}),
        )

    def _log_waiting(self) -> None:
        """Log which endpoints wait, each once and not with every reload."""
        marks = {_mark(each.settings) for each in self._waiting}
        new = [each for each in reversed(self._waiting) if _mark(each.settings) not in self._logged]
        self._logged = marks
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
