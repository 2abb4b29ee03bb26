"""A probe as text while it runs, and as JSON afterwards.

The text has a ladder of the messages, 80 columns wide:

             127.0.0.1:40312                               udp://127.0.0.1:5060
    0.1 ms  |--- INVITE ------------------------------------------------------>|
    0.9 ms  |<---------------------------------------- 302 Moved Temporarily ---|

It is ASCII only, so that it looks the same in every terminal, log and ticket. `clean` escapes
everything that a peer sent.
"""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chatredirect.client.tls import Secured
from chatredirect.log.escape import clean, escape
from chatredirect.net.target import Target
from chatredirect.probe.call import CallAttempt
from chatredirect.probe.probe import Ending, Lead
from chatredirect.probe.sip_exchange import ExchangeStep
from chatredirect.sip.message import Response, values

WIDTH = 80
_MARGIN = 12  # columns for the time
_BETWEEN = WIDTH - _MARGIN - 2  # columns between the two vertical lines
_LONGEST = _BETWEEN - 10
_CUT = "..."
MAX_NAMES = 8
"""Names of a certificate that are shown; JSON has all."""
MAX_SHOWN = 16_384
"""Octets of a message that are shown as a whole."""

MAX_TARGETS = 10
"""Targets of a Contact that are shown as text; JSON has all."""

#: Header fields that say what to do about an answer.
_FIELDS_SHOWN = ("Warning", "Retry-After", "Allow")

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(slots=True)
class TextReport:
    """Prints each step when it happens; `complain` prints what went wrong, `echo` the rest."""

    method: str
    echo: Callable[[str], None]
    complain: Callable[[str], None]
    verbose: bool
    _begun: bool = False

    def lost(self, lead: Lead) -> None:
        """See `Watcher`."""
        self.complain(f"{clean(lead.uri)}: {escape(lead.why)}")

    def connected(self, attempt: CallAttempt) -> None:
        """See `Watcher`."""
        self._paragraph()
        self.echo(f"{self.method} {clean(attempt.uri)}")
        for line in heading(attempt.local, attempt.target):
            self.echo(line)
        if attempt.secured is not None:
            for line in security(attempt.secured):
                self.echo(line)

    def step(self, attempt: CallAttempt, step: ExchangeStep) -> None:
        """See `Watcher`."""
        self.echo(rung(step, attempt.target))
        if self.verbose and step.message:
            for line in whole(step):
                self.echo(line)

    def ended(self, attempt: CallAttempt) -> None:
        """See `Watcher`."""
        if attempt.more:
            self.echo(f"            ... and {attempt.more} messages more")
        if attempt.response is not None:
            self._paragraph()
            self.echo(f"{attempt.response.status} {clean(attempt.response.reason)}".strip())
            for name, value in _shown_fields(attempt.response):
                self.echo(f"{name}: {value}")
        if attempt.error:
            hint = f". {attempt.hint}" if attempt.hint else ""
            self.complain(f"{attempt.target}: {escape(attempt.error)}{hint}")
        for note in attempt.notes:
            self.complain(f"note: {escape(note)}")

    def leads(self, leads: list[Lead]) -> None:
        """See `Watcher`."""
        for lead in leads:
            self._lead("Contact", lead)

    def found(self, lead: Lead) -> None:
        """See `Watcher`."""
        if not lead.uri:
            self.complain(f"no channel service: {escape(lead.why)}")
        else:
            self._lead("Channel", lead)

    def stopped(self, why: str) -> None:
        """See `Watcher`."""
        self.complain(f"not followed: {escape(why)}")

    def _lead(self, label: str, lead: Lead) -> None:
        self.echo(f"{label}: {clean(lead.uri)}")
        for line in _where(lead):
            self.echo(f"         {line}")

    def _paragraph(self) -> None:
        if self._begun:
            self.echo("")
        self._begun = True


