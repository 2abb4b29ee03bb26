"""How a command finds the running daemon."""

import os
from pathlib import Path

import typer

from chatredirect.commands.options import DEFAULT_CONFIG
from chatredirect.commands.output import complain


def control_socket(config: Path, socket: Path | None) -> str:
    """The path of the daemon's control socket: the option's, else the configuration's.

    A configuration that is faulty leaves the default, and so does the usual one if it can't be
    read.

    Raises:
        typer.Exit: the configuration has switched it off, or is another than the usual one and
            can't be read.
    """
    from chatredirect.config.control_socket import configured_socket

    if socket is None and config != DEFAULT_CONFIG and not os.access(config, os.R_OK):
        complain(
            f"{config}: there is no such file, or user {os.geteuid()} may not read it, so where "
            "the daemon's control socket is remains unknown; --socket names it"
        )
        raise typer.Exit(os.EX_CONFIG)
    path = configured_socket(config) if socket is None else str(socket)
    if path is None:
        complain(
            f"{config} says control.socket: off, so the daemon can't be asked; send it SIGHUP for "
            "a reload, or set control.socket and restart it"
        )
        raise typer.Exit(os.EX_CONFIG)
    return path
