"""Draws sightings as a ladder diagram in plain text, line by line.

                      caller                   chatredirect                    pool
    #1 08:25:13.123 +01:00 Call-ID 7@192.0.2.9, from <sip:bob@contoso.com>
    #1     0.0 ms  |--- INVITE ------------------->|                               |
                   * endpoint sip:ocschat@contoso.com: 302 to <sip:ocschat@pcpool.contoso.com>
    #1     0.2 ms  |<------- 302 Moved Temporarily |                               |

A call's first peer is its caller; all others are on the pool's side. All text of peers is escaped.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from chatredirect.log.escape import clean, escape
from chatredirect.runtime.wording import local_time
from chatredirect.sip.flow import peer_text
from chatredirect.trace.sighting import Ends, Sighting, SightingKind

MIN_WIDTH = 80
MAX_WIDTH = 132
MAX_SHOWN = 16_384
"""Octets of a message that are shown."""
_MARGIN = 15  # columns before the first vertical line
_MAX_CALLS = 1024
_REMEMBERED = 64  # messages of a call that are compared with the next one
_CUT = "..."
Tone: TypeAlias = Literal["request", "provisional", "success", "failure", "decision"]
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([^\r\n]*)", re.IGNORECASE)
_STATUS_TONES: Mapping[bytes, Tone] = {b"1": "provisional", b"2": "success", b"3": "success"}
#: Requests are cyan, successes and redirections green, refusals and faults red, decisions yellow.
_COLOURS: Mapping[Tone, str] = {
    "request": "36",
    "provisional": "2",
    "success": "32",
    "failure": "31",
    "decision": "33",
}
_FROM = re.compile(rb"^(?:from|f)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class _Call:
    number: int
    begun: float
    caller: Ends | None = None
    others: list[Ends] = field(default_factory=list)
    messages: dict[int, None] = field(default_factory=dict)

    def repeats(self, sighting: Sighting) -> bool:
        """Whether the same message has been seen in this direction."""
        key = hash((sighting.kind, sighting.data))
        if key in self.messages:
            return True
        if len(self.messages) >= _REMEMBERED:
            del self.messages[next(iter(self.messages))]
        self.messages[key] = None
        return False


class Ladder:
    """Draws sightings; `calls` is the number of calls."""

    def __init__(self, width: int = MIN_WIDTH, *, whole: bool = False) -> None:
        """Begin, for a terminal of `width` columns; `whole` shows whole messages as well."""
        self.calls = 0
        self._width = max(MIN_WIDTH, min(width, MAX_WIDTH))
        self._lane = (self._width - _MARGIN - 3) // 2
        self._whole = whole
        self._calls: dict[bytes, _Call] = {}

    def heading(self) -> str:
        """The names of the three columns."""
        left, right = "caller", "pool"
        middle = "chatredirect".center(2 * self._lane + 3 - len(left) - len(right))
        return " " * _MARGIN + left + middle + right

    def lines(self, sighting: Sighting) -> list[str]:
        """The lines of a sighting."""
        match sighting.kind:
            case SightingKind.RECEIVED | SightingKind.SENT:
                return self._message(sighting)
            case SightingKind.DECIDED:
                return self._remark(escape(sighting.what))
            case SightingKind.UNREADABLE | SightingKind.CONNECTION:
                where = "" if sighting.ends is None else f"{_peer(sighting.ends)}: "
                dropped = "dropped: " if sighting.kind is SightingKind.UNREADABLE else ""
                lines = self._remark(
                    f"{_clock(sighting.at)} {where}{dropped}{escape(sighting.what)}"
                )
                return lines + (self._text(sighting.data) if sighting.data else [])

    def _message(self, sighting: Sighting) -> list[str]:
        lines: list[str] = []
        call = self._calls.get(sighting.call_id or b"")
        if call is None:
            call = self._begin(sighting, lines)
        ends = sighting.ends or Ends("", ("", 0), ("", 0))
        on_the_left = self._side(call, ends, lines)
        label = _label(sighting.data)
        mark = " (again)" if call.repeats(sighting) else ""
        rightwards = (sighting.kind is SightingKind.RECEIVED) is on_the_left
        arrow = _arrow(label, mark, self._lane, rightwards=rightwards)
        blank = " " * self._lane
        lanes = f"|{arrow}|{blank}|" if on_the_left else f"|{blank}|{arrow}|"
        lines.append(f"{f'#{call.number}':<4}{_elapsed(sighting.at - call.begun):>10} {lanes}")
        if self._whole:
            lines += self._text(sighting.data)
        return lines

    def _begin(self, sighting: Sighting, lines: list[str]) -> _Call:
        self.calls += 1
        call = _Call(self.calls, sighting.at)
        if len(self._calls) >= _MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[sighting.call_id or b""] = call
        caller = _FROM.search(sighting.data)
        from_ = "" if caller is None else f", from {clean(caller[1])}"
        what = f"Call-ID {clean(sighting.call_id or b'(none)')}{from_}"
        lines += self._wrapped(f"#{call.number:<3} {_clock(sighting.at)} ", what)
        return call

    def _side(self, call: _Call, ends: Ends, lines: list[str]) -> bool:
        """Whether a peer is on the caller's side; adds a line for a new peer."""
        if call.caller is None:
            call.caller = ends
            lines += self._wrapped(
                " " * _MARGIN, f"caller {_peer(ends)}, chatredirect {_own(ends)}"
            )
            return True
        if ends.peer == call.caller.peer and ends.transport == call.caller.transport:
            return True
        if all(ends.peer != other.peer for other in call.others):
            call.others = [*call.others[-7:], ends]
            what = f"chatredirect {_own(ends)}, pool {_peer(ends)}"
            lines += self._wrapped(" " * _MARGIN, what)
        return False

    def _remark(self, text: str) -> list[str]:
        return self._wrapped(" " * _MARGIN + "* ", text)

    def _wrapped(self, first: str, text: str) -> list[str]:
        indent = " " * len(first)
        lines = textwrap.TextWrapper(self._width, first, indent, break_on_hyphens=False)
        return lines.wrap(text)

    def _text(self, data: bytes) -> list[str]:
        shown = data[:MAX_SHOWN].removesuffix(b"\r\n").split(b"\r\n")
        lines = [f"    {clean(line)}".rstrip() for line in shown]
        if len(data) > MAX_SHOWN:
            lines.append(f"    ... {len(data) - MAX_SHOWN} octets more")
        return [*lines, ""]


