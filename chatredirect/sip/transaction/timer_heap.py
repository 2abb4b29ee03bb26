"""A timer heap with lazy rescheduling, for things that mostly finish before they are due.

A dialog's timers are set anew with every message, nearly always to a later time. So an item is in
the heap with the earliest time that it was given, and setting a later one costs nothing. When the
time of an entry comes, an item that is due later is queued again, and one that isn't due any more
is dropped; such entries are also dropped when they are as many as the others.

All times are seconds of the clock of the heap's user.
"""

import heapq
from math import inf
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """An item of the heap."""

    queued: float  # the time of its entry; infinite if it has none. Only the heap writes it.

    @property
    def due(self) -> float:
        """When the item is due; infinite for never."""


T = TypeVar("T", bound=Timed)

_FEW = 1000  # entries below which nothing is swept
_STEP = 500  # outdated entries that one call handles: thousands may be rescheduled at once


class TimerHeap(Generic[T]):
    """Items by the time at which they are due."""

    __slots__ = ("_heap", "_number", "_sweep_at")

    def __init__(self) -> None:
        """Begin empty."""
        self._heap: list[tuple[float, int, T]] = []
        self._number = 0
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """How many entries the heap has."""
        return len(self._heap)

    def changed(self, item: T) -> None:
        """Take note that the time at which an item is due may have changed."""
        due = item.due
        if due < item.queued:
            self._push(due, item)

    def next(self) -> float | None:
        """When to call `pop` next, which may be too early; None if there is nothing to wait for."""
        return self._heap[0][0] if self._heap else None

    def next_due(self) -> float | None:
        """When the next item is due; None if none is. It costs more than `next`.

        After very many outdated entries it may be too early as well: others get their turn first.
        """
        self._drop_outdated()
        return self.next()

    def pop(self, now: float) -> T | None:
        """Take out an item that is due; None if none is, or if `next` has to be asked first."""
        heap = self._heap
        if not heap or heap[0][0] > now:
            return None
        if not self._drop_outdated() or heap[0][0] > now:
            return None
        item = heapq.heappop(heap)[2]
        item.queued = inf
        return item

    def _drop_outdated(self) -> bool:
        """Drop or queue again outdated entries at the top; whether the one there now is good."""
        heap = self._heap
        for _ in range(_STEP):
            if not heap:
                return False
            when, _, item = heap[0]
            if item.queued != when:  # the item has, or had, an entry with an earlier time
                heapq.heappop(heap)
                continue
            due = item.due
            if due <= when:
                return True
            heapq.heappop(heap)
            item.queued = inf
            if due < inf:
                self._push(due, item)
        return False

    def _push(self, due: float, item: T) -> None:
        self._number += 1
        item.queued = due
        heapq.heappush(self._heap, (due, self._number, item))
        if len(self._heap) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Drop entries of items that aren't due any more."""
        kept: list[tuple[float, int, T]] = []
        for entry in self._heap:
            when, _, item = entry
            if item.queued != when:
                continue
            if item.due == inf:
                item.queued = inf
            else:
                kept.append(entry)
        heapq.heapify(kept)
        self._heap[:] = kept  # in place: a caller may be going through this list
        self._sweep_at = max(_FEW, 2 * len(kept))
