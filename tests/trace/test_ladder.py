"""The ladder: who stands where, what is marked, and that no octet of a peer's draws it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.trace.call_ladder import MAX_WIDTH, MIN_WIDTH, Ladder
from chatredirect.trace.sighting import Ends, Sighting, SightingKind
from tests.trace.messages import request, response

CALL = b"1@192.0.2.9"
CALLER = Ends("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40312))
POOL = Ends("tls", ("192.0.2.1", 41000), ("192.0.2.20", 5061))


def seen(
    kind: SightingKind, data: bytes = b"", ends: Ends | None = CALLER, at: float = 0.0
) -> Sighting:
    return Sighting(kind, 1_700_000_000 + at, CALL, ends, data)


def drawn(ladder: Ladder, *sightings: Sighting) -> list[str]:
    return [line for each in sightings for line in ladder.lines(each)]


def arrows(lines: list[str]) -> list[str]:
    return [line[15:] for line in lines if re.match(r"#\d+ +[0-9.]+ m?s \|", line)]


def test_the_caller_is_left_and_the_pool_right() -> None:
    lines = drawn(
        Ladder(),
        seen(SightingKind.RECEIVED, request()),
        seen(SightingKind.SENT, request(), POOL, 0.001),
        seen(SightingKind.RECEIVED, response(status="200 OK"), POOL, 0.002),
        seen(SightingKind.SENT, response(status="200 OK"), CALLER, 12.5),
        seen(SightingKind.RECEIVED, request(method="INFO"), POOL, 13),
    )
    first, second, third, fourth, fifth = arrows(lines)
    assert re.fullmatch(r"\|--- INVITE -+>\| +\|", first)
    assert re.fullmatch(r"\| +\|--- INVITE -+>\|", second)
    assert re.fullmatch(r"\| +\|<-+ 200 OK ---\|", third)
    assert re.fullmatch(r"\|<-+ 200 OK ---\| +\|", fourth)
    assert re.fullmatch(r"\| +\|<-+ INFO ---\|", fifth)
    assert any("12.5 s |" in line for line in lines)
    assert any("pool tls://192.0.2.20:5061" in line for line in lines)


def test_what_comes_again_is_marked() -> None:
    ladder = Ladder()
    lines = drawn(
        ladder,
        seen(SightingKind.RECEIVED, request()),
        seen(SightingKind.SENT, response()),
        seen(SightingKind.RECEIVED, request(), at=0.5),
        seen(SightingKind.SENT, response(), at=0.5),
        seen(SightingKind.RECEIVED, request(method="ACK"), at=0.6),
    )
    assert ["(again)" in line for line in arrows(lines)] == [False, False, True, True, False]
    assert ladder.calls == 1


@pytest.mark.parametrize("width", [1, MIN_WIDTH, 100, 1000])
@given(
    what=st.text(max_size=200),
    data=st.binary(max_size=200),
    call_id=st.binary(max_size=60),
    whole=st.booleans(),
)
def test_whatever_comes_the_lines_are_printable_and_fit(
    width: int, what: str, data: bytes, call_id: bytes, whole: bool
) -> None:
    ladder = Ladder(width, whole=whole)
    most = max(MIN_WIDTH, min(width, MAX_WIDTH))
    for kind in SightingKind:
        sighting = Sighting(kind, 1e9, call_id, CALLER, data, what)
        for line in ladder.lines(sighting):
            assert line.isprintable()
            if not re.match(r" {4}\S", line):  # a message's own line is as long as it is
                assert len(line) <= most


def test_calls_are_bounded() -> None:
    ladder = Ladder()
    for number in range(5000):
        call_id = b"%d" % number
        ladder.lines(Sighting(SightingKind.RECEIVED, 1e9, call_id, CALLER, request()))
    assert ladder.calls == 5000
    assert len(ladder._calls) <= 1024
