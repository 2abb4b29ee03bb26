"""`python -m benchmarks.soak`: it counts what is lost and wrong, and tells it."""

import shutil

import pytest

from benchmarks import soak
from benchmarks.soak import TRANSPORTS, Sum, judge


def test_what_is_lost_or_wrong_is_told() -> None:
    """A benchmark that can't fail tells nothing."""
    assert judge({"udp": Sum(10, 10), "tcp": Sum(10, 10)}) == []
    faults = judge(
        {
            "udp": Sum(10, 8, lost=2, drops=3),
            "tcp": Sum(10, 9, lost=1),
            "tls": Sum(10, 9, wrong=1, complaint="SIP/2.0 500"),
        }
    )
    assert faults == [
        "udp: 2 of 10 lost; the kernel dropped 3 datagrams meanwhile",
        "tcp: 1 of 10 lost; why?",
        "tls: 1 wrong answers, the first: SIP/2.0 500",
    ]


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler for the load")
def test_every_transport_has_its_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--rounds", "2", "--requests", "200", "--no-pin", "--markdown"]) == 0
    told = capsys.readouterr().out
    for transport in TRANSPORTS:
        assert f"| {transport.upper()} | 400 | 400 | 0 | 0 |" in told
