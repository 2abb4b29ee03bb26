"""Pages of docs/ as stories: files to write and commands to run, in the order in which they stand.

A fenced block says what it is:
    console           commands after `$ `, and below each what it prints; `…` stands for any lines,
                      at the end of one for its rest
    console status=1  the same, for commands that end with another status than 0
    console after=X   the same, after what happens meanwhile elsewhere; who runs the page does X
    console on=X      the same, on one machine of several
    LANGUAGE /a/file  a file; the text says so too
Whatever differs from run to run is left out of the comparison: times, dates, a client's port.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.installed.readme import ROOT

_FENCE = re.compile(r"(?ms)^```([^\n]*)\n(.*?)^```$")


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page shows."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command, its status, and what it prints; what happens before it, if anything.

    `on` is the machine, on a page about several.
    """

    line: str
    status: int
    output: tuple[str, ...]
    after: str = ""
    on: str = ""


def story(page: str) -> Iterator[File | Step]:
    """What a page in docs/ tells to do."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for information, block in _FENCE.findall(text):
        language, _, more = information.partition(" ")
        if more.startswith("/"):
            yield File(more, block)
        elif language == "console":
            said = dict(word.split("=", 1) for word in more.split())
            assert said.keys() <= {"status", "after", "on"}, information
            for part in re.split(r"(?m)^\$ ", block)[1:]:
                line, *output = re.sub(r"\\\n\s*", "", part).splitlines()
                after = said.pop("after", "")
                status, on = int(said.get("status", 0)), said.get("on", "")
                yield Step(line, status, tuple(output), after, on)


def alike(shown: list[str], printed: list[str]) -> bool:
    """Whether what a page shows is what was printed."""
    return re.fullmatch(_pattern(shown), _stable(printed)) is not None


def _pattern(shown: list[str]) -> str:
    lines = _stable(shown).splitlines(keepends=True)
    return "".join(
        "(?:.*\n)*?" if line == "…\n" else re.escape(line).replace("…", ".*") for line in lines
    )


def _stable(lines: list[str]) -> str:
    text = "".join(f"{line.rstrip()}\n" for line in lines).strip("\n") + "\n"
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( UTC)?", "DATE", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", "DATE", text)
    text = re.sub(r"(?m)(?<![\d-])\d{4}-\d\d-\d\d(?=,| to |  |$)", "DATE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d  in \d+ days", "DATE", text)
    text = re.sub(r"(?m)^ *\d+\.\d ms ", "TIME ", text)
    text = re.sub(r" *\b\d+(\.\d+)? m?s\b", " TIME", text)
    text = re.sub(r"python3 3\.\d+\.\d+$", "python3 VERSION", text, flags=re.MULTILINE)
    text = re.sub(r"\d\d:\d\d:\d\d\.\d{3} [+-]\d\d:\d\d", "TIME", text)
    return re.sub(r"(192\.0\.2\.\d+|127\.0\.0\.1):\d{5}\b *", r"\1:PORT ", text)


def commands_in(path: Path) -> Iterator[str]:
    """Every command of ours that a page names, in blocks and in the text."""
    text = path.read_text(encoding="utf-8")
    for _, block in _FENCE.findall(text):
        whole = re.sub(r"\\?\n +(?=[\[-])", " ", block)  # usage goes on where it is indented
        yield from re.findall(r"(?m)(?:^|[$|] |bin/| -n 1 )(chatredirect [a-z-]+\b.*)", whole)
    yield from re.findall(r"`(chatredirect [a-z][^`]*)`", _FENCE.sub("", text))
