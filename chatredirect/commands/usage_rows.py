"""The rows of `chatredirect usage` as CSV, and as a table for people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatredirect.usage.grouping import UsageRow


def csv_of(rows: list[dict[str, object]], by: str) -> str:
    """CSV (RFC 4180) with a header line."""
    import csv
    import io

    text = io.StringIO()
    # a CR would be shown as an escape, as all that could steer a terminal
    columns = list(rows[0]) if rows else [by, "uses", "strangers"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:  # a spreadsheet must not take a name for a formula
        name = str(row[by])
        writer.writerow({**row, by: f"'{name}" if name[:1] in "=+-@\t" else name})
    return text.getvalue().rstrip("\n")


def table(rows: "Sequence[UsageRow]", by: str, *, bars: bool) -> str:
    """Lines for people, with a bar behind each if that is wanted."""
    from chatredirect.usage.grouping import written_time

    columns: list[tuple[str, Callable[[UsageRow], str]]] = [
        (by, lambda row: row.name),
        ("uses", lambda row: f"{row.uses:,}"),
        ("strangers", lambda row: f"{row.strangers:,}"),
    ]
    if rows[0].last is not None:
        columns += [("last", lambda row: written_time(row.last or 0.0))]
        if by != "caller":
            columns.insert(3, ("callers", lambda row: f"{row.callers:,}"))
    cells = [[title for title, _ in columns], *([cell(row) for _, cell in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [f"{line[0]:<{widths[0]}}"]
        padded += [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(padded).rstrip())
    if bars:
        lines = [lines[0], *_with_bars(lines[1:], rows)]
    return "\n".join(lines)


def _with_bars(lines: list[str], rows: "Sequence[UsageRow]") -> list[str]:
    import shutil

    room = shutil.get_terminal_size().columns - max(map(len, lines)) - 3
    most = max(row.uses + row.strangers for row in rows)
    if room < 5 or not most:
        return lines
    width = max(map(len, lines))
    lengths = [round(min(room, 40) * (row.uses + row.strangers) / most) for row in rows]
    return [
        f"{line:<{width}}  {'█' * length}".rstrip()
        for line, length in zip(lines, lengths, strict=True)
    ]
