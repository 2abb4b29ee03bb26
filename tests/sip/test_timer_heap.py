"""The timer heap, also for items whose time changes."""

from dataclasses import dataclass
from math import inf
from random import Random

from chatredirect.sip.transaction.timer_heap import TimerHeap


@dataclass(eq=False)
class Item:
    """Something that is due, or not."""

    due: float
    queued: float = inf


def test_the_heap_forgets_what_is_not_due_any_more() -> None:
    """However far away its time was, it takes no more room than what is due."""
    heap: TimerHeap[Item] = TimerHeap()
    kept = [Item(1e9) for _ in range(10)]
    for item in kept:
        heap.changed(item)
    for _ in range(100_000):
        item = Item(1e6)
        heap.changed(item)
        item.due = inf
    assert len(heap) <= 1000
    for item in kept:
        item.due = 5.0
        heap.changed(item)
    found = []
    while (each := heap.pop(6.0)) is not None:
        each.due = inf
        found.append(each)
    assert set(found) == set(kept)


def test_nobody_is_called_for_a_bucket_of_which_nothing_is_left() -> None:
    heap: TimerHeap[Item] = TimerHeap()
    for number in range(1000):
        item = Item(5.0 + number)
        heap.changed(item)
        item.due = inf
    assert len(heap) == 1  # the last, with which it was looked for what to forget
    assert heap.next() == 1004.0


def test_in_the_order_of_their_times() -> None:
    heap: TimerHeap[Item] = TimerHeap()
    a, b, c = Item(1.0), Item(2.0), Item(3.0)
    for item in (c, a, b):
        heap.changed(item)
    a.due, c.due = 2.5, inf
    found = [heap.pop(2.2)]
    assert found == [b]
    b.due = inf
    assert heap.next_due() == 2.5
    assert heap.pop(2.2) is None
    assert heap.pop(9.0) is a
    a.due = inf
    assert heap.pop(9.0) is None
    assert heap.next_due() is None


def test_an_earlier_time_counts_at_once() -> None:
    heap: TimerHeap[Item] = TimerHeap()
    item = Item(5.0)
    heap.changed(item)
    item.due = -inf
    heap.changed(item)
    assert heap.next_due() == -inf
    assert heap.pop(1.0) is item
    item.due = inf
    assert heap.pop(9.0) is None


def test_times_of_very_many_change_at_once() -> None:
    """As at a reload: outdated entries are handled in steps, each of which is short."""
    heap: TimerHeap[Item] = TimerHeap()
    items = [Item(1.0) for _ in range(10_000)]
    for item in items:
        heap.changed(item)
    for item in items:
        item.due = 100.0
        heap.changed(item)
    steps = 0
    while heap.next_due() == 1.0:  # an outdated entry: whoever looks finds nothing, and looks again
        assert heap.pop(50.0) is None
        steps += 1
    assert 5 <= steps <= 100
    assert heap.next_due() == 100.0
    assert heap.pop(50.0) is None
    assert heap.pop(100.0) is not None


def test_nothing_is_early_or_forgotten() -> None:
    """Held against the items themselves, also at times that are the beginning of a bucket."""
    for seed in range(30):
        random = Random(seed)
        heap: TimerHeap[Item] = TimerHeap()
        items = [Item(inf) for _ in range(40)]
        now = 1000.0
        for _ in range(300):
            now += random.choice((0.0, 1 / 32, 0.01, 0.3, 5.0))
            for item in random.sample(items, 5):
                wait = random.choice((0.0, 1 / 32, 0.02, 0.5, 4.0, 32.0, inf))
                item.due = -inf if random.random() < 0.02 else now + wait
                heap.changed(item)
            if random.random() < 0.5:
                assert heap.next_due() == min((i.due for i in items if i.due < inf), default=None)
            due = {id(item) for item in items if item.due <= now}
            while (found := heap.pop(now)) is not None:
                due.remove(id(found))  # else it was early, or came twice
                found.due = inf
            assert not due
            following = heap.next()
            assert following is None or following > now
            assert all(item.due == inf or item.due >= item.queued for item in items)


def test_an_item_of_a_bucket_whose_time_has_begun_waits_for_its_own() -> None:
    heap: TimerHeap[Item] = TimerHeap()
    early, late = Item(1.001), Item(1.030)
    for item in (late, early):
        heap.changed(item)
    assert heap.next() == 1.0
    assert heap.pop(1.0) is None
    assert heap.pop(1.001) is early
    early.due = 1.02
    heap.changed(early)  # earlier than what is left
    assert heap.next_due() == 1.02
    assert heap.pop(1.019) is None
    assert [heap.pop(2.0), heap.pop(2.0)] == [early, late]
    assert heap.next() is None
