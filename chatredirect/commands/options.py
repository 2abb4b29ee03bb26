"""Options that several commands share."""

import re
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

DEFAULT_CONFIG = Path("/etc/chatredirect/chatredirect.yaml")
CONFIG_VARIABLE = "CHATREDIRECT_CONFIG"

ConfigOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        show_envvar=True,
        readable=False,  # that it isn't is told by whoever reads it
        help="The configuration file.",
    ),
]
ConfigArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="[FILE]",
        envvar=CONFIG_VARIABLE,
        show_envvar=True,
        readable=False,  # that it isn't is told by whoever reads it
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
    """A length of time in seconds.

    Raises:
        typer.BadParameter: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no length of time: 90s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]
