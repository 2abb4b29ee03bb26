"""A point in time as people write it: with its offset from UTC, or it isn't one.

A time without an offset is a different moment in every place, and on the night when clocks change
two moments in one place: an endpoint would start an hour early or late, and nobody would know why.
"""

import re
from datetime import datetime

from chatredirect.config.faults import quoted

EXAMPLE = "2026-11-23T06:00:00+01:00"

# ISO 8601 as YAML has it too: a space may stand for the T, and before the offset
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt]|\s{1,4})(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
    r"\s{0,4}([Zz]|[+-]\d\d(?::?\d\d)?)?"
)
_YEARS = (1971, 9998)  # in every offset a time that the system's clock can have
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse_moment(text: str) -> datetime:
    """Read `2026-11-23T06:00:00+01:00`; a datetime with its offset.

    Raises:
        ValueError: with what to write instead.
    """
    bare = text.strip()
    found = _MOMENT.fullmatch(bare)
    if found is None:
        if _DATE.fullmatch(bare):
            raise ValueError(f"{quoted(text)} has no time of day: write it as in {EXAMPLE}")
        raise ValueError(f"{quoted(text)} is no point in time: write it as in {EXAMPLE}")
    date, time, offset = found.groups()
    if offset is None:
        raise ValueError(
            f"{quoted(text)} has no UTC offset, so it is another moment in every place: write "
            f"{date}T{time}+01:00 with the offset of your clock then, or {date}T{time}Z for UTC"
        )
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}")
    except ValueError:
        raise ValueError(f"{quoted(text)}: there is no such moment in the calendar") from None
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise ValueError(f"{quoted(text)}: a year from {_YEARS[0]} to {_YEARS[1]} belongs here")
    return moment


def written(moment: datetime) -> str:
    """A moment as it stands in a file."""
    text = moment.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
