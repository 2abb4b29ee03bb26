"""Options that several commands share, and the control socket that they name."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from chatredirect.commands.output import config_failure, failure

if TYPE_CHECKING:
    from chatredirect.config import Settings

DEFAULT_CONFIG = Path("/etc/chatredirect/chatredirect.yaml")
_CONFIG_VARIABLE = "CHATREDIRECT_CONFIG"

ConfigOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=_CONFIG_VARIABLE,
        show_envvar=True,
        readable=False,  # the command that reads it reports that better than click
        help="The configuration file.",
    ),
]
ConfigArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="[FILE]",
        envvar=_CONFIG_VARIABLE,
        show_envvar=True,
        readable=False,  # the command that reads it reports that better than click
        help="The configuration file.",
    ),
]
SocketOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        readable=False,
        help="The daemon's control socket; else the configuration's control.socket.",
        show_default=False,
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for scripts.", show_default=False)
]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")


def seconds(text: str) -> float:
    """The seconds of `90`, `90s`, `5m` or `2h`.

    Raises:
        typer.BadParameter: the text has another form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no length of time: 90s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]


def loaded(config: Path) -> "Settings":
    """The configuration.

    Raises:
        typer.Exit: it is faulty; the faults have been printed.
    """
    from chatredirect.config import ConfigError, load

    try:
        return load(config)
    except ConfigError as error:
        raise config_failure(error) from None


def control_socket(config: Path, socket: Path | None) -> str:
    """The path of the daemon's control socket: the option's, else the configuration's.

    If the configuration is faulty, or is the default file and can't be read, it is the default
    path.

    Raises:
        typer.Exit: the configuration switches the socket off, or isn't the default file and can't
            be read.
    """
    from chatredirect.config.control_socket import configured_socket

    if socket is None and config != DEFAULT_CONFIG and not os.access(config, os.R_OK):
        raise failure(
            f"{config}: there is no such file, or user {os.geteuid()} may not read it, so where "
            "the daemon's control socket is remains unknown; --socket names it",
            os.EX_CONFIG,
        )
    path = configured_socket(config) if socket is None else str(socket)
    if path is None:
        raise failure(
            f"{config} says control.socket: off, so the daemon can't be asked; send it SIGHUP for "
            "a reload, or set control.socket and restart it",
            os.EX_CONFIG,
        )
    return path
