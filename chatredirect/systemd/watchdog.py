"""Keep-alives for systemd's watchdog, from a timer of the event loop.

A thread would send them even while the loop hangs. The timer sends three times as often as needed.
If the loop is stuck, systemd ends the process with SIGABRT, and faulthandler writes where it was
stuck.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

from chatredirect.systemd.notify import Notifier

STATUS_INTERVAL = 5.0
"""Seconds between updates of the status line."""


def interval(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Seconds between keep-alives, a third of what systemd allows; None without a watchdog.

    Args:
        environ: `WATCHDOG_USEC` and `WATCHDOG_PID` as sd_watchdog_enabled(3) has them.
        pid: the process id, for tests.
    """
    usec, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid() if pid is None else pid):
        return None
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 3_000_000


class Watchdog:
    """Sends keep-alives, and the status line whenever it changes, on timers of a loop."""

    __slots__ = ("_describe", "_every", "_loop", "_notifier", "_serving", "_status", "_timers")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        notifier: Notifier,
        describe: Callable[[], str],
        every: float | None,
    ) -> None:
        """Do nothing before `start`.

        Args:
            loop: the event loop.
            notifier: sends to systemd.
            describe: makes the status line.
            every: seconds between keep-alives; None without a watchdog.
        """
        self._loop = loop
        self._notifier = notifier
        self._describe = describe
        self._every = every
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._status = ""
        self._serving = False

    def start(self) -> None:
        """Report that requests are served, and start the timers."""
        self._serving = True
        self.ready()
        if not self._notifier.active:
            return
        if self._every is not None:
            self._keep_alive(self._every)
        self._timers["status"] = self._loop.call_later(STATUS_INTERVAL, self._update_status)

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        if self._serving:
            self._notifier.reloading()

    def ready(self) -> None:
        """A reload is over, or serving begins. Ignored before `start` and after `stopping`."""
        if self._serving:
            self._status = self._describe()
            self._notifier.ready(self._status)

    def stopping(self) -> None:
        """The daemon stops. Keep-alives go on, since a stop can hang as well."""
        self._serving = False
        self._cancel("status")
        self._notifier.stopping("stopping: answering what has come")

    def stop(self) -> None:
        """Cancel the timers."""
        for name in list(self._timers):
            self._cancel(name)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _keep_alive(self, every: float) -> None:
        self._notifier.alive()
        self._timers["alive"] = self._loop.call_later(every, self._keep_alive, every)

    def _update_status(self) -> None:
        status = self._describe()
        if status != self._status:
            self._status = status
            self._notifier.status(status)
        self._timers["status"] = self._loop.call_later(STATUS_INTERVAL, self._update_status)
