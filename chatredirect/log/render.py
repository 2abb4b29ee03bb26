"""Renders an event as one line: JSON, or a format for people at a terminal."""

import json
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from chatredirect.log.escape import Cleaner, Plain

Renderer: TypeAlias = Callable[[float, str, str, Mapping[str, object]], str]
"""(seconds since the epoch, level, event, fields) → a line without its end."""

_PLAIN = frozenset(" \"'=")
_LEVEL_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "1;31"}
_OWN_KEYS = frozenset(("timestamp", "level", "event"))


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@lru_cache(maxsize=1)  # it changes once a second
def _date_and_time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _timestamp(now: float) -> str:
    """`2026-11-22T05:01:02.345Z` for seconds since the epoch."""
    second = int(now)
    return f"{_date_and_time(second)}.{int((now - second) * 1000):03d}Z"


def cleaned(event: str, fields: Mapping[str, object]) -> tuple[str, dict[str, Plain]]:
    """An event's name and fields, escaped and bounded; no field has a reserved name."""
    cleaner = Cleaner()
    clean: dict[str, Plain] = {}
    for key, value in fields.items():
        name = cleaner.text(key)
        clean[f"{name}_" if name in _OWN_KEYS else name] = cleaner.value(value)
    return Cleaner().text(event), clean


def render_json(now: float, level: str, event: str, fields: Mapping[str, object]) -> str:
    """One JSON object a line: `timestamp`, `level`, `event`, then the fields."""
    name, clean = cleaned(event, fields)
    return _encode({"timestamp": _timestamp(now), "level": level, "event": name, **clean})


def console_renderer(*, colours: bool) -> Renderer:
    """`TIMESTAMP level event key=value …`; text is quoted if necessary."""

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours else text

    def render(now: float, level: str, event: str, fields: Mapping[str, object]) -> str:
        name, clean = cleaned(event, fields)
        parts = [
            paint("2", _timestamp(now)),
            paint(_LEVEL_COLOURS.get(level, "0"), f"{level:<7}"),
            paint("1", name),
        ]
        for key, value in clean.items():
            parts.append(f"{paint('36', key)}={shown(value)}")
        return " ".join(parts)

    return render


def shown(value: Plain) -> str:
    """A value for people."""
    match value:
        case str():
            if value and _PLAIN.isdisjoint(value):
                return value
            return '"' + value.replace('"', '\\"') + '"'
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return "[" + ", ".join(shown(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return str(value)
