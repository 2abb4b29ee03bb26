"""The compiled codec gives what its twin in Python gives, field for field, or nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatredirect.codec import compiled
from chatredirect.sip import framing
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.message import Request
from tests.fuzz import twins
from tests.fuzz.twins import PIECES, in_python, parts, seeds, usual

if compiled is None:
    pytest.skip("the compiled codec isn't in use", allow_module_level=True)

pieces = st.sampled_from(PIECES) | st.binary(max_size=4)
places = st.integers(0, 2000)
edits = st.lists(st.tuples(places, st.integers(0, 8), pieces), min_size=1, max_size=4)


@pytest.mark.parametrize("number", range(len(usual())))
def test_usual_messages_are_read(number: int) -> None:
    """Else the comparison below compares nothing."""
    assert compiled is not None
    data = usual()[number]
    read = compiled.read_datagram(data, DEFAULT)
    assert read is not None
    if isinstance(read, Request):
        written = compiled.answer(read, b"192.0.2.1", 5060, b"SIP/2.0 200 OK", b"", bytes(64))
        assert written is not None
    assert compiled.read_stream(b"\r\n" + data, 2, DEFAULT) is not None


@pytest.mark.parametrize("data", seeds())
def test_seeds(data: bytes) -> None:
    twins.twins(data)


@pytest.mark.parametrize("number", range(len(usual()) - 1))
def test_a_piece_anywhere(number: int) -> None:
    """Every piece at some place of a message, and every octet of it exchanged."""
    data = usual()[number]
    for count, piece in enumerate(PIECES):
        place = count * 7 % len(data)
        twins.twins(data[:place] + piece + data[place:])
    for place in range(len(data)):
        for octet in (b"\x00", b"\r", b"\n", b" ", b'"', b"<", b";", b",", b":", b"\xff"):
            twins.twins(data[:place] + octet + data[place + 1 :])
        twins.twins(data[:place])


@given(data=st.sampled_from(seeds()), edits=edits)
@settings(max_examples=1000)
def test_a_mutated_message(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for where, length, piece in edits:
        start = where % (len(data) + 1)
        data = data[:start] + piece + data[start + length :]
    twins.twins(data)


def test_many_mutants() -> None:
    """`make twins` runs ten million."""
    before = replace(twins.COUNTS)
    twins.run(60_000, seed=1)
    after = twins.COUNTS
    assert after.read - before.read > 10_000
    assert after.answers - before.answers > 5_000
    assert after.forwarded - before.forwarded > 10_000
    assert after.keys - before.keys > 10_000
    assert after.texts - before.texts > 2_000
    assert after.stamped - before.stamped > 5_000
    assert after.callers - before.callers > 5_000


def test_a_difference_is_found() -> None:
    """A comparison that can't fail tells nothing."""
    assert compiled is not None
    data = usual()[0]
    one, other = (compiled.read_datagram(data, DEFAULT) for _ in range(2))
    assert isinstance(other, Request)
    twins.same(one, other)
    other.mandatory_headers.via.end += 1  # type: ignore[union-attr]
    with pytest.raises(twins.Different):
        twins.same(one, other)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(message=200),
        Limits(header_line=20),
        Limits(headers=3),
        Limits(via_values=0),
        Limits(uri=5),
    ],
)
def test_every_limit_holds(limits: Limits) -> None:
    """What is over a bound is left to Python, which has the fault for it."""
    assert compiled is not None
    assert compiled.read_datagram(usual()[0], limits) is None
    assert compiled.read_stream(usual()[0], 0, limits) is None
    assert compiled.read_datagram(usual()[0], DEFAULT) is not None


def test_the_python_twin_is_what_the_tests_compare_with() -> None:
    """Within `in_python` nothing compiled is called."""
    with in_python():
        assert framing.read_datagram is None
        assert parts(framing.parse_datagram(usual()[0], DEFAULT))
    assert framing.read_datagram is not None
