"""One timer of the event loop for all items of a timer heap."""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger()

_LATE = 0.05
"""Seconds by which it is late, so that everything due within them is handled in one wakeup.

A wakeup costs more than the work, and the shortest SIP timer is half a second.
"""
_AFTER_A_FAULT = 1.0
"""Seconds until the next call after one that raised."""


class Timer:
    """Calls a function at the earliest of the times that were set, then forgets them all."""

    __slots__ = ("_handle", "_loop", "_wake", "_what", "_when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], what: str
    ) -> None:
        """Set no time yet.

        Args:
            loop: the event loop.
            wake: the function to call; it sets the next time itself. If it raises, that is logged
                and it is called again soon.
            what: the timer's owner, for the log: `lookup` gives the event `lookup_timer_failed`.
        """
        self._loop = loop
        self._wake = wake
        self._what = what
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0

    def at(self, when: float) -> None:
        """Call at a time of the loop's clock; one that is over means the loop's next turn."""
        if self._handle is not None:
            if self._when <= when:
                return
            self._handle.cancel()
        self._when = when
        over = when <= self._loop.time()
        self._handle = self._loop.call_at(when if over else when + _LATE, self._ring)

    def close(self) -> None:
        """Cancel."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        try:
            self._wake()
        except Exception:  # a fault with one item must not stop the others' timers
            log.exception(f"{self._what}_timer_failed")
            self.at(self._loop.time() + _AFTER_A_FAULT)
