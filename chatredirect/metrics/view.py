"""What the metrics are read from: the parts of a daemon, wherever its configuration has got to."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from chatredirect.control.control_server import ControlCounters
from chatredirect.http.pages import HttpCounters
from chatredirect.log import LogSink
from chatredirect.metrics.catalogue import Family
from chatredirect.metrics.lag import Lag
from chatredirect.runtime.histogram import Histogram
from chatredirect.service.read_model import ReadModel, read
from chatredirect.service.reload import Reloader
from chatredirect.service.service import Service

#: A metric and its samples: the labels' values, in the order of their names, and the value.
Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float | Histogram]]
#: A metric with its samples; None where others may have their turn.
Reading: TypeAlias = tuple[Family, Samples] | None


@dataclass(slots=True)
class View:
    """The daemon as the metrics see it.

    Attributes:
        service: what serves.
        reloader: what reloads.
        sink: the log.
        control: what the control socket counts.
        lag: how late the event loop is.
        started: when the daemon started, in seconds since the epoch.
        http: what HTTP counts.
        began: when the daemon started, on the clock that is never set (`time.monotonic`).
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
