"""The state machine of health, played without clock and socket."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.config import HealthSettings
from chatredirect.net.target import Target
from chatredirect.pools.health import Health, HealthState, PingOutcome, TargetHealth

TARGET = Target("udp", "192.0.2.1", 5060, "fe01.contoso.com")
OK, LOST = PingOutcome.ANSWERED, PingOutcome.LOST
SETTINGS = HealthSettings(interval=30.0, losses=3, successes=2, jitter=0.1)


def health(settings: HealthSettings = SETTINGS) -> Health:
    return Health(settings, random.Random(1))


@pytest.mark.parametrize(
    ("outcomes", "states"),
    [
        ("+", "U"),
        ("---", "??D"),
        ("-+", "?U"),
        ("+---", "UUUD"),
        ("+--+--", "UUUUUU"),
        ("+---++", "UUUDDU"),
        ("+---+-++", "UUUDDDDU"),
        ("+---+-+-+", "UUUDDDDDD"),
    ],
)
def test_states(outcomes: str, states: str) -> None:
    """Three losses in a row take a target down, two successes in a row bring it back."""
    place = TargetHealth(TARGET)
    letters = {HealthState.UNKNOWN: "?", HealthState.UP: "U", HealthState.DOWN: "D"}
    seen = ""
    for outcome in outcomes:
        place.observe(OK if outcome == "+" else LOST, SETTINGS)
        seen += letters[place.state]
    assert seen == states


@given(st.lists(st.sampled_from([OK, LOST])), st.integers(1, 5), st.integers(1, 5))
def test_down_means_losses_and_up_means_successes(
    outcomes: list[PingOutcome], losses: int, successes: int
) -> None:
    """A place is down exactly if it had so many losses and since then not so many successes."""
    settings = HealthSettings(losses=losses, successes=successes)
    place = TargetHealth(TARGET)
    down = False
    run: list[PingOutcome] = []
    for outcome in outcomes:
        run = [*run, outcome] if run and run[-1] is outcome else [outcome]
        if outcome is LOST and len(run) >= losses:
            down = True
        elif outcome is OK and len(run) >= successes:
            down = False
        place.observe(outcome, settings)
        assert (place.state is HealthState.DOWN) == down


def test_unknown_counts_as_working() -> None:
    """At the start nobody waits for pings."""
    watched = health()
    watched.watch([TARGET], 0.0)
    assert not watched.is_down(TARGET.key)
    assert not watched.is_down(("tcp", "192.0.2.9", 1))


def test_pings_come_in_the_interval_with_jitter() -> None:
    """After the first ones the pings of a place are an interval apart, give or take a tenth."""
    watched = health()
    watched.watch([TARGET], 0.0)
    times = []
    for _ in range(100):
        due = watched.next()
        assert due is not None
        assert watched.pop(due - 0.001) is None
        assert watched.pop(due) is TARGET
        assert watched.pop(due + 100) is None, "the same place twice at a time"
        times.append(due)
        watched.observe(TARGET, OK, "200 OK", due)
    assert times[0] <= 1.0
    gaps = [after - before for before, after in pairwise(times[1:])]
    assert all(27.0 <= gap <= 33.0 for gap in gaps)
    assert max(gaps) - min(gaps) > 3.0


def test_a_shorter_interval_counts_at_once() -> None:
    """A reload from an hour to 30 seconds doesn't wait out the hour; a longer one waits."""
    watched = health(HealthSettings(interval=3600.0))
    targets = [Target("udp", "192.0.2.1", 5060 + n, "h") for n in range(50)]
    watched.watch(targets, 0.0)
    for _ in targets:
        target = watched.pop(1.0)
        assert target is not None
        watched.observe(target, OK, "200 OK", 1.0)
        watched.observe(target, OK, "200 OK", 1.0)
    first = watched.next()
    assert first is not None
    assert first > 1000.0
    watched.update(HealthSettings(interval=7200.0), 10.0)
    assert watched.next() == first
    watched.update(SETTINGS, 10.0)
    for _ in targets:
        assert watched.pop(40.0) is not None


def test_many_that_begin_together_drift_apart() -> None:
    """A thousand targets that came at once are pinged evenly over the interval soon after."""
    watched = health()
    targets = [Target("udp", f"192.0.2.{n % 250}", 5060 + n // 250, "h") for n in range(1000)]
    watched.watch(targets, 0.0)
    seconds = [0] * 400
    now = 0.0
    while now < 300:
        due = watched.next()
        assert due is not None
        now = due
        target = watched.pop(now)
        assert target is not None
        seconds[int(now)] += 1
        watched.observe(target, OK, "200 OK", now)
    steady = seconds[60:290]
    assert max(steady) < 3 * sum(steady) / len(steady)


def test_shared_places_are_pinged_once() -> None:
    """Pools that share a target share its pings; the last one to go ends them."""
    watched = health()
    other = Target("udp", "192.0.2.1", 5060, "other.contoso.com", 9, 9)
    watched.watch([TARGET], 0.0)
    watched.watch([other], 0.0)
    assert len(watched) == 1
    watched.unwatch([TARGET])
    assert watched.next() is not None
    watched.unwatch([other])
    assert watched.next() is None
    assert not watched.observe(TARGET, LOST, "late", 1.0)


def test_changes_are_told_once() -> None:
    """Only going down and coming back are news, and they are counted."""
    watched = health()
    watched.watch([TARGET], 0.0)
    told = [
        watched.observe(TARGET, outcome, "x", float(now))
        for now, outcome in enumerate([OK, LOST, LOST, LOST, LOST, OK, OK, OK])
    ]
    assert told == [False, False, False, True, False, False, True, False]
    assert (watched.counters.went_down, watched.counters.came_up, watched.counters.lost) == (
        1,
        1,
        4,
    )
