"""Options that several commands share."""

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
