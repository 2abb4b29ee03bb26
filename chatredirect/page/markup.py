"""Texts, times and durations as HTML that shows them as they are, whoever wrote them.

Every text that a template puts out passes `visible` and then Jinja2's escaping: a character that
isn't printable, such as a mark that turns the direction of writing, becomes a backslash escape.
`name` isolates what is written from right to left from what stands beside it.
"""

import time
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as html

from chatredirect.control.protocol import Json
from chatredirect.log.escape import escape
from chatredirect.runtime.wording import counted
from chatredirect.status.status_text import duration

_NAME = Markup("<bdi>{}</bdi>")
_TIME = Markup('<time datetime="{}">{} UTC</time>')


def visible(value: object) -> object:
    """A text without characters that can't be seen; anything else as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape(value)
    return value


def name(value: Json) -> Markup:
    """What a client or an administrator named, whichever way it is written."""
    return _NAME.format("" if value is None else escape(str(value)))


def lines(text: str) -> Markup:
    """Lines that have been escaped each, as they are."""
    return html(text)


def moment(at: Json) -> Markup:
    """A moment in UTC, which the browser shows in its reader's time as well.

    Args:
        at: seconds since 1970, or ISO 8601 in UTC as the ledger's rows have it; None shows a dash.
    """
    if isinstance(at, int | float) and not isinstance(at, bool):
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    elif isinstance(at, str) and at:
        written = at
    else:
        return Markup("–")
    try:
        datetime.fromisoformat(written)
    except ValueError:
        return html(escape(written))
    return _TIME.format(written, written.removesuffix("Z").replace("T", " "))


def number(value: Json) -> str:
    """With its digits grouped; a dash for none."""
    return f"{value:,}" if isinstance(value, int | float) else "–"


def things(value: Json, noun: str) -> str:
    """`1 day`, `2,000 days`."""
    return counted(value if isinstance(value, int) else 0, noun)


def environment() -> Environment:
    """The templates, with these functions as filters."""
    made = Environment(
        loader=PackageLoader("chatredirect.page"),
        autoescape=True,
        auto_reload=False,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters.update(
        name=name, lines=lines, moment=moment, duration=duration, number=number, things=things
    )
    return made
