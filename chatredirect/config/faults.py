"""What is wrong with a configuration, in words that help a person to mend it.

A fault is one sentence with a place. Reading goes on after a fault wherever it can, so that one run
of `chatredirect check` shows everything; only the whole list is ever raised.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

_QUOTED_LIMIT = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or doubtful. `line` and `column` count from 1; 0 means none."""

    file: str
    line: int
    column: int
    message: str

    def __post_init__(self) -> None:
        """A message that quotes a file is printable, whatever the file contains."""
        object.__setattr__(self, "message", printable(self.message))

    @property
    def location(self) -> str:
        """`file:line:column` as compilers write it, without the parts that aren't known."""
        if not self.line:
            return self.file
        return (
            f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"
        )

    def __str__(self) -> str:
        """The place and what is wrong there."""
        return f"{self.location}: {self.message}"


class ConfigError(Exception):
    """The configuration can't be used. `faults` has every reason, sorted by file and line."""

    exit_status = os.EX_CONFIG

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep the faults; the exception's text is one line for each."""
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

    near = get_close_matches(word.lower().replace("-", "_"), list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""
