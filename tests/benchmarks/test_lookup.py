"""`python -m benchmarks.lookup` compares lookups with calls through Kamailio, and has a limit."""

import shutil
from math import inf

import pytest

from benchmarks import lookup
from benchmarks.lookup_turns import PEER, Contender, Load, Measured, Outcome, in_turns
from benchmarks.report import Spread
from benchmarks.servers import IN_PYTHON
from chatredirect.codec import compiled

RATE = Load(500.0)


def measured(server: str, ratio: float, lost: int = 0) -> Measured:
    """A server over UDP."""
    spread = Spread(ratio, ratio / 2, ratio * 2)
    return Measured(server, "udp", RATE, 100, Spread(300, 200, 400), spread, lost, 0, 0.1, 0.0)


def test_lookups_and_calls_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short run: none is lost, and each codec has its rows and its ratios to Kamailio's call."""
    if shutil.which("kamailio", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("kamailio isn't installed: its version is in the record")
    monkeypatch.setattr(lookup, "CORE", inf)  # another test's load must not decide
    arguments = ["--rounds", "2", "--lookups", "50", "--closed", "100", "--warm", "0"]
    arguments += ["--storm", "30", "--no-pin", "--markdown"]
    assert lookup.main([*arguments, "--max-ratio", "1000", "--max-python", "1000"]) == 0
    shown = capsys.readouterr().out
    names = [lookup.DAEMON] if compiled is None else [lookup.DAEMON, IN_PYTHON]
    for name in (*names, "kamailio, a call"):
        for transport in ("UDP", "TCP"):
            assert f"| {transport} | 500/s | {name} | 100 |" in shown
            assert f"| {transport} | 32 at a time | {name} | 200 |" in shown


@pytest.mark.parametrize(("over", "status"), [(0.0, 0), (0.1, 1)])
def test_the_ratio_is_the_exit_status(
    over: float, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most what is promised, by the median, for each codec by its own limit."""
    limits = {lookup.DAEMON: lookup.MAX_RATIO, IN_PYTHON: lookup.MAX_PYTHON}
    found = [
        measured(lookup.DAEMON, lookup.MAX_RATIO + over),
        measured(IN_PYTHON, lookup.MAX_PYTHON),
    ]
    assert lookup._judge(found, limits, 1000) == status
    complaint = f"chatredirect, udp, 500/s: ratio {lookup.MAX_RATIO + over:.2f} is over"
    assert (complaint in capsys.readouterr().err) == bool(status)


def test_a_lookup_that_is_lost_is_the_exit_status() -> None:
    """In one round of many."""
    assert lookup._judge([measured(lookup.DAEMON, 1.0, lost=1)], {lookup.DAEMON: 9.0}, 1000) == 1


def test_rounds_count_together() -> None:
    """A lookup that is lost in one round is lost; the order changes from round to round."""
    turns = []

    def run(name: str, outcomes: list[Outcome]) -> Contender:
        def turn(load: Load, count: int) -> Outcome:
            turns.append(name)
            return outcomes.pop()

        return Contender(name, [], turn)

    lost = [Outcome(), Outcome(1, 0, 0.5, 0.1), Outcome()]
    both = [run(PEER, [Outcome()] * 3), run(lookup.DAEMON, lost)]
    idle = {each.name: -1.0 for each in both}  # so that each has used something
    peer, daemon = in_turns(both, "udp", RATE, 10, rounds=3, warm=0.0, idle=idle)
    assert turns == [PEER, lookup.DAEMON, lookup.DAEMON, PEER, PEER, lookup.DAEMON]
    assert (daemon.lost, daemon.longest, daemon.count) == (1, 0.5, 30)
    assert daemon.ratio == Spread(1.0, 1.0, 1.0)
    assert (peer.lost, peer.ratio) == (0, None)
