"""Options that several commands share, and the control socket that they name."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypedDict

import typer

from chatredirect.commands.output import config_failure, failure
from chatredirect.control import running

if TYPE_CHECKING:
    from chatredirect.config import Settings

DEFAULT_CONFIG = Path(running.DEFAULT_CONFIG)

ConfigOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=running.CONFIG_VARIABLE,
        show_envvar=True,
        readable=False,  # the command that reads it reports that better than click
        help="The configuration file.",
    ),
]
ConfigArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="[FILE]",
        envvar=running.CONFIG_VARIABLE,
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


class OptionValues(TypedDict):
    """What an option's value may be, as keyword arguments of `typer.Option`."""

    parser: Callable[[str], object]
    metavar: str


def one_of(*words: str) -> OptionValues:
    """What `typer.Option` needs for a value that is one of some words, in any case.

    typer's own choices would name a library's error in their message, and no near word.
    """

    def parse(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        from chatredirect.config.faults import did_you_mean, quoted

        there = f"{', '.join(words[:-1])} or {words[-1]}"
        raise typer.BadParameter(f"must be {there}, not {quoted(text)}{did_you_mean(text, words)}")

    return OptionValues(parser=parse, metavar="|".join(words))


def number(least: int, most: int, metavar: str) -> OptionValues:
    """What `typer.Option` needs for a whole number within bounds."""

    def parse(text: str) -> int:
        found = _NUMBER.fullmatch(text)
        if found is None or not least <= int(text) <= most:
            raise typer.BadParameter(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return OptionValues(parser=parse, metavar=metavar)


_NUMBER = re.compile(r"[0-9]{1,9}")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")


def seconds(text: str) -> float:
    """The seconds of `90`, `90s`, `5m` or `2h`.

    Raises:
        typer.BadParameter: the text has another form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        message = f"{text!r} is no length of time: write 90s, 5m or 2h"
        raise typer.BadParameter(message, param_hint="--for")
    return float(match[1]) * _UNITS[match[2]]


def loaded(config: Path) -> "Settings":
    """The configuration.

    Raises:
        typer.Exit: it is faulty; the faults have been printed.
    """
    from chatredirect.commands.as_service import load_as_service
    from chatredirect.config import ConfigError

    try:
        return load_as_service(config)
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
            f"where the daemon's control socket is can't be read from {config}",
            os.EX_CONFIG,
            where=str(config),
            why=f"there is no such file, or user {os.geteuid()} may not read it",
            remedy="name the configuration with --config, or the socket with --socket",
        )
    path = configured_socket(config) if socket is None else str(socket)
    if path is None:
        daemons = ", ".join(map(str, running.daemons_of(config)))
        runs = f"it runs ({daemons})" if daemons else "whether it runs is unknown"
        raise failure(
            "the daemon can't be asked",
            os.EX_CONFIG,
            where=str(config),
            why=f"{config} says control.socket: off, and {runs}",
            remedy="send it SIGHUP for a reload, or set control.socket and restart it",
        )
    return path
