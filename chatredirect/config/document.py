"""A YAML file as plain values, with the position of every value.

The file is read as a stream of parser events, not composed into nodes: with libyaml that is ten
times quicker, and all positions fit in one array of integers. Only a part of YAML is understood:
one document of mappings with text keys, sequences and scalars. Scalars are text, whole numbers,
numbers, yes/no, or nothing; dates, octals and base-60 numbers stay text.
"""

import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from chatredirect.config.faults import Fault, quoted

MAX_FILE = 256 * 1024 * 1024  # octets; 100,000 endpoints are about 12 MB
_MAX_DEPTH = 32  # nested mappings and sequences; the configuration's own depth is 4
_MAX_ALIASED = 10_000  # values that aliases may repeat: a few lines can't grow into gigabytes

#: PyYAML may be built without libyaml.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Key: TypeAlias = str | int
Path: TypeAlias = tuple[Key, ...]
Value: TypeAlias = "str | int | float | bool | Mapping | Sequence | None"


class Mapping(dict[str, Value]):
    """A YAML mapping. `at` is where its positions begin in the document's `places`."""

    __slots__ = ("_order", "at")
    at: int

    def index_of(self, key: str) -> int:
        """A key's number, from 0, in the order of the file."""
        order: dict[str, int] | None = getattr(self, "_order", None)
        if order is None:
            order = self._order = {each: number for number, each in enumerate(self)}
        return order[key]


class Sequence(list[Value]):
    """A YAML sequence. `at` is where its positions begin in the document's `places`."""

    __slots__ = ("at",)
    at: int


