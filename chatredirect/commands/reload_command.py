"""`chatredirect reload`: the running daemon reads its configuration again, and says how it went."""

from typing import TYPE_CHECKING

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, SocketOption
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatredirect.config import Fault
    from chatredirect.control.protocol import Json

_SILENCE = 30.0  # seconds; a daemon that is at work says so every few


def reload(config: ConfigOption = DEFAULT_CONFIG, socket: SocketOption = None) -> None:
    """Have the running daemon read its configuration again, and wait for the verdict.

    Endpoints, pools, listeners, TLS files, log level and limits change in place. A faulty
    configuration is refused as a whole, and the old one serves on.

    Exit status: 0 if the new configuration is in force, 78 if it is faulty, 69 if an address
    can't be listened on or the daemon isn't running, 77 if it isn't permitted.
    """
    from chatredirect.commands.fault_text import fault_lines
    from chatredirect.commands.options import control_socket
    from chatredirect.control.client import ControlError, ask
    from chatredirect.runtime.wording import counted

    try:
        outcome = ask(control_socket(config, socket), "reload", timeout=_SILENCE)
    except ControlError as error:
        faults = faults_of_refusal(error.faults)
        if faults:
            complain("\n".join(fault_lines(faults, "error")), prefix="")
            complain(f"{counted(len(faults), 'error')}; the old configuration serves on")
        else:
            complain(str(error))
        raise typer.Exit(error.status) from None
    listed, restart = outcome.get("warnings"), outcome.get("restart")
    warnings = faults_of_refusal(listed if isinstance(listed, list) else ())
    if warnings:
        complain("\n".join(fault_lines(warnings, "warning")), prefix="")
    if isinstance(restart, list) and restart:
        complain(f"{', '.join(map(str, restart))}: has changed, and takes effect at a restart")
    show(_summary(outcome))


def faults_of_refusal(found: "Sequence[Json]") -> "list[Fault]":
    """The faults in the daemon's refusal; entries that are none are left out."""
    from chatredirect.config import Fault

    return [
        Fault(str(each["file"]), int(str(each["line"])), int(str(each["column"])), message)
        for each in found
        if isinstance(each, dict) and isinstance(message := each.get("message"), str)
    ]


def _summary(outcome: "Mapping[str, Json]") -> str:
    """One line about what has changed."""
    from chatredirect.runtime.wording import counted

    if not outcome.get("changed"):
        return "Nothing has changed; the configuration is in force as it was."
    parts = []
    endpoints, settings = outcome.get("endpoints"), outcome.get("settings")
    for kind, each in endpoints.items() if isinstance(endpoints, dict) else ():
        count = each.get("count") if isinstance(each, dict) else None
        if isinstance(count, int) and count:
            parts.append(f"{counted(count, 'endpoint')} {kind}")
    if isinstance(settings, list) and settings:
        parts.append(f"changed: {', '.join(map(str, settings))}")
    return f"The new configuration is in force: {'; '.join(parts)}."
