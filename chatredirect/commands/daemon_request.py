"""Requests to the running daemon by a command, and what is printed when they fail."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from chatredirect.commands.output import failure

if TYPE_CHECKING:
    from chatredirect.config import Fault
    from chatredirect.control.client import ControlError, OnEvent
    from chatredirect.control.protocol import Json


def request(
    path: str,
    command: str,
    arguments: "Mapping[str, Json] | None" = None,
    *,
    on_event: "OnEvent | None" = None,
    timeout: float = 30.0,
) -> "Mapping[str, Json]":
    """Ask the daemon at the control socket `path`; see `chatredirect.control.client.ask`.

    Raises:
        typer.Exit: it can't be asked, or refuses; that has been printed.
    """
    from chatredirect.control.client import ControlError, ask

    try:
        return ask(path, command, arguments, on_event=on_event, timeout=timeout)
    except ControlError as error:
        raise control_failure(error) from None


def control_failure(error: "ControlError") -> typer.Exit:
    """Print why the daemon couldn't be asked, or refused; the exception to raise."""
    serves_on = "the old configuration serves on" if error.faults else ""
    return failure(
        error.what,
        error.status,
        where=error.where,
        why=error.why,
        remedy=error.remedy or serves_on,
        faults=faults_of(error.faults),
    )


def faults_of(found: "Sequence[Json]") -> "list[Fault]":
    """The faults that the daemon lists; entries of other forms are left out."""
    from chatredirect.config import Fault

    return [
        Fault(str(each["file"]), int(str(each["line"])), int(str(each["column"])), message)
        for each in found
        if isinstance(each, dict) and isinstance(message := each.get("message"), str)
    ]
