"""Text for people: an OSError, a number of things, a time, a duration; is there a terminal?"""

import os
import time
from collections.abc import Mapping


def error_text(error: OSError) -> str:
    """An OSError's reason in lower case: `connection refused`. The same for every event loop."""
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


def counted(number: int, noun: str, *, grouped: bool = True) -> str:
    """`1 error`, `2,000 errors`; `2000 errors` if the digits aren't grouped."""
    return f"{number:{',' if grouped else ''}} {noun}{'' if number == 1 else 's'}"


def sentence(what: str, *, why: str = "", remedy: str = "") -> str:
    """The parts of an error in one line: `what: why; remedy`."""
    text = f"{what}: {why}" if why else what
    return f"{text}; {remedy}" if remedy else text


def local_time(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment, in seconds since the epoch, by this machine's clock, with its UTC offset."""
    moment = time.localtime(at)
    offset = time.strftime("%z", moment)
    return f"{time.strftime(form, moment)} {offset[:3]}:{offset[3:]}"


def span(seconds: float) -> str:
    """A duration in its two largest units: `2 d 3 h`."""
    left = round(seconds)
    for unit, size, smaller, small in (
        ("d", 86_400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if left >= size:
            rest = left % size // small
            coarse = left >= 10 * size or not rest
            return f"{left // size} {unit}{'' if coarse else f' {rest} {smaller}'}"
    return f"{left} s"


def is_terminal(stream: object) -> bool:
    """Whether a stream leads to a terminal: neither one that is closed nor none."""
    isatty = getattr(stream, "isatty", None)
    try:
        return isatty is not None and bool(isatty())
    except ValueError:  # it is closed
        return False


def wants_colours(stream: object, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour what goes to a stream: a terminal, unless `NO_COLOR` or `TERM=dumb`."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream)
