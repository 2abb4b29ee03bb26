"""An endpoint's own file: written anew, or changed line by line so that the rest stays as it is."""

import json
import re
from collections.abc import Mapping as Keys
from typing import TypeAlias

from chatredirect.config.document import Document, Mapping, Value, read

Scalar: TypeAlias = str | int
Changes: TypeAlias = Keys[str, Scalar | None]
"""Values by key; None takes a key away."""

CHANGED = "# Changed by "
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._@+-]*(?::[A-Za-z0-9._@+-]+)*|\d{4}-\d\d-\d\dT[0-9:.Z+-]+")
_LINE = re.compile(r"([A-Za-z_]+)([ \t]*:[ \t]*)(.*)")


class NotEditableError(Exception):
    """The file is written in a way that only a person can change; the text says which."""


def text_of(keys: Keys[str, Scalar], made: str) -> bytes:
    """A file for one endpoint.

    Args:
        keys: the endpoint's, in order.
        made: who made it when, for its first line.
    """
    lines = [f"# Made by {made}", *(f"{key}: {scalar(value)}" for key, value in keys.items())]
    return "\n".join([*lines, ""]).encode()


def scalar(value: Scalar) -> str:
    """A value as YAML that is read as this value, and as text if it is text."""
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and read(value.encode(), "").root == value:
        return value
    return "".join(
        each if each.isprintable() else f"\\U{ord(each):08x}"
        for each in json.dumps(value, ensure_ascii=False)
    )


def changed(content: bytes, file: str, changes: Changes, by: str) -> bytes:
    """The content of a file that holds one endpoint, with other values.

    Comments, order, and everything else stay. A comment line says who changed it last.

    Args:
        content: what is in the file, known to be right.
        file: its name.
        changes: the values that are to be different.
        by: who changes it when.

    Raises:
        NotEditableError: it holds several endpoints, or a key isn't one plain line.
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
            added += [] if value is None else [f"{key}: {scalar(value)}"]
            continue
        before, after = _around_value(lines[at], document.root[key])
        if value is None:
            gone.add(at)
        elif document.root[key] != value:
            lines[at] = f"{before}{scalar(value)}{after}"
    here = places["pool_fqdn"]  # whose value is one line, unlike a list's
    lines[here] = newline.join([lines[here], *added])
    kept = [line for index, line in enumerate(lines) if index not in gone]
    return newline.join([*_commented(kept, by), ""]).encode()


def _lines_of(document: Document, root: Mapping, lines: list[str]) -> dict[str, int]:
    """The line of each key, from 0.

    Raises:
        NotEditableError: the mapping isn't a block with its keys at the lines' beginnings.
    """
    places: dict[str, int] = {}
    for key in root:
        line, column = document.position((key,), of_key=True)
        found = _LINE.match(lines[line - 1])
        if column != 1 or found is None or found[1] != key:
            raise NotEditableError("isn't written with each key at the beginning of a line")
        places[key] = line - 1
    return places


def _around_value(line: str, value: Value) -> tuple[str, str]:
    """What is before and behind a value in its line.

    Raises:
        NotEditableError: the value isn't one word, or quoted text, within the line.
    """
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
    """The lines with a comment of who changed them, instead of the one before."""
    rest = [line for line in lines if not line.startswith(CHANGED)]
    comments = next((i for i, line in enumerate(rest) if not line.startswith("#")), len(rest))
    return [*rest[:comments], f"{CHANGED}{by}", *rest[comments:]]
