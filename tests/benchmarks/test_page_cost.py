"""`python -m benchmarks.page`: what it judges, and that it runs."""

from dataclasses import replace

import pytest

from benchmarks import page
from benchmarks.page import Round, judge, median_of

GOOD = Round(0.3, 0.05, 0.005, 0.005, 0.002, 0.001)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"first": 0.301}, "the first page takes 301 ms of CPU"),
        ({"again": 0.301}, "the later page takes 301 ms of CPU"),
        ({"wait_first": 0.0051}, "beside the first page an answer takes 5.1 ms"),
        ({"wait_again": 0.0051}, "beside the later page an answer takes 5.1 ms"),
        ({"idle": 0.0011}, "an idle page costs 1.10 ms of CPU a second"),
    ],
)
def test_what_fails(changed: dict[str, float], why: str) -> None:
    assert list(judge(replace(GOOD, **changed), 0.3, 0.005)) == [why]


def test_what_does_not() -> None:
    assert not list(judge(GOOD, 0.3, 0.005))
    late = replace(GOOD, wait_first=1.0, machine=0.0025)
    assert not list(judge(late, 0.3, 0.005)), "the machine itself is late"


def test_the_median_is_each_figures_own() -> None:
    rounds = [replace(GOOD, first=0.1, idle=9), replace(GOOD, first=0.9), replace(GOOD, first=0.5)]
    assert median_of(rounds) == replace(GOOD, first=0.5)


def test_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "IDLE", 0.2)
    monkeypatch.setattr(page, "IDLE_COST", 10.0)
    short = ["--rounds", "1", "--endpoints", "20", "--most-cpu", "60000", "--most-wait", "60000"]
    assert page.main(short) == 0
