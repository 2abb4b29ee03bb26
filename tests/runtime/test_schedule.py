"""What is due when, also for items whose time changes."""

from chatredirect.runtime.schedule import Schedule


def test_in_the_order_of_their_times() -> None:
    schedule: Schedule[str] = Schedule()
    for item, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a", 2.5)):
        schedule.set(item, when)
    schedule.remove("c")
    assert schedule.next() == 2.0
    assert [schedule.pop(9.0) for _ in range(3)] == ["b", "a", None]
    assert schedule.next() is None


def test_times_of_very_many_change_at_once() -> None:
    """As at a reload: passing over the old ones is done in steps, each of which is short."""
    schedule: Schedule[int] = Schedule()
    for item in range(10_000):
        schedule.set(item, 1.0)
    for item in range(10_000):
        schedule.set(item, 100.0)
    steps = 0
    while schedule.next() == 1.0:  # due: whoever looks finds nothing, and looks again
        assert schedule.pop(50.0) is None
        steps += 1
    assert 5 <= steps <= 100
    assert schedule.next() == 100.0
    assert schedule.pop(50.0) is None
    assert schedule.pop(100.0) is not None
