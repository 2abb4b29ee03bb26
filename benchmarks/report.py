"""Samples, their medians and ratios, and how they are shown."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Sample:
    """One server under one load in one round."""

    transport: str
    server: str
    round: int
    microseconds: float
    """CPU per request, of all the server's processes."""
    per_second: float
    """Requests answered in a second of wall time."""
    lost: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the greatest value."""

    median: float
    least: float
    greatest: float

    def __format__(self, spec: str) -> str:
        """Median and range, each formatted with `spec`."""
        return f"{self.median:{spec}} ({self.least:{spec}} to {self.greatest:{spec}})"


@dataclass(frozen=True, slots=True)
class Row:
    """A server over one transport, all rounds together."""

    transport: str
    server: str
    microseconds: Spread
    per_second: Spread
    ratio: Spread | None
    """CPU over that of the server it is compared with in the same round; None for itself."""
    lost: int
    wrong: int


def spread(values: Sequence[float]) -> Spread:
    """The median and range of `values`, at least one."""
    return Spread(median(values), min(values), max(values))


def summarize(samples: Sequence[Sample], baseline: dict[str, str]) -> list[Row]:
    """One row for each transport and server, in order of appearance.

    `baseline` names for each server the one that it is compared with.
    """
    rows = []
    for transport, server in dict.fromkeys((s.transport, s.server) for s in samples):
        own = [s for s in samples if (s.transport, s.server) == (transport, server)]
        base = {
            s.round: s.microseconds
            for s in samples
            if (s.transport, s.server) == (transport, baseline.get(server))
        }
        ratios = [s.microseconds / base[s.round] for s in own if s.round in base]
        rows.append(
            Row(
                transport,
                server,
                spread([s.microseconds for s in own]),
                spread([s.per_second for s in own]),
                spread(ratios) if ratios else None,
                sum(s.lost for s in own),
                sum(s.wrong for s in own),
            )
        )
    return rows


def print_about(about: Mapping[str, str]) -> None:
    """Print what was measured, and where: a line for each name."""
    for name, value in about.items():
        print(f"{name + ':':14}{value}")


def print_rows(rows: Sequence[Row], baseline: dict[str, str], markdown: bool = False) -> None:
    """The table: medians over the rounds, least and greatest in brackets."""
    print_table(
        ("", "server", "CPU µs/request", "requests/s", "ratio", "", "lost", "wrong"),
        [
            (
                row.transport.upper(),
                row.server,
                f"{row.microseconds:.1f}",
                f"{row.per_second.median:,.0f}",
                f"{row.ratio:.2f}" if row.ratio else "1",
                f"of {baseline[row.server]}" if row.ratio else "",
                str(row.lost),
                str(row.wrong),
            )
            for row in rows
        ],
        markdown,
    )


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False
) -> None:
    """Print rows for a terminal, or in Markdown for a document; what has a digit stands right."""
    right = [all(_is_figure(row[i]) for row in rows) for i in range(len(headings))]
    if markdown:
        rule = ["---:" if each else "---" for each in right]
        for row in (headings, rule, *rows):
            print(f"| {' | '.join(row)} |")
        return
    table = Table()
    for heading, figures in zip(headings, right, strict=True):
        table.add_column(heading, justify="right" if figures else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _is_figure(text: str) -> bool:
    return text[:1].isdigit()


def environment() -> dict[str, str]:
    """The machine and the interpreter, for the record."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} at {os.path.realpath(sys.executable)}",
    }


def as_json(rows: Sequence[Row], samples: Sequence[Sample], about: dict[str, str]) -> object:
    """Everything that was measured, in plain containers."""
    return {
        "about": about,
        "rows": [asdict(row) for row in rows],
        "samples": [asdict(sample) for sample in samples],
    }
