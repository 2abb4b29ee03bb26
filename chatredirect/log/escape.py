"""Escapes values: whatever a peer sent, a log line stays one line of printable text.

Values are escaped before they are rendered: JSON would have an ESC as `\\u001b`, and a tool that
decodes it would send it to a terminal. So every character that isn't printable (`str.isprintable`)
becomes a visible escape: C0, C1, DEL, line and paragraph separators, bidirectional controls, lone
surrogates. Values and whole events are truncated.
"""

import math
from collections.abc import Collection, Mapping, Set
from itertools import islice
from typing import TypeAlias

MAX_TEXT = 512
"""Characters of one value."""
MAX_EVENT = 8192
"""Characters of all values of an event together."""
_MAX_ITEMS = 64
_MAX_DEPTH = 4
_ITEM = 8  # characters that an item of a list or mapping counts for, besides its text
_CUT = "…"
MAX_LINE = 2048
"""Octets of one value or line that are shown on a terminal."""

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"


def escape(text: str) -> str:
    """`text` with a backslash escape for every character that isn't printable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(octets: bytes) -> str:
    """A peer's octets as one line of printable text for a terminal, cut at `MAX_LINE`."""
    cut = "..." if len(octets) > MAX_LINE else ""
    return escape(octets[:MAX_LINE].decode("utf-8", "backslashreplace")) + cut


class Cleaner:
    """Escapes the values of one event, and counts their characters."""

    __slots__ = ("_left",)

    def __init__(self, limit: int = MAX_EVENT) -> None:
        """Allow the event `limit` characters."""
        self._left = limit

    def text(self, text: str) -> str:
        """`text` escaped, and truncated at its own or the event's limit."""
        limit = min(MAX_TEXT, self._left)
        cut = text[: limit + 1]  # before escaping: a megabyte would take its time
        clean = escape(cut)
        if len(clean) > limit:
            clean = clean[: max(limit - 1, 0)] + _CUT
        self._left -= len(clean)
        return clean

    def value(self, value: object, depth: int = 0) -> Plain:
        """`value` as a JSON type: text, number, boolean, null, list or mapping."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**64 else self.text(hex(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value[: MAX_TEXT + 1]).decode("utf-8", "backslashreplace"))
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {_text_of(value)}")
        if depth < _MAX_DEPTH:
            if isinstance(value, Mapping):
                return self._mapping(value, depth)
            if isinstance(value, list | tuple | Set):
                return self._list(value, depth)
        return self.text(_text_of(value))

    def _mapping(self, value: Mapping[object, object], depth: int) -> dict[str, Plain]:
        made: dict[str, Plain] = {}
        for key, item in islice(value.items(), _MAX_ITEMS):
            if self._left <= 0:
                break
            self._left -= _ITEM
            made[self.text(_text_of(key))] = self.value(item, depth + 1)
        return made

    def _list(self, value: Collection[object], depth: int) -> list[Plain]:
        made: list[Plain] = []
        for item in islice(value, _MAX_ITEMS):
            if self._left <= 0:
                break
            self._left -= _ITEM
            made.append(self.value(item, depth + 1))
        return [*made, _CUT] if len(value) > len(made) else made


def _text_of(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception as error:  # the line is written whatever __str__ raises
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"