@dataclass(slots=True)
class JsonReport:
    """Collects everything for `as_json`."""

    verbose: bool
    _requests: list[dict[str, Json]] = field(default_factory=list)
    _notes: list[Json] = field(default_factory=list)

    def lost(self, lead: Lead) -> None:
        """See `Watcher`."""
        self._notes.append(f"{clean(lead.uri)}: {escape(lead.why)}")

    def connected(self, attempt: CallAttempt) -> None:
        """See `Watcher`."""

    def step(self, attempt: CallAttempt, step: ExchangeStep) -> None:
        """See `Watcher`."""

    def ended(self, attempt: CallAttempt) -> None:
        """See `Watcher`."""
        response = attempt.response
        self._requests.append(
            {
                "uri": clean(attempt.uri),
                "target": str(attempt.target),
                "local": attempt.local,
                "tls": _tls(attempt.secured),
                "status": response.status if response else None,
                "reason": clean(response.reason) if response else None,
                "header_fields": dict(_shown_fields(response)) if response else {},
                "contacts": [],
                "error": escape(attempt.error) or None,
                "notes": [escape(note) for note in attempt.notes],
                "messages": [self._message(step) for step in attempt.steps],
            }
        )

    def leads(self, leads: list[Lead]) -> None:
        """See `Watcher`."""
        self._requests[-1]["contacts"] = [_lead(lead) for lead in leads]

    def found(self, lead: Lead) -> None:
        """See `Watcher`."""
        self._requests[-1]["channel"] = _lead(lead)

    def stopped(self, why: str) -> None:
        """See `Watcher`."""
        self._notes.append(f"not followed: {escape(why)}")

    def as_json(self, ending: Ending) -> dict[str, Json]:
        """The whole probe."""
        return {"ending": ending.value, "requests": [*self._requests], "notes": self._notes}

    def _message(self, step: ExchangeStep) -> dict[str, Json]:
        message: dict[str, Json] = {
            "seconds": round(step.seconds, 6),
            "sent": step.sent,
            "peer": str(step.peer),
            "summary": clean(step.summary),
            "remark": escape(step.remark) or None,
        }
        if self.verbose:
            # one character for each octet that isn't UTF-8, as Python's own files have it
            message["message"] = step.message.decode("utf-8", "backslashreplace")
        return message


def _shown_fields(response: Response) -> Iterator[tuple[str, str]]:
    for name in _FIELDS_SHOWN:
        found = values(response, name.lower().encode("ascii"))
        if found:
            yield name, ", ".join(map(clean, found))


def _where(lead: Lead) -> Iterator[str]:
    """The targets of a lead, one line each."""
    if not lead.targets:
        yield escape(lead.why)
    for target in lead.targets[:MAX_TARGETS]:
        named = "" if lead.hop and target.host == lead.hop.fqdn else f" ({target.host})"
        yield f"-> {target}{escape(named)}"
    if len(lead.targets) > MAX_TARGETS:
        yield f"-> and {len(lead.targets) - MAX_TARGETS} more"
    for note in lead.notes:
        yield f"note: {escape(note)}"


def _tls(secured: Secured | None) -> Json:
    if secured is None:
        return None
    return {
        "protocol": secured.protocol,
        "cipher": secured.cipher,
        "names": [escape(name) for name in secured.names],
        "verified": secured.verified,
    }


def _lead(lead: Lead) -> dict[str, Json]:
    return {
        "uri": clean(lead.uri) or None,
        "targets": [_target(target) for target in lead.targets],
        "reason": None if lead.targets else escape(lead.why),
        "notes": [escape(note) for note in lead.notes],
    }


def _target(target: Target) -> dict[str, Json]:
    return {
        "transport": target.transport,
        "address": target.address,
        "port": target.port,
        "host": target.host,
        "priority": target.priority,
        "weight": target.weight,
    }


def heading(local: str, target: Target) -> list[str]:
    """The two ends, above their vertical lines."""
    left, right = local, str(target)
    if len(left) + len(right) < _BETWEEN:
        return [" " * _MARGIN + left + right.rjust(WIDTH - _MARGIN - len(left))]
    return [" " * _MARGIN + left, right.rjust(WIDTH)]


def security(secured: Secured) -> list[str]:
    """Protocol, cipher and the peer's names, below the two ends."""
    names = [escape(name) for name in secured.names[:MAX_NAMES]]
    if len(secured.names) > MAX_NAMES:
        names.append(f"{len(secured.names) - MAX_NAMES} more")
    text = f"{secured.protocol}, {secured.cipher}, with {', '.join(names)}"
    lines = textwrap.wrap(text, WIDTH - _MARGIN, break_on_hyphens=False)
    return [" " * _MARGIN + line for line in lines]


def rung(step: ExchangeStep, target: Target) -> str:
    """One message as an arrow, with its time."""
    label = clean(step.summary)
    remarks = [] if step.peer == target else [f"{'to' if step.sent else 'from'} {step.peer}"]
    if step.remark:
        remarks.append(escape(step.remark))
    if remarks:
        label = f"{label} ({', '.join(remarks)})" if label else remarks[0]
    if len(label) > _LONGEST:
        label = label[: _LONGEST - len(_CUT)] + _CUT
    if step.sent:
        arrow = f"--- {label} ".ljust(_BETWEEN - 1, "-") + ">"
    else:
        arrow = "<" + f" {label} ---".rjust(_BETWEEN - 1, "-")
    return f"{step.seconds * 1000:>{_MARGIN - 5}.1f} ms  |{arrow}|"


def whole(step: ExchangeStep) -> list[str]:
    """The message as it was sent or received, line by line, and an empty line."""
    text = step.message[:MAX_SHOWN]
    lines = [f"    {clean(line)}".rstrip() for line in text.removesuffix(b"\r\n").split(b"\r\n")]
    if len(step.message) > MAX_SHOWN:
        lines.append(f"    ... {len(step.message) - MAX_SHOWN} octets more")
    while lines and not lines[-1]:
        lines.pop()
    return [*lines, ""]
