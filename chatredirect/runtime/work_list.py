"""Runs a sans-I/O core: carries out its work lists item by item, and calls it in time.

A list is emptied before the work begins, so that no item is worked on twice, whatever is added
meanwhile. A fault with one item is logged, and the others are carried out.
"""

import asyncio
from collections.abc import Callable, Sequence, Sized
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 25
"""Items that are handled in one turn of the loop when a timer is due or a connection is lost.

A lost request that goes to the next target takes a fifth of a millisecond, so a turn takes five.
"""
_LATE = 0.05
"""Seconds by which a `Timer` is late, so that everything due within them is handled in one wakeup.

A wakeup costs more than the work, and the shortest SIP timer is half a second.
"""
_AFTER_A_FAULT = 1.0
"""Seconds until a `Timer`'s next call after one that raised."""


class Timer:
    """Calls a function at the earliest of the times that were set, then forgets them all."""

    __slots__ = ("_handle", "_loop", "_wake", "_what", "_when")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], what: str
    ) -> None:
        """Set no time yet.

        Args:
            wake: the function to call; it sets the next time itself. If it raises, that is logged
                and it is called again soon.
            what: the timer's owner: `lookup` gives the log event `lookup_timer_failed`.
        """
        self._loop = loop
        self._wake = wake
        self._what = what
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0

    def at(self, when: float) -> None:
        """Call at a time of the loop's clock; if that is over, in the loop's next turn."""
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


class WorkList(Protocol):
    """A `Work` of any kind of items."""

    @property
    def items(self) -> Sized:
        """The items that wait to be carried out: always the same list."""

    def carry_out(self, now: float) -> bool:
        """Carry out all items of the list; whether one of them failed."""


class Work(Generic[T]):
    """A list of items, and how each is carried out.

    Attributes:
        items: those that wait to be carried out.
    """

    __slots__ = ("_do", "_failed", "_what", "items")

    def __init__(
        self,
        items: list[T],
        do: Callable[[T], bool | None],
        failed: Callable[[T, float], None] | None,
        what: str,
    ) -> None:
        """Carry out nothing yet.

        Args:
            items: the list, to which its owner goes on adding.
            do: carries out one item; False says that it couldn't.
            failed: called with the item and the time where `do` couldn't, or raised.
            what: what is done, for the log.
        """
        self.items = items
        self._do = do
        self._failed = failed
        self._what = what

    def carry_out(self, now: float) -> bool:
        """Take all items out of the list and carry out each; items added meanwhile stay.

        Returns:
            Whether one of them failed.
        """
        items, do, failed = self.items, self._do, False
        taken = items[:]
        items.clear()
        for item in taken:
            try:
                done = do(item)
            except Exception:  # the items after this one are carried out all the same
                log.exception("work_failed", what=self._what)
                done = False
            if done is False:
                failed = True
                self._fail(item, now)
        return failed

    def _fail(self, item: T, now: float) -> None:
        if self._failed is not None:
            try:
                self._failed(item, now)
            except Exception:  # nothing more can be done for it, and the next one waits
                log.exception("work_failed", what=self._what)


class Core(Protocol):
    """A sans-I/O core: it is given the time, and collects in lists what is to be done."""

    def handle_timers(self, now: float) -> None:
        """Do what is due at `now`, in seconds."""

    def next_timer(self) -> float | None:
        """When to call `handle_timers` next; None if nothing is due."""


class CoreDriver:
    """Runs a core: carries out what it wants, reports its events, keeps one timer."""

    __slots__ = ("_clock", "_core", "_events", "_name", "_wake_at", "_work")

    def __init__(
        self,
        core: Core,
        work: Sequence[WorkList],
        events: WorkList,
        clock: Callable[[], float],
        wake_at: Callable[[float], None],
        name: str,
    ) -> None:
        """Call nothing yet.

        Args:
            work: the core's lists of work. Failed work may add more work to any of them.
            events: the core's list of events, which are reported after the work.
            clock: returns monotonic seconds.
            wake_at: asks for `handle_timers` to be called at a time; earlier calls stay.
            name: the core's name, for the log.
        """
        self._core = core
        self._work = work
        self._events = events
        self._clock = clock
        self._wake_at = wake_at
        self._name = name

    def handle_timers(self) -> None:
        """Do what is due, and set the time of the next call."""
        now = self._clock()
        try:
            self._core.handle_timers(now)
        except Exception:  # the failed item is out of the heap: the others are handled next time
            log.exception(f"{self._name}_timer_failed")
        self.settle(now)

    def end(self, finish: Callable[[float], None], what: str) -> None:
        """End one dialog or request because the daemon stops; a fault is only logged.

        Args:
            finish: ends it; called with the time.
            what: what is done, for the log.
        """
        now = self._clock()
        try:
            finish(now)
        except Exception:  # the next one is ended all the same
            log.exception("work_failed", what=what)
        self.settle(now)

    def settle(self, now: float) -> None:
        """Carry out what the core wants after a call."""
        again = True
        while again:
            again = False
            for work in self._work:
                if work.items and work.carry_out(now):
                    again = True  # what failed may have added to a list before this one
        if self._events.items:
            self._events.carry_out(now)
        due = self._core.next_timer()
        if due is not None:
            self._wake_at(due)
