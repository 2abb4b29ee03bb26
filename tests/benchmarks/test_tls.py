"""benchmarks.tls ends with 1 when what it promises of either codec isn't kept."""

import pytest

from benchmarks.report import spread
from benchmarks.servers import IN_PYTHON
from benchmarks.tls import DAEMON, PEER, Row, judge

LIMITS = {"µs": 1.5, "KiB": 1.0}
ONE, EIGHT, HANDSHAKE = "redirect, 1 in one go", "redirect, 8 in one go", "handshake"


def row(what: str, server: str, ratio: float, unit: str = "µs") -> Row:
    return Row(what, unit, server, spread([1.0]), None if server == PEER else spread([ratio]))


@pytest.mark.parametrize(
    ("what", "server", "codec", "limit"),
    [
        (ONE, DAEMON, True, 1.25),
        (ONE, IN_PYTHON, True, 2.0),
        (ONE, DAEMON, False, 2.0),
        (EIGHT, DAEMON, True, 0.9),
        (EIGHT, IN_PYTHON, True, 1.5),
        (EIGHT, DAEMON, False, 1.5),
        (HANDSHAKE, DAEMON, True, 1.5),
        (HANDSHAKE, IN_PYTHON, True, 1.5),
    ],
)
def test_each_codec_is_judged(what: str, server: str, codec: bool, limit: float) -> None:
    assert judge([row(what, server, limit)], LIMITS, codec=codec) == []
    over = row(what, server, limit + 0.01)
    assert judge([over], LIMITS, codec=codec) == [
        f"{what}, {server}: ratio {limit + 0.01:.2f} is over {limit}"
    ]


def test_memory_is_judged_and_the_peer_is_not() -> None:
    rows = [row("idle connection", server, 1.1, "KiB") for server in (DAEMON, PEER)]
    assert len(judge(rows, LIMITS, codec=True)) == 1
