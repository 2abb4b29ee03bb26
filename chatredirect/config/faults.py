"""Faults of a configuration: one sentence each, with its place and what to write instead.

Reading goes on after a fault wherever it can, so that one run of `chatredirect check` shows all.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

_QUOTED_LIMIT = 80
_LONGEST_WORD = 100  # that is compared with others: the time grows with the square


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, or a warning. `line` and `column` count from 1; 0 means none."""

    file: str
    line: int
    column: int
    message: str

    def __post_init__(self) -> None:
        """Make the message printable, whatever the file contains that it quotes."""
        object.__setattr__(self, "message", printable(self.message))

    @property
    def location(self) -> str:
        """`file:line:column` as compilers write it, without the parts that aren't known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        """The place and the message."""
        return f"{self.location}: {self.message}"


class ConfigError(Exception):
    """The configuration can't be used. `faults` has every reason, sorted by file and line."""

    exit_status = os.EX_CONFIG

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Write one line for each fault."""
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def quoted(value: object) -> str:
    """`value` in double quotes for a message: one line, printable, cut at 80 characters."""
    text = str(value)
    if len(text) > _QUOTED_LIMIT:
        text = text[: _QUOTED_LIMIT - 1] + "…"
    return f'"{printable(text)}"'


def printable(text: str) -> str:
    """`text` with escapes for what isn't printable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` where a known word is near to `word`, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a faulty file needs it

    by_lower = {each.lower(): each for each in known}
    if len(word) > _LONGEST_WORD:
        return ""
    lower = word.strip().lower()
    for text in (lower, lower.replace("-", "_")):
        near = get_close_matches(text, by_lower, n=1, cutoff=0.6)
        if near:
            return f' (did you mean "{by_lower[near[0]]}"?)'
    return ""
