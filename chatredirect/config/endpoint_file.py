"""An endpoint's own file: its name, its text, and changes that leave other lines as they are."""

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Keys
from dataclasses import dataclass
from typing import TypeAlias

from chatredirect.config.document import Document, Mapping, Value, read
from chatredirect.config.faults import quoted

Scalar: TypeAlias = str | int
KeyValue: TypeAlias = Scalar | list[str]

_EXAMPLE = "include: endpoints.d/*.yaml"
_MAX_NAME = 120  # characters of an address in a file's name; file systems have room for 255 octets
_UNSAFE = re.compile(r"[^a-z0-9@._+-]")
_CHANGED = "# Changed by "
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._@+-]*(?::[A-Za-z0-9._@+-]+)*|\d{4}-\d\d-\d\dT[0-9:.Z+-]+")
_LIST_END = re.compile(r"\]([ \t]*(?:#.*)?)$")
_LINE = re.compile(r"([A-Za-z_]+)([ \t]*:[ \t]*)(.*)")


class NoFolderError(Exception):
    """There is no folder for new endpoints; the text says what to write into which file."""


@dataclass(frozen=True, slots=True)
class IncludeFolder:
    """The folder that `include` names, and what names of files in it begin and end with."""

    path: str
    prefix: str
    suffix: str

    def names(self, keys: Iterable[bytes], taken: Iterable[str]) -> Iterator[str]:
        """A path for each endpoint, by its directory key; names of existing files are `taken`."""
        used = {name.lower() for name in taken}
        last: dict[str, int] = {}  # the last number of a stem that several addresses share
        for key in keys:
            text = key.decode("utf-8", "replace").lower()
            stem = _UNSAFE.sub("_", text)[:_MAX_NAME]
            if not self.prefix and stem.startswith("."):
                stem = f"_{stem[1:]}"  # a star doesn't take hidden files
            number = last.get(stem, 1)
            name = f"{self.prefix}{stem}{self.suffix}"
            while name.lower() in used:
                number += 1
                name = f"{self.prefix}{stem}-{number}{self.suffix}"
            last[stem] = number
            used.add(name.lower())
            yield os.path.join(self.path, name)


def include_folder(main: str, content: bytes) -> IncludeFolder:
    """The folder that `include` names in the valid `content` of the main file.

    Raises:
        NoFolderError: there is none.
    """
    pattern = read(content, main).value("include")
    if not isinstance(pattern, str) or not pattern:
        raise NoFolderError(
            f"{main} has no include, so there is no folder for endpoints of their own: add the "
            f"line {_EXAMPLE}"
        )
    folder, name = os.path.split(os.path.join(os.path.dirname(main), pattern))
    stars = re.sub(r"\*+", "*", name)
    prefix, star, suffix = stars.partition("*")
    if glob.has_magic(folder) or not star or glob.has_magic(prefix) or glob.has_magic(suffix):
        raise NoFolderError(
            f"{main}: include: {quoted(pattern)} doesn't name one folder and one pattern with a "
            f"star, so it isn't clear where a new endpoint's file goes: write {_EXAMPLE}, and move "
            "the files there"
        )
    if prefix.startswith("."):
        raise NoFolderError(
            f"{main}: include: {quoted(pattern)} reads hidden files, and such are used while "
            f"files are written: write {_EXAMPLE}"
        )
    return IncludeFolder(folder, prefix, suffix)


class NotEditableError(Exception):
    """The file is written in a way that only a person can change; the text says which."""


def text_of(keys: Keys[str, KeyValue], made: str) -> bytes:
    """A file for one endpoint; `made` says who made it when, in its first line."""
    lines = [f"# Made by {made}", *(f"{key}: {as_yaml(value)}" for key, value in keys.items())]
    return "\n".join([*lines, ""]).encode()


def as_yaml(value: KeyValue) -> str:
    """A value as YAML in one line; a list in brackets."""
    if isinstance(value, list):
        return f"[{', '.join(map(scalar, value))}]"
    return scalar(value)


