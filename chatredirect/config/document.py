"""A YAML file as plain values, with the position of every value.

The file is read as a stream of parser events, not composed into nodes: with libyaml that is ten
times quicker, and all places fit in one array of integers. Only the plain part of YAML is
understood: mappings with text keys, sequences and scalars, one document a file. Scalars are text,
whole numbers, numbers, yes/no, or nothing; dates, octals and base-60 numbers, which YAML 1.1 finds
in innocent text, stay text.
"""

import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from chatredirect.config.faults import Fault, quoted
from chatredirect.config.yaml_syntax import line_and_column, reader_fault, syntax_fault

MAX_FILE = 256 * 1024 * 1024
"""Octets of one file; 100,000 endpoints are about 12 MB."""
MAX_DEPTH = 32
"""Mappings and sequences inside each other; the configuration's own depth is 4."""
MAX_ALIASED = 10_000
"""Values that aliases may repeat in one file, so that a few lines can't grow into gigabytes."""

Key: TypeAlias = str | int
Path: TypeAlias = tuple[Key, ...]
Value: TypeAlias = "str | int | float | bool | Mapping | Sequence | None"


class Mapping(dict[str, Value]):
    """A YAML mapping. `at` is where its places begin in the document's `places`."""

    __slots__ = ("_order", "at")
    at: int

    def index_of(self, key: str) -> int:
        """A key's number, from 0, in the order of the file; counted once for all keys."""
        order: dict[str, int] | None = getattr(self, "_order", None)
        if order is None:
            order = self._order = {each: number for number, each in enumerate(self)}
        return order[key]


class Sequence(list[Value]):
    """A YAML sequence. `at` is where its places begin in the document's `places`."""

    __slots__ = ("at",)
    at: int


@dataclass(slots=True)
class Document:
    """One file: its `root` value and the faults of its YAML, which `position` and `fault` locate.

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
        """Line and column, from 1, of the value at `path` or of its key.

        Where there is no such value, the nearest one around it answers.
        """
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

    After a fault of syntax `root` is None, for nothing after it can be trusted.
    """
    document = Document(file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = line_and_column(data.decode("latin-1"), error.start)
        message = f"not UTF-8 text (byte 0x{data[error.start]:02x})"
        document.faults.append(Fault(file, line, column, message))
        return document
    try:
        _Builder(document).build(_events(text))
    except yaml.MarkedYAMLError as error:
        document.faults.append(syntax_fault(error, text, file))
        document.root = None
    except yaml.reader.ReaderError as error:
        document.faults.append(reader_fault(error, text, file))
        document.root = None
    except _TooMuchError as error:
        document.faults.append(_at(file, error.event, str(error)))
        document.root = None
    return document


def _events(text: str) -> Iterator[Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml
    return yaml.parse(text, Loader=loader)


class _TooMuchError(Exception):
    """The document exceeds a limit that guards against attacks; reading stops."""

    def __init__(self, event: Event, message: str) -> None:
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

    def build(self, events: Iterator[Event]) -> None:
        for event in events:
            match event:
                case ScalarEvent():
                    self._scalar(event)
                case MappingStartEvent():
                    self._open(event, Mapping())
                case SequenceStartEvent():
                    self._open(event, Sequence())
                case MappingEndEvent() | SequenceEndEvent():
                    self._close()
                case AliasEvent():
                    self._alias(event)
                case DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        self._fault(event, "a second YAML document begins here: one a file is read")
                        return

    def _fault(self, event: Event, message: str) -> None:
        self._document.faults.append(_at(self._document.file, event, message))

    def _scalar(self, event: ScalarEvent) -> None:
        text = event.value
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and isinstance(top.node, Mapping):
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

    def _key(self, event: ScalarEvent, top: _Open, text: str) -> None:
        if text == "<<" and event.implicit[0]:
            self._fault(event, "merge keys (<<) aren't understood: write the keys out")
            top.skip = True
        elif text in top.node:
            line, _ = _unpacked(top.places[2 * list(top.node).index(text)])
            self._fault(event, f"key {quoted(text)} given twice; first in line {line}")
            top.skip = True
        top.key = sys.intern(text)
        top.key_place = _packed(event)

    def _tag_fault(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
        tag = quoted(event.tag)
        self._fault(event, f"tags aren't understood ({tag}); to make a value text, quote it")

    def _open(
        self, event: MappingStartEvent | SequenceStartEvent, node: Mapping | Sequence
    ) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _TooMuchError(event, f"more than {MAX_DEPTH} levels inside each other")
        if event.tag is not None and not event.implicit:
            self._tag_fault(event)
        if self._stack:
            top = self._stack[-1]
            if top.key is None and isinstance(top.node, Mapping):
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

    def _alias(self, event: AliasEvent) -> None:
        value, size = self._anchors.get(event.anchor or "", (None, 0))
        if not size:
            self._fault(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        self._count += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _TooMuchError(event, f"aliases repeat more than {MAX_ALIASED} values")
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and isinstance(top.node, Mapping):
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


def _packed(event: Event) -> int:
    mark = event.start_mark
    return (mark.line << 20) | min(mark.column, 0xFFFFF) if mark is not None else 0


def _unpacked(place: int) -> tuple[int, int]:
    return (place >> 20) + 1, (place & 0xFFFFF) + 1


def _at(file: str, event: Event, message: str) -> Fault:
    return Fault(file, *_unpacked(_packed(event)), message)
