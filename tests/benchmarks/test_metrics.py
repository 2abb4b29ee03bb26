"""`python -m benchmarks.metrics`: what it judges, and that it runs."""

import shutil

import pytest

from benchmarks import metrics
from benchmarks.metrics import OFF, SCRAPED, judge
from benchmarks.report import Row, spread


def row(server: str, ratio: float, *, lost: int = 0, wrong: int = 0) -> Row:
    one = spread([1.0])
    return Row("udp", server, one, one, spread([ratio]), lost, wrong)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row(SCRAPED, 1.051), "with metrics a redirect costs 1.051 times as much"),
        (row(OFF, 1.0, wrong=1), f"{OFF} gave 1 wrong answers"),
        (row(SCRAPED, 1.0, lost=11), f"{SCRAPED} lost 11 of 10000 requests"),
    ],
)
def test_what_fails(bad: Row, why: str) -> None:
    assert list(judge([bad], 1.05, 10_000)) == [why]


def test_what_does_not() -> None:
    """The ratio to Kamailio isn't judged here, nor is one lost request in a thousand."""
    rows = [row(SCRAPED, 1.05, lost=10), row(OFF, 1.6)]
    assert not list(judge(rows, 1.05, 10_000))


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler (cc)")
def test_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "WARM_UP", 50)
    short = ["--rounds", "1", "--requests", "2000", "--no-peer", "--no-pin", "--max-ratio", "100"]
    assert metrics.main(short) == 0
