"""Lengths of time on the command line: `90`, `90s`, `5m`, `2h`."""

import re

import typer

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")


def seconds(text: str) -> float:
    """A length of time in seconds.

    Raises:
        typer.BadParameter: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no length of time: 90s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]
