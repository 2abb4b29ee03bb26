"""The daemon itself: what runs, with which configuration, since when."""

import os
import platform
from math import inf

import chatredirect
from chatredirect.control.protocol import Json
from chatredirect.histogram import Histogram
from chatredirect.log_level import LogLevel
from chatredirect.metrics.view import View
from chatredirect.transport.stream import StreamListener


def overview(view: View, level: LogLevel, now: float, ticks: float) -> dict[str, Json]:
    """Version, configuration, listeners, certificates, log.

    Args:
        view: the daemon.
        level: how much it logs.
        now: seconds since the epoch.
        ticks: seconds on the clock that is never set.
    """
    service = view.service
    return {
        "version": chatredirect.__version__,
        "python": platform.python_version(),
        "pid": os.getpid(),
        "now": now,
        "started": view.started,
        "uptime": ticks - view.began,
        "draining": service.draining,
        "event_loop_lag": _lag(view.lag.seen),
        "configuration": _configuration(view),
        "log": {
            "level": level.level,
            "configured": level.configured.level,
            "until": level.until,
            "lines_lost": view.sink.dropped,
        },
        "listeners": _listeners(view),
        "certificates": [
            {"file": file, "expires": until, "days_left": int((until - now) // 86_400)}
            for file, until in service.certificates.expiries.items()
        ],
    }


def _lag(seen: Histogram) -> Json:
    """How late the event loop was on average, and 99 times in 100 at most; seconds."""
    total = sum(seen.counts)
    if not total:
        return None
    most = next(bound for bound, number in seen.buckets if number >= 0.99 * total)
    return {"mean": seen.seconds / total, "mostly_below": most if most < inf else None}


def _configuration(view: View) -> Json:
    settings, reloader = view.service.settings, view.reloader
    verdict = reloader.verdict
    return {
        "file": str(reloader.config),
        "files": 0 if settings is None else len(settings.files),
        "fingerprint": "" if settings is None else settings.fingerprint,
        "in_force_since": view.service.configured_at,
        "reloads": {"done": reloader.done, "refused": reloader.refused},
        "last_reload": None if verdict is None else {"what": verdict.what, "at": verdict.at},
    }


def _listeners(view: View) -> Json:
    listeners = view.service.listeners
    if listeners is None:
        return []
    return [
        {"url": str(url), "connections": each.connections}
        if isinstance(each, StreamListener)
        else {"url": str(url)}
        for url, each in listeners.open.items()
    ]