def scalar(value: Scalar) -> str:
    """A value as YAML, quoted where the text would be read as something else."""
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and read(value.encode(), "").root == value:
        return value
    return "".join(
        each if each.isprintable() else f"\\U{ord(each):08x}"
        for each in json.dumps(value, ensure_ascii=False)
    )


def changed(content: bytes, file: str, changes: Keys[str, KeyValue | None], by: str) -> bytes:
    """The content of a file that holds one endpoint, with other values.

    Comments, order, and everything else stay. A comment line says who changed it last.

    Args:
        content: the file's, valid.
        file: its name.
        changes: new values by key; None removes a key.
        by: who changes it when.

    Raises:
        NotEditableError: it holds several endpoints, or a key isn't one plain line, or a list.
    """
    document = read(content, file)
    if not isinstance(document.root, Mapping) or "sip_address" not in document.root:
        raise NotEditableError("holds more than this endpoint")
    text = content.decode("utf-8-sig")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    places = _lines_of(document, document.root, lines)
    gone: set[int] = set()
    added: list[str] = []
    for key, value in changes.items():
        at = places.get(key)
        if at is None:
            added += [] if value is None else [f"{key}: {as_yaml(value)}"]
            continue
        old = document.root[key]
        if isinstance(old, list):
            more = _lines_of_list(lines, at, places.values())
            before, after = f"{key}: ", _comment_after_list(lines[at])
        else:
            more = range(0)
            before, after = _around_value(lines[at], old)
        if value is None:
            gone.update((at, *more))
        elif old != value:
            gone.update(more)
            lines[at] = f"{before}{as_yaml(value)}{after}"
    here = places["pool_fqdn"]  # whose value is one line, unlike a list's
    lines[here] = newline.join([lines[here], *added])
    kept = [line for index, line in enumerate(lines) if index not in gone]
    return newline.join([*_commented(kept, by), ""]).encode()


def _lines_of(document: Document, root: Mapping, lines: list[str]) -> dict[str, int]:
    """The line of each key, from 0; raises NotEditableError unless each begins its line."""
    places: dict[str, int] = {}
    for key in root:
        line, column = document.position((key,), of_key=True)
        found = _LINE.match(lines[line - 1])
        if column != 1 or found is None or found[1] != key:
            raise NotEditableError("isn't written with each key at the beginning of a line")
        places[key] = line - 1
    return places


def _lines_of_list(lines: list[str], at: int, places: Iterable[int]) -> range:
    """The lines of a list that begins at line `at`, without that one, and comments after it."""
    end = min((each for each in places if each > at), default=len(lines))
    while end - 1 > at and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return range(at + 1, end)


def _comment_after_list(line: str) -> str:
    found = _LIST_END.search(line)
    return "" if found is None else found[1]


def _around_value(line: str, value: Value) -> tuple[str, str]:
    """The text around a value in its line; raises NotEditableError unless it is on one line."""
    found = _LINE.fullmatch(line)
    assert found is not None  # it has been matched before
    rest = found[3]
    spellings = (
        ("null", "~", "")
        if value is None
        else (json.dumps(value, ensure_ascii=False), f"'{value}'", f"{value}")
    )
    for written in spellings:
        after = rest[len(written) :]
        if rest.startswith(written) and (not after.strip() or after.lstrip().startswith("#")):
            return f"{found[1]}{found[2]}", after
    raise NotEditableError(f"has the value of {found[1]} written in an unusual way")


def _commented(lines: list[str], by: str) -> list[str]:
    """The lines with a new comment of who changed them, in place of the old one."""
    rest = [line for line in lines if not line.startswith(_CHANGED)]
    comments = next((i for i, line in enumerate(rest) if not line.startswith("#")), len(rest))
    return [*rest[:comments], f"{_CHANGED}{by}", *rest[comments:]]