def tone_of(sighting: Sighting) -> Tone:
    """What kind of news a sighting's lines are, for their colour."""
    match sighting.kind:
        case SightingKind.DECIDED:
            return "decision"
        case SightingKind.UNREADABLE | SightingKind.CONNECTION:
            return "failure"
    status = _STATUS_LINE.match(sighting.data)
    return "request" if status is None else _STATUS_TONES.get(status[1][:1], "failure")


def colour_of(sighting: Sighting) -> str:
    """The colour of a sighting's lines on a terminal, as numbers of ECMA-48's SGR."""
    return _COLOURS[tone_of(sighting)]


def _label(data: bytes) -> str:
    """A request's method, or a response's status."""
    status = _STATUS_LINE.match(data)
    return clean(data.partition(b" ")[0] if status is None else status[1])


def _arrow(label: str, mark: str, width: int, *, rightwards: bool) -> str:
    longest = width - 7 - len(mark)
    if len(label) > longest:
        label = label[: longest - len(_CUT)] + _CUT
    label += mark
    if rightwards:
        return f"--- {label} ".ljust(width - 1, "-") + ">"
    return "<" + f" {label} ---".rjust(width - 1, "-")


def _elapsed(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s"


def _clock(at: float) -> str:
    return local_time(at, f"%H:%M:%S.{int(at % 1 * 1000):03}")


def _peer(ends: Ends) -> str:
    return escape(peer_text(ends.transport or "?", *ends.peer))


def _own(ends: Ends) -> str:
    return escape(peer_text(ends.transport or "?", *ends.own))
