"""The log level: that of the configuration, or for a while that of an operator.

A change at run time outlives reloads and ends by itself; then the level is that of the current
configuration.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from chatredirect.config import LogSettings
from chatredirect.config.models import LogLevel as Level
from chatredirect.log import LEVEL_NUMBERS, LogSink, apply, wants_requests

log = structlog.get_logger()


@dataclass(slots=True)
class LogLevel:
    """The level in force.

    Attributes:
        on_requests: called with whether every request is logged.
        until: when a change at run time ends, in seconds since the epoch; None without one.
    """

    configured: LogSettings
    sink: LogSink
    on_requests: Callable[[bool], None]
    until: float | None = None
    _changed: Level | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    def level(self) -> Level:
        """The lowest level that is logged."""
        return self._changed or self.configured.level

    def wants_requests(self, configured: LogSettings) -> bool:
        """Whether every request will be logged with a new configuration."""
        return wants_requests(replace(configured, level=self._changed or configured.level))

    def configure(self, configured: LogSettings) -> None:
        """Apply a new configuration; a change at run time stays until its time is over."""
        self.configured = configured
        self._apply()

    def change(self, level: Level, seconds: float) -> None:
        """Change the level for a while."""
        self._forget()
        before = self.level
        self._changed = level
        self.until = time.time() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self.fall_back)
        self._switch(before, seconds=seconds)

    def fall_back(self) -> None:
        """Return to the configured level."""
        if self._changed is None:
            return
        before = self.level
        self._forget()
        self._switch(before)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._changed = self.until = None

    def _switch(self, before: Level, **fields: object) -> None:
        """Apply the new level, and log the change under the more verbose one."""
        now = self.level
        quieter = LEVEL_NUMBERS[now] > LEVEL_NUMBERS[before]
        if not quieter:
            self._apply()
        log.warning("log_level_changed", now=now, before=before, **fields)
        if quieter:
            self._apply()

    def _apply(self) -> None:
        settings = replace(self.configured, level=self.level)
        apply(self.sink, settings)
        self.on_requests(wants_requests(settings))
