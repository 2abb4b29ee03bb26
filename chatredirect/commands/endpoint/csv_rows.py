"""Reads endpoints from a CSV file, as a spreadsheet or `Export-Csv` writes it.

Windows PowerShell begins such a file with `#TYPE …` and may write UTF-16. A spreadsheet separates
with semicolons where the comma is the decimal sign, and may say so in a first line `sep=;`.
"""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chatredirect.commands.endpoint.filters import PROPERTIES
from chatredirect.config.faults import quoted

MAX_CSV = 64 * 1024 * 1024
"""Octets; 100,000 rows are about 8 MB."""
_SEPARATORS = ",;\t"
_PREAMBLE = re.compile(r"(#TYPE\b[^\n]*|sep=(.)\r?|\s*)\n", re.IGNORECASE)
_SHOWN = 10  # columns named in messages


class CsvFault(Exception):
    """The file can't be read. `line` counts from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        """Keep the message and the line."""
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        line: its first line, from 1.
        values: by YAML key, without those of empty cells.
        fault: why the row can't be read; empty if it can.
    """

    line: int
    values: dict[str, str]
    fault: str = ""


def read_rows(data: bytes) -> tuple[list[Row], list[str]]:
    """The rows of a file, and notes on how it was read.

    Raises:
        CsvFault: it has no rows of endpoints.
    """
    text = _decoded(data)
    first, separator, skipped = _begin(text)
    reader = csv.reader(io.StringIO(text[skipped:], newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    columns: list[str | None] = []
    notes: list[str] = []
    while True:
        line = first + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise CsvFault(f"no CSV: {error}", line) from None
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns, notes = _header(cells, line)
        elif len(cells) > len(columns):
            fault = (
                f"has {len(cells)} cells, and the header {len(columns)}: put text with "
                f"{quoted(separator)} in it into double quotes"
            )
            rows.append(Row(line, {}, fault))
        else:
            pairs = zip(columns, map(str.strip, cells), strict=False)
            rows.append(Row(line, {key: cell for key, cell in pairs if key and cell}))
    if not rows:
        message = "there are no rows below a header, SipAddress,PersistentChatPoolFqdn for one"
        raise CsvFault(message)
    return rows, notes


def _decoded(data: bytes) -> str:
    if len(data) > MAX_CSV:
        raise CsvFault(f"larger than {MAX_CSV // 1024 // 1024} MiB")
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if marked else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise CsvFault(
            "isn't UTF-8 text: export it with Export-Csv -Encoding UTF8, or save it as CSV UTF-8",
            data[: error.start].count(b"\n") + 1,
        ) from None
    if "\0" in text:
        raise CsvFault(
            "isn't UTF-8 text (UTF-16 without its mark?): export it with Export-Csv -Encoding UTF8",
            text[: text.index("\0")].count("\n") + 1,
        )
    return text


def _begin(text: str) -> tuple[int, str, int]:
    """The header's line, the separator, and the number of characters before the header."""
    line, skipped, separator = 1, 0, ""
    while match := _PREAMBLE.match(text, skipped):
        separator = match[2] or separator
        line += match[0].count("\n")
        skipped = match.end()
    header = text[skipped:].partition("\n")[0]
    if not separator:
        separator = max(_SEPARATORS, key=lambda each: sum(map(_is_known, header.split(each))))
    return line, separator, skipped


def _is_known(cell: str) -> bool:
    return _key(cell) is not None


def _key(cell: str) -> str | None:
    return PROPERTIES.get(re.sub(r"[\s\"_-]", "", cell).lower())


def _header(cells: Sequence[str], line: int) -> tuple[list[str | None], list[str]]:
    columns = [_key(cell) for cell in cells]
    if "sip_address" not in columns:
        shown = ", ".join(quoted(cell.strip()) for cell in cells[:_SHOWN])
        raise CsvFault(f"there is no column SipAddress; the first line has {shown}", line)
    twice = [cells[i] for i, key in enumerate(columns) if key and key in columns[:i]]
    if twice:
        raise CsvFault(f"the column {quoted(twice[0])} is there twice", line)
    unused = [cell.strip() for cell, key in zip(cells, columns, strict=True) if key is None]
    named = [quoted(each)[1:-1] for each in unused[:_SHOWN]]
    more = f" and {len(unused) - _SHOWN:,} more" if len(unused) > _SHOWN else ""
    notes = [f"columns that mean nothing here: {', '.join(named)}{more}"] if any(unused) else []
    return columns, notes
