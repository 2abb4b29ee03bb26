"""`chatredirect status`: the running daemon at a glance, troubles first."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, SocketOption
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatredirect.control.protocol import Json

_PAUSE = 2.0  # seconds between two looks
_CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: the cursor home, and everything erased


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
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show what the running daemon serves, what goes through it, and what is wrong.

    Exit status: 0 if it could be asked, whatever is wrong with endpoints and pools, 69 if it isn't
    running, 77 if it isn't permitted.
    """
    from chatredirect.commands.options import control_socket
    from chatredirect.control.client import ControlError

    path = control_socket(config, socket)
    try:
        while True:
            try:
                _show(path, everything, json, watch)
            except ControlError as error:
                complain(str(error))
                if not watch:
                    raise typer.Exit(error.status) from None
            if not watch:
                return
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        return


def _show(path: str, everything: bool, json: bool, watch: bool) -> None:
    """Ask once and show it.

    Raises:
        ControlError: it can't be asked.
    """
    from chatredirect.control.client import ask

    on_event = (_json_line if json else _rows) if everything else None
    result = ask(path, "status", {"all": everything}, on_event=on_event, timeout=60)
    if json:
        _json_line(result)
    else:
        _draw(result, watch)


def _json_line(line: "Mapping[str, Json]") -> None:
    import json

    show(json.dumps(line))


def _rows(line: "Mapping[str, Json]") -> None:
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