@dataclass(slots=True)
class Document:
    """One file: its `root` value, and the faults of its YAML.

    `hints` is how many more unknown keys are compared with those that are known.
    """

    file: str
    root: Value = None
    faults: list[Fault] = field(default_factory=list)
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    hints: int = 50

    def value(self, *path: str) -> Value:
        """The value at a path of keys; None if there is none."""
        node = self.root
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def position(self, path: Path, *, of_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at `path` or its key; else of one around it."""
        node, found = self.root, 0
        if isinstance(node, Mapping | Sequence):
            found = self.places[node.at]
        for step, key in enumerate(path):
            if isinstance(node, Mapping) and key in node:
                index = 1 + 2 * node.index_of(str(key))
                last = step == len(path) - 1
                found = self.places[node.at + index + (0 if last and of_key else 1)]
                node = node[str(key)]
            elif isinstance(node, Sequence) and isinstance(key, int) and key < len(node):
                found = self.places[node.at + 1 + key]
                node = node[key]
            else:
                break
        return _unpacked(found)

    def fault(self, path: Path, message: str, *, of_key: bool = False) -> Fault:
        """A fault at the value (or key) at `path`."""
        return Fault(self.file, *self.position(path, of_key=of_key), message)


def read(data: bytes, file: str) -> Document:
    """Parse `data`, the content of `file`. Never raises: the document's `faults` say what is wrong.

    After a fault of syntax `root` is None.
    """
    document = Document(file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(data.decode("latin-1"), error.start)
        message = f"not UTF-8 text (byte 0x{data[error.start]:02x})"
        document.faults.append(Fault(file, line, column, message))
        return document
    try:
        _Builder(document).build(yaml.parse(text, Loader=LOADER))
        return document
    except yaml.MarkedYAMLError as error:
        fault = _syntax_fault(error, text, file)
    except yaml.reader.ReaderError as error:
        fault = _reader_fault(error, text, file)
    except _TooMuchError as error:
        fault = _at(file, error.event, str(error))
    document.faults.append(fault)
    document.root = None
    return document


class _TooMuchError(Exception):
    """The document exceeds a limit; reading stops."""

    def __init__(self, event: yaml.Event, message: str) -> None:
        self.event = event
        super().__init__(message)


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is being filled."""

    node: Mapping | Sequence
    places: list[int]
    place: int
    anchor: str | None
    first_count: int
    key: str | None = None
    key_place: int = 0
    skip: bool = False  # the value to come belongs to a key that was refused
    refused: bool = False  # a mapping or sequence where a key should be


class _Builder:
    """Makes values of events. Faults that leave the rest readable are collected, not raised."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._count = 0  # values so far, repeated ones included
        self._aliased = 0
        self._documents = 0

    def build(self, events: Iterator[yaml.Event]) -> None:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent():
                    self._open(event, Mapping())
                case yaml.SequenceStartEvent():
                    self._open(event, Sequence())
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        self._fault(event, "a second YAML document begins here: one a file is read")
                        return

    def _fault(self, event: yaml.Event, message: str) -> None:
        self._document.faults.append(_at(self._document.file, event, message))

    def _mapping_without_key(self) -> _Open | None:
        """The mapping whose next event is a key."""
        top = self._stack[-1] if self._stack else None
        keyless = top is not None and top.key is None and isinstance(top.node, Mapping)
        return top if keyless else None

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        top = self._mapping_without_key()
        if top is not None:
            self._key(event, top, text)
            return
        plain = event.implicit[0]
        if event.tag is not None and not plain:
            self._tag_fault(event)
        self._count += 1
        value: Value = _resolve(text) if plain else text
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, _packed(event))

    def _key(self, event: yaml.ScalarEvent, top: _Open, text: str) -> None:
        if text == "<<" and event.implicit[0]:
            self._fault(event, "merge keys (<<) aren't understood: write the keys out")
            top.skip = True
        elif text in top.node:
            line, _ = _unpacked(top.places[2 * list(top.node).index(text)])
            self._fault(event, f"key {quoted(text)} given twice; first in line {line}")
            top.skip = True
        top.key = sys.intern(text)
        top.key_place = _packed(event)

    def _tag_fault(
        self, event: yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent
    ) -> None:
        tag = quoted(event.tag)
        self._fault(event, f"tags aren't understood ({tag}); to make a value text, quote it")

    def _open(
        self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, node: Mapping | Sequence
    ) -> None:
        if len(self._stack) >= _MAX_DEPTH:
            raise _TooMuchError(event, f"more than {_MAX_DEPTH} levels inside each other")
        if event.tag is not None and not event.implicit:
            self._tag_fault(event)
        top = self._mapping_without_key()
        if top is not None:
            self._fault(event, "a key must be text")
            top.key, top.skip = "", True
            self._stack.append(_Open(node, [], _packed(event), None, self._count, refused=True))
            return
        self._stack.append(_Open(node, [], _packed(event), event.anchor, self._count))
        self._count += 1

    def _close(self) -> None:
        closed = self._stack.pop()
        places = self._document.places
        closed.node.at = len(places)
        places.append(closed.place)
        places.extend(closed.places)
        if closed.refused:
            return
        if closed.anchor is not None:
            self._anchors[closed.anchor] = (closed.node, self._count - closed.first_count)
        self._put(closed.node, closed.place)

    def _alias(self, event: yaml.AliasEvent) -> None:
        value, size = self._anchors.get(event.anchor or "", (None, 0))
        if not size:
            self._fault(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        self._count += size
        self._aliased += size
        if self._aliased > _MAX_ALIASED:
            raise _TooMuchError(event, f"aliases repeat more than {_MAX_ALIASED} values")
        top = self._mapping_without_key()
        if top is not None:
            self._fault(event, "a key must be text, not an alias")
            top.key, top.skip = "", True
            return
        self._put(value, _packed(event))

    def _put(self, value: Value, place: int) -> None:
        if not self._stack:
            self._document.root = value
            return
        top = self._stack[-1]
        node = top.node
        if isinstance(node, Sequence):
            node.append(value)
            top.places.append(place)
            return
        if not top.skip and top.key is not None:
            node[top.key] = value
            top.places += (top.key_place, place)
        top.key, top.skip = None, False


def _spellings(value: Value, *words: str) -> dict[str, Value]:
    return {form: value for word in words for form in (word, word.capitalize(), word.upper())}


_KEYWORDS: dict[str, Value] = {
    **_spellings(True, "true", "yes", "on"),
    **_spellings(False, "false", "no", "off"),
    **_spellings(None, "null", "~", ""),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,30})")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})?\.[0-9]{1,30}(?:[eE][-+]?[0-9]{1,3})?")


def _resolve(text: str) -> Value:
    """The value that plain (unquoted) `text` stands for."""
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text[0] in "+-.0123456789":
        if _INTEGER.fullmatch(text):
            return int(text.replace("_", ""))
        if _NUMBER.fullmatch(text):
            return float(text)
    return text


def _packed(event: yaml.Event) -> int:
    mark = event.start_mark
    return (mark.line << 20) | min(mark.column, 0xFFFFF) if mark is not None else 0


def _unpacked(place: int) -> tuple[int, int]:
    return (place >> 20) + 1, (place & 0xFFFFF) + 1


def _at(file: str, event: yaml.Event, message: str) -> Fault:
    return Fault(file, *_unpacked(_packed(event)), message)


def _line_and_column(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _syntax_fault(error: yaml.MarkedYAMLError, text: str, file: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    what = ", ".join(part for part in (error.context, error.problem) if part) or "not YAML"
    if mark is None:
        return Fault(file, 0, 0, f"not valid YAML: {what}")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    return Fault(file, mark.line + 1, mark.column + 1, f"not valid YAML: {what}{_hint(line)}")


def _hint(line: str) -> str:
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "; indent with spaces, not with tabs"
    if "::" in line or re.search(r"\[[^\]\s]*\]:\d", line):
        return '; quote what has an IPv6 address in it: "tls://[::1]:5061"'
    if line.count(": ") > 1:
        return "; quote a value that has a colon and a space in it"
    if re.search(r"[:-]\s+[@%`*&!|>]", line):
        return "; quote a value that begins with a special character"
    return ""


def _reader_fault(error: yaml.reader.ReaderError, text: str, file: str) -> Fault:
    for index, char in enumerate(text):  # libyaml counts octets, PyYAML characters: look ourselves
        if (char < " " and char not in "\t\r\n") or "\x7f" <= char < "\xa0" or char >= "\ufffe":
            line, column = _line_and_column(text, index)
            return Fault(file, line, column, f"not valid YAML: control character U+{ord(char):04X}")
    return Fault(file, 0, 0, f"not valid YAML: {error.reason}")
