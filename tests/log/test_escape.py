"""No byte that a client chose breaks a line or reaches a terminal as a control character."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.log.escape import MAX_EVENT, MAX_TEXT, Cleaner, escape
from chatredirect.log.render import console_renderer, render_json

BAD_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain Räume 会议室", "plain Räume 会议室"),
        ("a\r\nb\tc\0", "a\\x0d\\x0ab\\x09c\\x00"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x7f\x85\x9b", "\\x7f\\x85\\x9b"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_escape(raw: str, shown: str) -> None:
    """C0, C1, DEL, separators, bidirectional controls, surrogates, tags."""
    assert escape(raw) == shown


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


@given(event=st.text(), fields=st.dictionaries(st.text(), VALUES, max_size=5))
def test_any_event_is_one_printable_line(event: str, fields: dict[str, object]) -> None:
    """Whatever keys and values: JSON stays one object, and both forms are printable throughout."""
    for render in (render_json, console_renderer(colours=False)):
        line = render(1.5, "info", event, fields)
        assert not [c for c in line if unicodedata.category(c) in BAD_CATEGORIES]
        assert len(line) < 3 * MAX_EVENT
        line.encode()
    read = json.loads(render_json(1.5, "info", event, fields))
    assert (read["timestamp"], read["level"]) == ("1970-01-01T00:00:01.500Z", "info")


def test_values_are_cut() -> None:
    """One value, and one event, have a size that no client can exceed."""
    cut = Cleaner().text("x" * 10_000)
    assert len(cut) == MAX_TEXT
    assert cut.endswith("…")
    line = render_json(0, "info", "e", {f"k{i}": "y" * 10_000 for i in range(100)})
    assert len(line) < MAX_EVENT + 2000
    assert len(Cleaner().text("\x1b" * 10_000)) == MAX_TEXT
    assert len(render_json(0, "info", "e", {"k": [["z" * 100] * 500] * 500})) < 3 * MAX_EVENT


def test_kinds_of_values() -> None:
    """Bytes are text, exceptions say what they are, odd objects and numbers don't hurt."""

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no")

    fields: dict[str, object] = {
        "bytes": b"sip:a@x\xff\r\n",
        "error": ValueError("bad\nthing"),
        "odd": Odd(),
        "nan": float("nan"),
        "large": 10**400,
        "tuple": (1, b"x"),
        "level": "a field with the name of one of ours",
    }
    read = json.loads(render_json(0, "info", "e", fields))
    assert read["bytes"] == "sip:a@x\\xff\\x0d\\x0a"
    assert read["error"] == "ValueError: bad\\x0athing"
    assert "RuntimeError" in read["odd"]
    assert read["nan"] == "nan"
    assert len(read["large"]) <= MAX_TEXT
    assert read["tuple"] == [1, "x"]
    assert read["level"] == "info"
    assert read["level_"] == "a field with the name of one of ours"


def test_console() -> None:
    """For people: plain where possible, quoted where needed, colours only if wanted."""
    fields: dict[str, object] = {"peer": "192.0.2.1:5060", "why": 'a "b"', "ok": True, "n": None}
    line = console_renderer(colours=False)(0, "warning", "odd_thing", fields)
    assert line == (
        '1970-01-01T00:00:00.000Z warning odd_thing peer=192.0.2.1:5060 why="a \\"b\\"" ok=yes n=-'
    )
    assert "\x1b[" in console_renderer(colours=True)(0, "warning", "odd_thing", fields)
