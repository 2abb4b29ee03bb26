"""Whatever comes: nothing raises, nothing is kept for ever, and what goes out is SIP."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lookup.in_memory_lookups import TRANSPORTS, InMemoryLookups
from tests.lookup.test_captures import lookups
from tests.sent_message import read

CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.sip"))
MESSAGES = [path.read_bytes() for path in CAPTURES]
SNIPPETS = [
    *(
        b"\r\n",
        b" ",
        b";",
        b",",
        b"<",
        b">",
        b'"',
        b"@",
        b":",
        b"\x00",
        b"\xff",
        b"%",
        b"0",
        b"99999999999",
    ),
    *(b"tag=", b";lr", b"sips:", b"\r\nRequire: timer", b"\r\nRecord-Route: <sip:a;lr>"),
    *(
        b"\r\nRecord-Route: <sip:b>",
        b"\r\nContact: *",
        b"BYE",
        b"CANCEL",
        b"UPDATE",
        b"INVITE",
        b"ACK",
    ),
    *(
        b"z9hG4bK",
        b"\r\nContent-Encoding: gzip",
        b"m=message 1 sip null",
        b"v=0",
        b"&a;",
        b"<!DOCTYPE a>",
    ),
]

#: A message, and changes to it: where, how many octets go, what comes.
CHANGE = st.tuples(st.integers(0, 1200), st.integers(0, 12), st.sampled_from(SNIPPETS))
CHANGED = st.tuples(st.sampled_from(MESSAGES), st.lists(CHANGE, max_size=3))


def apply(message: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for position, gone, come in changes:
        message = message[:position] + come + message[position + gone :]
    return message


def check(there: InMemoryLookups) -> None:
    there.pass_time(40)
    there.pass_time(40)
    for raw in there.flow.raw:
        read(raw)
    there.pass_time(200)
    assert there.empty


@settings(max_examples=300)
@given(st.sampled_from(TRANSPORTS), st.lists(CHANGED, max_size=8))
def test_changed_conversations(
    transport: str, messages: list[tuple[bytes, list[tuple[int, int, bytes]]]]
) -> None:
    """The recorded messages in any order, with octets changed here and there."""
    there = lookups(transport)
    for message, changes in messages:
        there.send(apply(message, changes))
    check(there)


@settings(max_examples=200)
@given(st.sampled_from(TRANSPORTS), st.lists(st.lists(CHANGE, max_size=2), min_size=5, max_size=5))
def test_the_conversation_with_changes(
    transport: str, changes: list[list[tuple[int, int, bytes]]]
) -> None:
    """In its order, so that what goes wrong goes wrong within a dialog."""
    there = lookups(transport)
    lookup = [
        message for path, message in zip(CAPTURES, MESSAGES, strict=True) if "lookup" in path.name
    ]
    for message, each in zip(lookup, changes, strict=True):
        there.send(apply(message, each))
    check(there)
