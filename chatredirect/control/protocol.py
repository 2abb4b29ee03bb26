"""The protocol of the control socket: lines of JSON of limited length.

{"command": "reload", "said": {"login": "alice"}}      the request
{"event": {"stage": "reading"}}                        any number of these
{"ok": true, "result": {"added": 1}}                   the last line, or
{"ok": false, "error": "one sentence", "faults": [], "status": 78}
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

MAX_ANSWER = 16 * 1024 * 1024  # octets of one line of an answer
UNREAD_SECONDS = 10.0  # for a client that doesn't read; then the daemon drops it

USAGE_ERROR = 2  # exit status of a command line that can't be used: click's, not sysexits(3)'s 64

_DEFAULT_SECONDS = 600.0  # of a trace or a log level
_MAX_SECONDS = 86_400.0


class ControlRefusal(Exception):
    """A handler refuses a request; the text is one sentence, which the client's command reports.

    Attributes:
        status: exit status of the command, from sysexits(3).
        faults: details, if any.
    """

    def __init__(
        self, error: str, *, status: int = os.EX_UNAVAILABLE, faults: Sequence[Json] = ()
    ) -> None:
        """Refuse for one reason."""
        super().__init__(error)
        self.status = status
        self.faults = faults


class ConversationGone(Exception):
    """The client has gone, or doesn't read: nothing more can be sent to it."""


class BadLine(ValueError):
    """A line that is no JSON object."""


def encode(line: Mapping[str, Json]) -> bytes:
    """One line with its end. ASCII: whatever a value holds, no octet of it reaches a terminal."""
    return json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Json]:
    """Read a line; raises `BadLine`."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON: {type(error).__name__}") from None
    if not isinstance(read, dict):
        raise BadLine("not a JSON object")
    return read


def seconds_of(request: Mapping[str, Json], subject: str) -> float:
    """How long a trace or a log level is to last: a request's `seconds`, or a `ControlRefusal`."""
    value = request.get("seconds", _DEFAULT_SECONDS)
    if isinstance(value, int | float) and value is not True and 0 < value <= _MAX_SECONDS:
        return float(value)
    error = f"a {subject} lasts more than 0 and at most {_MAX_SECONDS:g} seconds"
    raise ControlRefusal(error, status=USAGE_ERROR)


def number_in(section: Mapping[str, Json], name: str) -> int:
    """A number that a daemon's answer has, also one of another version; 0 if it has none."""
    value = section.get(name)
    return value if isinstance(value, int) else 0
