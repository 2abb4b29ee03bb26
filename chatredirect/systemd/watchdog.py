"""Signs of life for systemd's watchdog, from the event loop and from nothing else.

A thread would go on saying that all is well while the loop hangs. So a timer of the loop says it,
three times as often as it must: if the loop is stuck, nothing is said, and systemd ends the process
with SIGABRT, whereupon faulthandler writes where it was stuck.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

from chatredirect.systemd.notify import Notifier

STATUS_INTERVAL = 5.0
"""Seconds between two looks at what the status line says."""


def interval(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Seconds between two signs of life, a third of what systemd allows; None without a watchdog.

    Args:
        environ: `WATCHDOG_USEC` and `WATCHDOG_PID` as sd_watchdog_enabled(3) has them.
        pid: of this process.
    """
    usec, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid() if pid is None else pid):
        return None
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 3_000_000


class Watchdog:
    """Feeds systemd's watchdog and keeps its status line up to date, on timers of a loop.

    A status line that never changes while requests come in would be a sign of nothing, so it is
    told whenever it reads differently.
    """

    __slots__ = ("_describe", "_every", "_loop", "_notifier", "_serving", "_timers", "_told")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        notifier: Notifier,
        describe: Callable[[], str],
        every: float | None,
    ) -> None:
        """Do nothing before `start`.

        Args:
            loop: whose life it is about.
            notifier: tells systemd.
            describe: makes the status line.
            every: seconds between two signs of life, None for no watchdog.
        """
        self._loop = loop
        self._notifier = notifier
        self._describe = describe
        self._every = every
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._told = ""
        self._serving = False

    def start(self) -> None:
        """Serving has begun: say so, and go on saying so."""
        self._serving = True
        self.ready()
        if not self._notifier.active:
            return
        if self._every is not None:
            self._sign_of_life(self._every)
        self._timers["status"] = self._loop.call_later(STATUS_INTERVAL, self._look)

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        if self._serving:
            self._notifier.reloading()

    def ready(self) -> None:
        """A reload is over; or serving begins. Nothing is said before `start` or at the end."""
        if self._serving:
            self._told = self._describe()
            self._notifier.ready(self._told)

    def stopping(self) -> None:
        """The end has begun. It is still watched: a stop can hang as well."""
        self._serving = False
        self._cancel("status")
        self._notifier.stopping("stopping: answering what has come")

    def stop(self) -> None:
        """No more timers."""
        for name in list(self._timers):
            self._cancel(name)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _sign_of_life(self, every: float) -> None:
        self._notifier.alive()
        self._timers["alive"] = self._loop.call_later(every, self._sign_of_life, every)

    def _look(self) -> None:
        status = self._describe()
        if status != self._told:
            self._told = status
            self._notifier.status(status)
        self._timers["status"] = self._loop.call_later(STATUS_INTERVAL, self._look)
