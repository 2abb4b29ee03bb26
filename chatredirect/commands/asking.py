"""How a command finds the running daemon."""

from pathlib import Path

import typer

from chatredirect.commands.output import complain

EX_CONFIG = 78


def control_socket(config: Path, socket: Path | None) -> str:
    """The path of the daemon's control socket: the option's, else the configuration's.

    A configuration that is missing or faulty leaves the default.

    Raises:
        typer.Exit: the configuration has switched it off.
    """
    from chatredirect.config.control_section import configured_socket

    path = configured_socket(config) if socket is None else str(socket)
    if path is None:
        complain(
            f"{config} says control.socket: off, so the daemon can't be asked; send it SIGHUP for "
            "a reload, or set control.socket and restart it"
        )
        raise typer.Exit(EX_CONFIG)
    return path
