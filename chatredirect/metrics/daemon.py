"""Readings: the daemon itself, and who asks it."""

import asyncio
import platform
from collections import Counter
from collections.abc import Iterator

import chatredirect
from chatredirect import codec
from chatredirect.metrics import catalogue
from chatredirect.metrics.ready import Readiness
from chatredirect.metrics.view import Reading, View
from chatredirect.service.read_model import ReadModel

_SLICE = 1000  # endpoints in a row


def readings(view: View, model: ReadModel, readiness: Readiness, now: float) -> Iterator[Reading]:
    """How the daemon is.

    Args:
        view: the daemon.
        model: its service.
        readiness: whether requests should come.
        now: seconds since the epoch.
    """
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    build = (chatredirect.__version__, platform.python_version(), loop, codec.NAME)
    yield catalogue.BUILD, [(build, 1)]
    yield catalogue.STARTED, [((), view.started)]
    yield catalogue.READY, [((), readiness.ready)]
    yield catalogue.DRAINING, [((), model.draining)]
    reloader = view.reloader
    yield catalogue.RELOADS, [(("done",), reloader.done), (("refused",), reloader.refused)]
    yield catalogue.CONFIGURED, [((), model.since)]
    yield from _endpoints(model, now)
    yield catalogue.LAG, [((), view.lag.seen)]
    yield catalogue.LOG_DROPPED, [((), view.sink.dropped)]
    control, http = view.control, view.http
    yield catalogue.CONTROL, [((name,), number) for name, number in control.requests.items()]
    yield (
        catalogue.CONTROL_FAULTS,
        [
            ((name,), getattr(control, name))
            for name in ("refused", "failed", "unknown", "garbage", "slow", "busy", "unread")
        ],
    )
    yield (
        catalogue.HTTP,
        [((page, str(status)), number) for (page, status), number in http.requests.items()],
    )
    yield catalogue.HTTP_REFUSED, [(("busy",), http.busy), (("slow",), http.slow)]


def _endpoints(model: ReadModel, now: float) -> Iterator[Reading]:
    endpoints = list(model.directory)
    sums: Counter[tuple[str, ...]] = Counter()
    for start in range(0, len(endpoints), _SLICE):
        sums.update(
            (each.settings.mode, each.settings.state_at(now))
            for each in endpoints[start : start + _SLICE]
        )
        yield None
    yield catalogue.ENDPOINTS, list(sums.items())
