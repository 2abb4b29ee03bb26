"""`python -m benchmarks` must not be fooled: wrong and lost answers fail it, whatever they cost."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import redirect
from benchmarks.report import Sample, summarize

STUB = Path(__file__).parent / "stub_daemon.py"
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler (cc)"
)


def measure(fault: str, transport: str, json_file: Path) -> int:
    """Two short rounds with a daemon that has this fault; the exit status."""
    return redirect.main(
        [
            *("--transport", transport, "--rounds", "2", "--requests", "2000", "--no-peer"),
            *("--no-pin", "--no-ledger", "--json", str(json_file)),
            *("--daemon", f"{sys.executable} {STUB} {fault}"),
        ]
    )


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redirect, "WARM_UP", 50)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))


@needs_compiler
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("fault", ["none", "one-lost"])
def test_right_answers_pass(fault: str, transport: str, tmp_path: Path) -> None:
    """One in four thousand may be lost, of each daemon: one keeps a ledger."""
    assert measure(fault, transport, tmp_path / "result.json") == 0
    result = json.loads((tmp_path / "result.json").read_text())
    lost: Counter[str] = Counter()
    for sample in result["samples"]:
        lost[sample["server"]] += sample["lost"]
    assert set(lost.values()) == {int(fault == "one-lost")}, "of each daemon, one"
    assert all(sample["wrong"] == 0 for sample in result["samples"])
    assert all(sample["microseconds"] > 0 for sample in result["samples"])


@needs_compiler
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("contact", "wrong answers"),
        ("to-tag", "wrong answers"),
        ("twice", "wrong answers"),
        ("some-lost", "lost"),
        ("silent", "lost"),
    ],
)
def test_wrong_and_lost_answers_fail(
    fault: str, said: str, transport: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said what is wrong."""
    assert measure(fault, transport, tmp_path / "result.json") == 1
    complaints = [line for line in capsys.readouterr().err.splitlines() if "FAILED" in line]
    assert any(said in line and transport.upper() in line for line in complaints)


def test_the_ratio_is_that_of_a_round() -> None:
    """The machine's moods meet both servers of a round, so the ratio is taken there."""
    costs = {"ours": [10.0, 30.0, 14.0], "theirs": [10.0, 20.0, 10.0]}
    samples = [
        Sample("udp", server, number, microseconds, 1000.0, 0, 0)
        for server, values in costs.items()
        for number, microseconds in enumerate(values)
    ]
    ours, theirs = summarize(samples, {"ours": "theirs"})
    assert theirs.ratio is None
    assert ours.ratio is not None
    assert (ours.ratio.least, ours.ratio.median, ours.ratio.greatest) == (1.0, 1.4, 1.5)
    assert redirect.judge([ours], {("udp", "ours"): 1.3}, 3) != []
    assert redirect.judge([ours], {("udp", "ours"): 1.5}, 3) == []


@needs_compiler
def test_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon that doesn't start is no result: exit status 2, and its own words."""
    command = f"{sys.executable} -c raise(SystemExit('broken_configuration'))"
    arguments = ["--no-peer", "--no-pin", "--daemon", command]
    assert redirect.main(arguments) == 2
    assert "broken_configuration" in capsys.readouterr().err
