"""`chatredirect reload`, `status` and `log-level`, which ask the running daemon."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    SocketOption,
    control_socket,
    seconds,
)
from chatredirect.commands.output import complain, failure, fault_text, show
from chatredirect.runtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatredirect.config import Fault
    from chatredirect.control.client import ControlError
    from chatredirect.control.protocol import Json

_RELOAD_SECONDS = 30.0  # of silence; a daemon that is at work sends a line every few seconds
_STATUS_SECONDS = 60.0
_WATCH_SECONDS = 2.0
_CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: the cursor home, and everything erased


def reload(config: ConfigOption = DEFAULT_CONFIG, socket: SocketOption = None) -> None:
    """Have the running daemon read its configuration again, and wait for the verdict.

    Endpoints, pools, listeners, TLS files, log level and limits change in place. A faulty
    configuration is refused as a whole, and the old one serves on.

    Exit status: 0 if the new configuration is in force, 78 if it is faulty, 69 if an address
    can't be listened on or the daemon isn't running, 77 if it isn't permitted.
    """
    from chatredirect.control.client import ControlError, ask

    try:
        outcome = ask(control_socket(config, socket), "reload", timeout=_RELOAD_SECONDS)
    except ControlError as error:
        faults = complain_of_refusal(error)
        text = f"{counted(faults, 'error')}; the old configuration serves on"
        raise failure(text if faults else str(error), error.status) from None
    listed, restart = outcome.get("warnings"), outcome.get("restart")
    warnings = _faults_of(listed if isinstance(listed, list) else ())
    if warnings:
        complain(fault_text(warnings, "warning"), prefix="")
    if isinstance(restart, list) and restart:
        complain(f"{', '.join(map(str, restart))}: has changed, and takes effect at a restart")
    show(_reload_summary(outcome))


def complain_of_refusal(error: "ControlError") -> int:
    """Print the faults for which the daemon refused a configuration; their number."""
    faults = _faults_of(error.faults)
    if faults:
        complain(fault_text(faults, "error"), prefix="")
    return len(faults)


def _faults_of(found: "Sequence[Json]") -> "list[Fault]":
    """The faults that the daemon lists; entries of other forms are left out."""
    from chatredirect.config import Fault

    return [
        Fault(str(each["file"]), int(str(each["line"])), int(str(each["column"])), message)
        for each in found
        if isinstance(each, dict) and isinstance(message := each.get("message"), str)
    ]


def _reload_summary(outcome: "Mapping[str, Json]") -> str:
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


def status(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every endpoint and every pool.", show_default=False),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Show it every 2 seconds, until Ctrl-C.", show_default=False
        ),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show what the running daemon serves, what goes through it, and what is wrong.

    Exit status: 0 if it could be asked, whatever is wrong with endpoints and pools, 69 if it isn't
    running, 77 if it isn't permitted.
    """
    from chatredirect.control.client import ControlError, ask

    path = control_socket(config, socket)
    on_event = (_show_json if as_json else _show_rows) if everything else None
    try:
        while True:
            try:
                wanted: Mapping[str, Json] = {"all": everything}
                result = ask(path, "status", wanted, on_event=on_event, timeout=_STATUS_SECONDS)
            except ControlError as error:
                exit_ = failure(str(error), error.status)
                if not watch:
                    raise exit_ from None
            else:
                if as_json:
                    _show_json(result)
                else:
                    _draw(result, watch)
            if not watch:
                return
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _show_json(line: "Mapping[str, Json]") -> None:
    show(json.dumps(line))


def _show_rows(line: "Mapping[str, Json]") -> None:
    from chatredirect.status.sheet import endpoint_row, pool_row

    for name, row in (("endpoints", endpoint_row), ("pools", pool_row)):
        found = line.get(name)
        some = found if isinstance(found, list) else []
        rows = [row(each) for each in some if isinstance(each, dict)]
        if rows:
            show("\n".join(rows))


def _draw(result: "Mapping[str, Json]", watch: bool) -> None:
    import sys

    from rich.console import Console

    from chatredirect.status.sheet import WIDTH, draw

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH, highlight=False, soft_wrap=False)
    with console.capture() as captured:
        draw(result, console)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    show((_CLEAR if watch and terminal else "") + "\n".join(lines))


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
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show or change how much the running daemon logs.

    A change falls back to the configuration's level by itself after its time; a reload doesn't end
    it.

    Exit status: 0 if done, 2 if there is no such level, 69 if the daemon isn't running, 77 if it
    isn't permitted.
    """
    from chatredirect.control.client import ControlError, ask

    wanted: dict[str, Json] = {"seconds": seconds(lasting)}
    if level is not None:
        wanted["level"] = level
    try:
        result = ask(control_socket(config, socket), "log-level", wanted)
    except ControlError as error:
        raise failure(str(error), error.status) from None
    if as_json:
        _show_json(result)
        return
    until = result.get("until")
    text = f"The level is {result.get('level')}"
    if isinstance(until, int | float):
        then = time.strftime("%H:%M:%S", time.localtime(until))
        text += f" until {then}, then {result.get('configured')}"
    show(f"{text}.")
