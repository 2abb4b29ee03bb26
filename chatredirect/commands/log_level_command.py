"""`chatredirect log-level`: how much the running daemon logs, for a while."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    SocketOption,
    seconds,
)
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from chatredirect.control.protocol import Json


def log_level(
    level: Annotated[
        str | None,
        typer.Argument(
            metavar="[LEVEL]",
            help="debug, info, warning or error; configured for what the file says. "
            "Without it the level is shown.",
        ),
    ] = None,
    lasting: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 90s, 10m, 2h.")
    ] = "10m",
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show or change how much the running daemon logs.

    A change falls back to the configuration's level by itself after its time; a reload doesn't end
    it.

    Exit status: 0 if done, 2 if there is no such level, 69 if the daemon isn't running, 77 if it
    isn't permitted.
    """
    from chatredirect.commands.options import control_socket
    from chatredirect.control.client import ControlError, ask

    wanted: dict[str, Json] = {"seconds": seconds(lasting)}
    if level is not None:
        wanted["level"] = level
    try:
        result = ask(control_socket(config, socket), "log-level", wanted)
    except ControlError as error:
        complain(str(error))
        raise typer.Exit(error.status) from None
    if json:
        import json as library

        show(library.dumps(result))
        return
    until = result.get("until")
    text = f"The level is {result.get('level')}"
    if isinstance(until, int | float):
        then = time.strftime("%H:%M:%S", time.localtime(until))
        text += f" until {then}, then {result.get('configured')}"
    show(f"{text}.")
