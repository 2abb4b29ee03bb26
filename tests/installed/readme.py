"""The commands that README.md shows, so that a test can run every one of them.

A fenced block marked ``sh`` holds commands, one a line; in one marked ``console`` a command follows
``$ `` and what it prints comes below it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Command:
    """A command, the README's section it stands in, and the output shown below it."""

    section: str
    line: str
    output: tuple[str, ...] = ()


def commands(text: str | None = None) -> list[Command]:
    """All commands of the README, in order."""
    if text is None:
        text = (ROOT / "README.md").read_text(encoding="utf-8")
    found: list[Command] = []
    section = ""
    for part in re.split(r"(?m)^(```\w*\n.*?^```$)", text, flags=re.DOTALL):
        if not part.startswith("```"):
            for heading in re.findall(r"(?m)^#+ (.+)$", part):
                section = heading
            continue
        language, *lines = part.removeprefix("```").splitlines()[:-1]
        if language == "sh":
            found += [Command(section, line) for line in lines if line.strip()]
        elif language == "console":
            found += _session(section, lines)
    return found


def _session(section: str, lines: list[str]) -> list[Command]:
    found: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Command(section, line.removeprefix("$ ")))
        elif found:
            last = found.pop()
            found.append(Command(section, last.line, (*last.output, line)))
    return found
