"""One timer of the event loop for everything that waits in a heap."""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger()

_LATE = 0.05
"""Seconds by which it rings late, so that what is due within them is done in one go.

Waking up costs more than what there is to do, and nobody who waits for half a second notices.
"""
_AFTER_A_FAULT = 1.0
"""Seconds until the next try, where what was called has failed."""


class Timer:
    """Calls a function at the earliest of the times that were asked for, then forgets them all."""

    __slots__ = ("_handle", "_loop", "_wake", "_what", "_when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], what: str
    ) -> None:
        """Ask for nothing yet.

        Args:
            loop: whose timer it is.
            wake: what is called; it asks for the next time itself. Where it raises, that is
                logged and it is called again soon.
            what: whose it is, for the log: of `lookup` the event is `lookup_timer_failed`.
        """
        self._loop = loop
        self._wake = wake
        self._what = what
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0

    def at(self, when: float) -> None:
        """Ask to be called at a time of the loop's clock; one that is over means the next turn."""
        if self._handle is not None:
            if self._when <= when:
                return
            self._handle.cancel()
        self._when = when
        over = when <= self._loop.time()
        self._handle = self._loop.call_at(when if over else when + _LATE, self._ring)

    def close(self) -> None:
        """Call nobody any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        try:
            self._wake()
        except Exception:  # a fault of ours with one of them must not stop the others' timers
            log.exception(f"{self._what}_timer_failed")
            self.at(self._loop.time() + _AFTER_A_FAULT)
