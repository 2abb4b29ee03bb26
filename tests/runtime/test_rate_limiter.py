"""Rate limiters: a repeated fault is logged once in a while; a burst is no steady rate."""

import pytest

from chatredirect.runtime.rate_limiter import SECONDS, RepeatLimiter, SteadyRate
from tests.held_clock import HeldClock


def test_one_key() -> None:
    clock = HeldClock(100.0)
    limited = RepeatLimiter(10, clock)
    assert limited.hit("a") == 0
    assert [limited.hit("a") for _ in range(5)] == [None] * 5
    clock.now += 10
    assert limited.hit("a") == 5
    clock.now += 10
    assert limited.hit("a") == 0


def test_keys_are_apart() -> None:
    limited = RepeatLimiter(10, HeldClock(100.0))
    assert limited.hit(("bad", "192.0.2.1")) == 0
    assert limited.hit(("bad", "192.0.2.2")) == 0
    assert limited.hit(("bad", "192.0.2.1")) is None


def test_peers_cannot_fill_memory_or_the_log() -> None:
    """At most `max_keys` are told in an interval; the rest is counted."""
    clock = HeldClock(100.0)
    limited = RepeatLimiter(10, clock, max_keys=4)
    told = [limited.hit(number) for number in range(100)]
    assert told == [0] * 4 + [None] * 96
    clock.now += 10
    assert limited.hit("new") == 96
    assert limited.hit("newer") == 0


def test_what_a_forgotten_key_suppressed_is_told() -> None:
    clock = HeldClock(100.0)
    limited = RepeatLimiter(10, clock, max_keys=1)
    limited.hit("a")
    limited.hit("a")
    clock.now += 10
    assert limited.hit("b") == 1


# -- what goes on for too long ----------------------------------------------------------------


def seconds_until_exceeded(each_second: list[int], most: int) -> int | None:
    """After how many seconds a rate is exceeded, None for never."""
    rate = SteadyRate()
    for second, count in enumerate(each_second):
        for number in range(count):
            if rate.exceeded(1000 + second + number / (count + 1), most):
                return second + 1
    return None


def test_a_rate_that_holds_for_ten_seconds() -> None:
    assert seconds_until_exceeded([101] * 20, 100) == SECONDS


def test_at_the_rate_it_is_never_exceeded() -> None:
    """A front end that pings once a second for days (RFC 5626 §4.4.1), or just at the limit."""
    assert seconds_until_exceeded([1] * 86_400 * 2, 10) is None
    assert seconds_until_exceeded([10] * 20_000, 10) is None


@pytest.mark.parametrize(
    "each_second",
    [
        pytest.param([100_000], id="one burst"),
        pytest.param(([5000] * 9 + [0]) * 10, id="with a second of silence"),
        pytest.param(([5000] * 9 + [100]) * 10, id="with a second at the limit"),
    ],
)
def test_a_burst_is_no_rate(each_second: list[int]) -> None:
    """A front end that comes back has much to say at once."""
    assert seconds_until_exceeded(each_second, 100) is None
