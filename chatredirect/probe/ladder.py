"""An exchange as a ladder of plain text, 80 columns wide.

             127.0.0.1:40312                               udp://127.0.0.1:5060
    0.1 ms  |--- INVITE ------------------------------------------------------>|
    0.9 ms  |<---------------------------------------- 302 Moved Temporarily ---|

ASCII only, so that it looks the same in every terminal, log and ticket. `clean` escapes everything
that a peer sent.
"""

import textwrap

from chatredirect.client.tls import Secured
from chatredirect.log.escape import clean, escape
from chatredirect.net.target import Target
from chatredirect.probe.sip_exchange import ExchangeStep

WIDTH = 80
_MARGIN = 12  # columns for the time
_BETWEEN = WIDTH - _MARGIN - 2  # columns between the two uprights
_LONGEST = _BETWEEN - 10
_CUT = "..."
MAX_NAMES = 8
"""Names of a certificate that are shown; JSON has all."""
MAX_SHOWN = 16_384
"""Octets of a message that are shown as a whole."""


def heading(local: str, target: Target) -> list[str]:
    """The two ends, above their uprights."""
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
    """One message as an arrow."""
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
    """The message as it went or came, one line for each of its lines, and an empty one."""
    text = step.message[:MAX_SHOWN]
    lines = [f"    {clean(line)}".rstrip() for line in text.removesuffix(b"\r\n").split(b"\r\n")]
    if len(step.message) > MAX_SHOWN:
        lines.append(f"    ... {len(step.message) - MAX_SHOWN} octets more")
    while lines and not lines[-1]:
        lines.pop()
    return [*lines, ""]
