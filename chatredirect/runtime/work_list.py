"""Runs a sans-I/O core: its work lists are carried out item by item, and it is woken in time.

A list is emptied before the work begins, so that no item is ever worked on twice, whatever is put
there meanwhile. A fault with one item is logged and keeps nobody else waiting.
"""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 25
"""Items that are due by time, or by a lost connection, and are dealt with in one turn.

A lost request that goes to the next target takes a fifth of a millisecond, so a turn takes five.
"""


class WorkList(Protocol):
    """A list of work of any kind."""

    def carry_out(self, now: float) -> bool:
        """Do all that is in the list; whether there was anything."""


class Work(Generic[T]):
    """A list of items, and how each is carried out."""

    __slots__ = ("_do", "_failed", "_items", "_what")

    def __init__(
        self,
        items: list[T],
        do: Callable[[T], bool | None],
        failed: Callable[[T, float], None] | None,
        what: str,
    ) -> None:
        """Watch a list.

        Args:
            items: the list.
            do: carries out one item; False says that it couldn't be done.
            failed: is called for each that couldn't be done, or where `do` raised.
            what: what is done, for the log.
        """
        self._items = items
        self._do = do
        self._failed = failed
        self._what = what

    def carry_out(self, now: float) -> bool:
        """Take all items out of the list, and do each; what is put there meanwhile stays.

        Args:
            now: seconds on the clock of all calls.

        Returns:
            Whether there was any.
        """
        if not self._items:
            return False
        taken = self._items[:]
        self._items.clear()
        for item in taken:
            try:
                done = self._do(item)
            except Exception:  # the items after this one are carried out all the same
                log.exception("work_failed", what=self._what)
                done = False
            if done is False and self._failed is not None:
                try:
                    self._failed(item, now)
                except Exception:  # nothing more can be done for it, and the next one waits
                    log.exception("work_failed", what=self._what)
        return True


class Core(Protocol):
    """A sans-I/O core: it is told the time, and collects in lists what is to be done."""

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
        """Begin.

        Args:
            core: the core.
            work: its lists of work. What can't be done may lead to more work in any of them.
            events: its list of events, which are reported after the work.
            clock: gives seconds that never go back.
            wake_at: asks for `handle_timers` to be called at a time; earlier calls stay.
            name: the core's, for the log.
        """
        self._core = core
        self._work = work
        self._events = events
        self._clock = clock
        self._wake_at = wake_at
        self._name = name

    def handle_timers(self) -> None:
        """Do what is due, and ask to be woken for what is due next."""
        now = self._clock()
        try:
            self._core.handle_timers(now)
        except Exception:  # what was due is taken out: the others' time comes all the same
            log.exception(f"{self._name}_timer_failed")
        self.settle(now)

    def end(self, finish: Callable[[float], None], what: str) -> None:
        """End one thing because the daemon stops; a fault with it keeps no other from its end.

        Args:
            finish: ends it; it is given the time.
            what: what is done, for the log.
        """
        now = self._clock()
        try:
            finish(now)
        except Exception:  # what comes after this one is ended all the same
            log.exception("work_failed", what=what)
        self.settle(now)

    def settle(self, now: float) -> None:
        """Carry out what the last call of the core has led to."""
        while any(work.carry_out(now) for work in self._work):
            pass
        self._events.carry_out(now)
        due = self._core.next_timer()
        if due is not None:
            self._wake_at(due)
