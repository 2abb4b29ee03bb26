"""A pool as requests see it: which events there are, and what it says of itself."""

from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool, PoolEvent

ONE = Target("tls", "192.0.2.1", 5061, "fe01.contoso.com", 0, 1)
TWO = Target("tls", "192.0.2.2", 5061, "fe02.contoso.com", 0, 1)


def pool() -> Pool:
    return Pool(("pcpool.contoso.com", None, None), "ipv4")


def found(*targets: Target, stale: str | None = None) -> Located:
    return Located(LocatedState.FOUND, targets, "", 60.0, stale, ())


def no(reason: str = "NXDOMAIN") -> Located:
    return Located(LocatedState.NONE, (), reason, 60.0, None, ())


def failed(reason: str = "no answer") -> Located:
    return Located(LocatedState.FAILED, (), reason, 60.0, None, ())


def test_begins_unusable_with_a_reason() -> None:
    """A pool that was never resolved says so: it gets 480."""
    fresh = pool()
    assert not fresh.usable
    assert fresh.reason == "pcpool.contoso.com: not resolved yet"
    assert fresh.order(b"anna") == ()


def test_one_event_per_change() -> None:
    """Each change is told once, a refresh that changes nothing not at all."""
    each = pool()
    events = []
    for now, located in enumerate(
        [
            found(ONE), found(ONE), found(ONE, TWO), found(ONE, TWO), failed(), failed("other"),
            found(ONE, TWO), found(ONE, TWO, stale="x"), found(ONE, TWO, stale="x"), no(), no(),
            no("NODATA"), failed(), failed(), found(TWO),
        ]
    ):  # fmt: skip
        change = each.take(located, float(now), 1000.0)
        events.append(None if change is None else change.event)
    assert events == [
        PoolEvent.RESOLVED, None, PoolEvent.CHANGED, None, PoolEvent.STALE, None,
        PoolEvent.FRESH, PoolEvent.STALE, None, PoolEvent.FAILED, None,
        PoolEvent.FAILED, PoolEvent.FAILED, None, PoolEvent.RESOLVED,
    ]  # fmt: skip


def test_last_good_answer_serves_up_to_the_limit() -> None:
    """RFC 8767: on failure the last good answer serves on, up to the limit."""
    each = pool()
    each.take(found(ONE), 0.0, 100.0)
    each.take(failed("no answer from 192.0.2.53"), 99.0, 100.0)
    assert each.usable
    assert each.stale == "no answer from 192.0.2.53"
    change = each.take(failed(), 100.0, 100.0)
    assert change is not None
    assert change.event is PoolEvent.FAILED
    assert change.removed == (ONE,)
    assert not each.usable
    assert each.reason == "pcpool.contoso.com: no answer"


def test_a_clear_no_ends_the_pool_at_once() -> None:
    """NXDOMAIN is an answer: what was good before is not any more."""
    each = pool()
    each.take(found(ONE), 0.0, 100.0)
    each.take(no(), 1.0, 100.0)
    assert not each.usable
    assert each.targets == ()


def test_targets_that_are_down_are_left_out() -> None:
    """A target that fails its pings is not in the order; with all down the last order is."""
    each = pool()
    each.take(found(ONE, TWO), 0.0, 100.0)
    assert each.review(lambda place: place == ONE.key)
    assert each.order(b"anna") == (TWO,)
    assert each.targets == (ONE, TWO)
    live = each.live
    assert not each.review(lambda place: place == ONE.key)
    assert each.live is live
    assert each.review(lambda place: True)
    assert not each.usable
    assert each.resolved
    assert each.reason == "pcpool.contoso.com: all 2 targets are down"
    assert set(each.order(b"anna")) == {ONE, TWO}
    assert each.review(lambda place: False)
    assert each.usable
    assert each.reason == ""


def test_a_refresh_does_not_bring_back_what_is_down() -> None:
    """The same targets from DNS again say nothing about health."""
    each = pool()
    each.take(found(ONE, TWO), 0.0, 100.0)
    each.review(lambda place: place == ONE.key)
    each.take(found(ONE, TWO), 1.0, 100.0)
    assert each.live == (TWO,)


def test_reason_is_one_line_of_ascii() -> None:
    """The reason stands in a quoted string of a Warning header, whatever DNS has in its names."""
    each = pool()
    each.take(no('a"b\\c\r\nd\x00é' + "x" * 1000), 0.0, 100.0)
    assert each.reason.isascii()
    assert each.reason.isprintable()
    assert not set('"\\') & set(each.reason)
    assert len(each.reason) < 300


def test_known_to_exist_before_its_targets_are() -> None:
    """At the start of very many a pool whose name has addresses is usable at once."""
    each = pool()
    each.want = lambda pool: None
    each.exists()
    assert each.usable
    assert each.order(b"anna") == ()
    assert each.want is not None
    change = each.take(found(ONE), 1.0, 100.0)
    assert change is not None
    assert change.event is PoolEvent.RESOLVED
    assert each.want is None
