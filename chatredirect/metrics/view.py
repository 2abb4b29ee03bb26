"""What the metrics are read from: the parts of a daemon, and how late its event loop is."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

from chatredirect.control.control_server import ControlCounters
from chatredirect.http.pages import HttpCounters
from chatredirect.log import LogSink
from chatredirect.metrics.catalogue import Family
from chatredirect.runtime.histogram import Histogram
from chatredirect.service.read_model import ReadModel, read
from chatredirect.service.reload import Reloader
from chatredirect.service.service import Service

#: A metric's samples: the labels' values, in the order of their names, and the value.
Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float | Histogram]]
#: A metric with its samples; None where the event loop may have its turn.
Reading: TypeAlias = tuple[Family, Samples] | None

LAG_INTERVAL = 0.5
"""Seconds between two measurements of the event loop's lag."""


def by_label(counts: Mapping[str, float]) -> Samples:
    """The samples of a metric with one label."""
    return [((name,), number) for name, number in counts.items()]


class Lag:
    """Measures how late the event loop calls a timer; everything else there waits as long.

    Attributes:
        seen: the measurements.
    """

    __slots__ = ("_due", "_loop", "_timer", "seen")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to measure."""
        self.seen = Histogram()
        self._loop = loop
        self._wait()

    def close(self) -> None:
        """Stop measuring."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._due = perf_counter() + LAG_INTERVAL
        self._timer = self._loop.call_later(LAG_INTERVAL, self._ring)

    def _ring(self) -> None:
        self.seen.observe(max(0.0, perf_counter() - self._due))
        self._wait()


@dataclass(slots=True)
class View:
    """The daemon as the metrics see it.

    Attributes:
        started: when the daemon started, in seconds since the epoch.
        began: the same by `time.monotonic`.
    """

    service: Service
    reloader: Reloader
    sink: LogSink
    control: ControlCounters
    lag: Lag
    started: float
    http: HttpCounters
    began: float = field(default_factory=time.monotonic)

    @property
    def model(self) -> ReadModel:
        """The service's figures, as they are now."""
        return read(self.service)
