"""Timers in buckets with lazy rescheduling, for things that mostly finish before they are due.

A dialog's timers are set anew with every message, nearly always to a later time. So an item has an
entry with the earliest time that it was given, and setting a later one costs nothing. When the time
of an entry comes, an item that is due later is queued again, and one that isn't due any more is
dropped; such entries are also dropped when they are as many as the others.

A proxied call queues eight items, and a server's transactions last half a minute: in one heap they
would be hundreds of thousands, of which each takes its way through a dozen places that are far
apart in memory. So an entry is put into the bucket of its 32nd of a second, as nothing but the
item. Only items of a bucket whose time has come are put into a heap, those that aren't due yet.

All times are seconds of the clock of the user.
"""

import heapq
from math import inf
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """An item with a timer."""

    queued: float
    """The time of its entry, for a bucket that of its begin; infinite if it has none. Only
    `TimerHeap` writes it."""

    @property
    def due(self) -> float:
        """When the item is due; infinite for never."""


T = TypeVar("T", bound=Timed)

_BUCKETS = 32  # in a second; a power of 2, so that the time of a bucket is exact
_FEW = 1000  # entries below which nothing is swept
_STEP = 500  # entries that one call handles: thousands may be rescheduled at once


class TimerHeap(Generic[T]):
    """Items by the time at which they are due, in any order within a bucket."""

    __slots__ = (
        "_buckets", "_end", "_entries", "_heap", "_number", "_opened", "_opened_at", "_order",
        "_sweep_at",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin empty."""
        self._buckets: dict[int, list[T]] = {}
        self._order: list[int] = []  # a heap of their numbers
        # of the bucket whose time has come last: what is left of it, its begin and its end
        self._opened: list[T] = []
        self._opened_at = 0.0
        self._end = 0.0
        self._heap: list[tuple[float, int, T]] = []  # what is due before that end
        self._number = 0
        self._entries = 0
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """How many entries there are."""
        return self._entries

    def changed(self, item: T) -> None:
        """Take note that the time at which an item is due may have changed."""
        due = item.due
        if due < item.queued:
            self._queue(due, item)

    def next(self) -> float | None:
        """When to call `pop` next, which may be too early; None if there is nothing to wait for."""
        if self._opened:
            return self._opened_at
        if self._heap:
            return self._heap[0][0]
        return self._order[0] / _BUCKETS if self._order else None

    def next_due(self) -> float | None:
        """When the next item is due; None if none is. It costs more than `next`.

        After very many outdated entries it may be too early as well: others get their turn first.
        """
        for _ in range(_STEP):
            if self._opened:
                self._queue_again(self._from_bucket())
            elif self._heap:
                when, _, item = self._heap[0]
                if item.queued == when and item.due <= when:
                    return when
                self._queue_again(self._from_heap())
            elif self._order:
                self._open()
            else:
                return None
        return self.next()

    def pop(self, now: float) -> T | None:
        """Take out an item that is due; None if none is, or if `next` has to be asked first."""
        for _ in range(_STEP):
            item: T | None
            if self._opened:  # as `_from_bucket`: every transaction comes here once or twice
                item = self._opened.pop()
                self._entries -= 1
                if item.queued != self._opened_at:
                    continue
                item.queued = inf
            elif self._heap:
                if self._heap[0][0] > now:
                    return None
                item = self._from_heap()
                if item is None:
                    continue
            elif self._order and self._order[0] <= now * _BUCKETS:
                self._open()
                continue
            else:
                return None
            due = item.due
            if due <= now:
                return item
            if due < inf:
                self._queue(due, item)
        return None

    def _open(self) -> None:
        number = heapq.heappop(self._order)
        self._opened = self._buckets.pop(number)
        self._opened.reverse()  # the first is taken out first
        self._opened_at = number / _BUCKETS
        self._end = (number + 1) / _BUCKETS

    def _from_bucket(self) -> T | None:
        """Take an entry out of the opened bucket: its item, or None if it is outdated."""
        item = self._opened.pop()
        self._entries -= 1
        if item.queued != self._opened_at:
            return None
        item.queued = inf
        return item

    def _from_heap(self) -> T | None:
        when, _, item = heapq.heappop(self._heap)
        self._entries -= 1
        if item.queued != when:
            return None
        item.queued = inf
        return item

    def _queue_again(self, item: T | None) -> None:
        if item is not None and (due := item.due) < inf:
            self._queue(due, item)

    def _queue(self, due: float, item: T) -> None:
        if due < self._end:
            self._number += 1
            item.queued = due
            heapq.heappush(self._heap, (due, self._number, item))
        else:
            number = int(due * _BUCKETS)
            item.queued = number / _BUCKETS
            bucket = self._buckets.get(number)
            if bucket is None:
                self._buckets[number] = [item]
                heapq.heappush(self._order, number)
            else:
                bucket.append(item)
        self._entries += 1
        if self._entries >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Drop entries of items that aren't due any more."""
        self._heap = [entry for entry in self._heap if _waits(entry[2], entry[0])]
        heapq.heapify(self._heap)
        self._opened = [item for item in self._opened if _waits(item, self._opened_at)]
        buckets: dict[int, list[T]] = {}
        for number, bucket in self._buckets.items():
            at = number / _BUCKETS
            kept = [item for item in bucket if _waits(item, at)]
            if kept:
                buckets[number] = kept
        self._buckets = buckets
        self._order = sorted(buckets)
        self._entries = len(self._heap) + len(self._opened) + sum(map(len, buckets.values()))
        self._sweep_at = max(_FEW, 2 * self._entries)


def _waits(item: Timed, queued: float) -> bool:
    if item.queued != queued:
        return False
    if item.due == inf:
        item.queued = inf
        return False
    return True
