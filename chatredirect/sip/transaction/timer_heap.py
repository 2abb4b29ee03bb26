"""What is due when, for things that mostly finish before it comes to that.

A dialog's timers are set anew with every message, and nearly always to a later time. So an item
stands in the heap once, with the earliest time that it was ever given: when that comes and the item
is due later by now, it is put back with its new time; when it isn't due any more it is dropped.
Setting a later time costs nothing at all. What isn't due any more leaves when its time comes, or
when there is as much of it as of what is, so that it takes no more room than that.
"""

import heapq
from math import inf
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What waits."""

    queued: float  # the time with which it stands in the heap; infinite if it doesn't

    @property
    def due(self) -> float:
        """When it is due; infinite for never."""


T = TypeVar("T", bound=Timed)

_FEW = 1000  # places of which it isn't asked who still needs them


class TimerHeap(Generic[T]):
    """Items by the time at which they are due, in seconds of whatever clock the user has."""

    __slots__ = ("_heap", "_number", "_sweep_at")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._heap: list[tuple[float, int, T]] = []
        self._number = 0
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """How many places of the heap are taken."""
        return len(self._heap)

    def changed(self, item: T) -> None:
        """The time at which an item is due may be another one."""
        due = item.due
        if due < item.queued:
            self._push(due, item)

    def next(self) -> float | None:
        """When to call `pop` next; None if there is nothing to wait for."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> T | None:
        """Take out an item that is due; None if none is."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, item = heapq.heappop(heap)
            if item.queued != when:
                continue  # it stands there with an earlier time, or did
            item.queued = inf
            due = item.due
            if due <= now:
                return item
            if due < inf:
                self._push(due, item)
        return None

    def _push(self, due: float, item: T) -> None:
        self._number += 1
        item.queued = due
        heapq.heappush(self._heap, (due, self._number, item))
        if len(self._heap) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Drop what isn't due any more."""
        kept: list[tuple[float, int, T]] = []
        for place in self._heap:
            when, _, item = place
            if item.queued != when:
                continue
            if item.due == inf:
                item.queued = inf
            else:
                kept.append(place)
        heapq.heapify(kept)
        self._heap[:] = kept  # the same list, for whoever goes through it now
        self._sweep_at = max(_FEW, 2 * len(kept))
