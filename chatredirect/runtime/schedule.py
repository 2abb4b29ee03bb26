"""What is due when: a heap of times, without a task for each thing that waits.

An item has one time; giving it another leaves its old place in the heap behind, which is passed
over when its turn comes. So setting a time costs one push, and ten thousand items wait for one
timer.
"""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")

_STEP = 500
"""Places left behind that are passed over in one call, so that none takes long."""


class Schedule(Generic[T]):
    """Items by the time at which they are due, in seconds of whatever clock the user has."""

    __slots__ = ("_heap", "_number", "_times")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._heap: list[tuple[float, int, T]] = []
        self._times: dict[T, tuple[float, int]] = {}
        self._number = 0

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._times)

    def __contains__(self, item: object) -> bool:
        """Whether an item waits."""
        return item in self._times

    def set(self, item: T, when: float) -> None:
        """`item` is due at `when`, and no more at the time it had."""
        self._number += 1
        self._times[item] = (when, self._number)
        heapq.heappush(self._heap, (when, self._number, item))
        if len(self._heap) > 64 + 2 * len(self._times):
            self._heap = [(when, number, item) for item, (when, number) in self._times.items()]
            heapq.heapify(self._heap)

    def remove(self, item: T) -> None:
        """`item` is never due."""
        self._times.pop(item, None)

    def due(self, item: T) -> float | None:
        """When an item is due; None if it never is."""
        waits = self._times.get(item)
        return None if waits is None else waits[0]

    def next(self) -> float | None:
        """When the next item is due, or earlier if old places must be passed over first.

        None if none is due.
        """
        self._drop_old()
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> T | None:
        """Take out an item that is due, the one due longest first.

        None if none is, or if `next` must be asked first: it says whether there is more to do.
        """
        if not self._drop_old() or self._heap[0][0] > now:
            return None
        item = heapq.heappop(self._heap)[2]
        del self._times[item]
        return item

    def _drop_old(self) -> bool:
        """Pass over places left behind; whether there is an item now, and not another of them."""
        heap = self._heap
        for _ in range(_STEP):
            if not heap:
                return False
            when, number, item = heap[0]
            if self._times.get(item) == (when, number):
                return True
            heapq.heappop(heap)
        return False
