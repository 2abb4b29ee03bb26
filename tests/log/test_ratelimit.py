"""The same fault again is told once in a while, with how often it wasn't."""

from chatredirect.log import RateLimited


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_key() -> None:
    clock = Clock()
    limited = RateLimited(10, clock)
    assert limited.hit("a") == 0
    assert [limited.hit("a") for _ in range(5)] == [None] * 5
    clock.now += 10
    assert limited.hit("a") == 5
    clock.now += 10
    assert limited.hit("a") == 0


def test_keys_are_apart() -> None:
    limited = RateLimited(10, Clock())
    assert limited.hit(("bad", "192.0.2.1")) == 0
    assert limited.hit(("bad", "192.0.2.2")) == 0
    assert limited.hit(("bad", "192.0.2.1")) is None


def test_peers_cannot_fill_memory_or_the_log() -> None:
    """At most `max_keys` are told in an interval; the rest is counted."""
    clock = Clock()
    limited = RateLimited(10, clock, max_keys=4)
    told = [limited.hit(number) for number in range(100)]
    assert told == [0] * 4 + [None] * 96
    clock.now += 10
    assert limited.hit("new") == 96
    assert limited.hit("newer") == 0


def test_what_a_forgotten_key_suppressed_is_told() -> None:
    clock = Clock()
    limited = RateLimited(10, clock, max_keys=1)
    limited.hit("a")
    limited.hit("a")
    clock.now += 10
    assert limited.hit("b") == 1
