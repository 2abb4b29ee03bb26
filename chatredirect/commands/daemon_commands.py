"""`chatredirect reload`, `status` and `log-level`, which ask the running daemon."""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatredirect.commands.daemon_request import faults_of, request
from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    SocketOption,
    control_socket,
    one_of,
    seconds,
)
from chatredirect.commands.output import (
    complain,
    fault_text,
    show,
    show_drawn,
    show_line,
    show_object,
)
from chatredirect.runtime.wording import counted, is_terminal, local_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chatredirect.control.protocol import Json

_RELOAD_SECONDS = 30.0  # of silence; a daemon that is at work sends a line every few seconds
_WATCH_SECONDS = 2.0
_UNWRAPPED = 100_000  # columns, where no terminal says how many there are
_CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: the cursor home, and everything erased


def reload(
    what_if: Annotated[
        bool,
        typer.Option("--what-if", help="Only say what a reload would change.", show_default=False),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Have the running daemon read its configuration again, and wait for the result.

    Endpoints, pools, listeners, TLS files, log level and limits change in place. A faulty
    configuration is refused as a whole, and the old one serves on. With --what-if the daemon reads
    and checks the files, and says what would be different; nothing changes.

    Exit status: 0 if the new configuration is in force, 78 if it is faulty, 69 if an address
    can't be listened on or the daemon isn't running, 77 if it isn't permitted.
    """
    command = "reload-what-if" if what_if else "reload"
    outcome = request(control_socket(config, socket), command, timeout=_RELOAD_SECONDS)
    if as_json:
        show_object(command, outcome)
        return
    listed, restart = outcome.get("warnings"), outcome.get("restart")
    warnings = faults_of(listed if isinstance(listed, list) else ())
    if warnings:
        complain(fault_text(warnings, "warning"), prefix="")
    if isinstance(restart, list) and restart and not what_if:
        complain(f"{', '.join(map(str, restart))}: has changed, and takes effect at a restart")
    show("\n".join(_what_if_lines(outcome)) if what_if else _reload_summary(outcome))


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


def _what_if_lines(outcome: "Mapping[str, Json]") -> "Iterator[str]":
    if not outcome.get("changed"):
        yield "What if: a reload would change nothing."
        return
    yield "What if: a reload would change this."
    for noun in ("endpoint", "pool"):
        kinds = outcome.get(f"{noun}s")
        for kind, each in kinds.items() if isinstance(kinds, dict) else ():
            count = each.get("count") if isinstance(each, dict) else None
            named = each.get("named") if isinstance(each, dict) else None
            if not isinstance(count, int) or not isinstance(named, list) or not count:
                continue
            yield f"{counted(count, noun)} {kind}:"
            yield from (f"  {name}" for name in named)
            if count > len(named):
                yield f"  … and {count - len(named):,} more"
    settings, restart = outcome.get("settings"), outcome.get("restart")
    if isinstance(settings, list) and settings:
        yield f"settings changed: {', '.join(map(str, settings))}"
    if isinstance(restart, list) and restart:
        yield f"only at a restart: {', '.join(map(str, restart))}"


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
    timeout: Annotated[
        float,
        typer.Option(
            help="How long to wait for the daemon's answer.", metavar="SECONDS", min=0.1, max=3600
        ),
    ] = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show what the running daemon serves, what goes through it, and what is wrong.

    Exit status: 0 if it could be asked, whatever is wrong with endpoints and pools, 69 if it isn't
    running, 75 if it hasn't answered in time, 77 if it isn't permitted.
    """
    path = control_socket(config, socket)
    on_event = (_show_lines if as_json else _show_rows) if everything else None
    try:
        while True:
            try:
                wanted: Mapping[str, Json] = {"all": everything}
                result = request(path, "status", wanted, on_event=on_event, timeout=timeout)
            except typer.Exit as ended:
                if not watch or ended.exit_code == os.EX_IOERR:
                    raise
            else:
                result = _with_difference(result)
                if as_json:
                    show_line("status", result)
                else:
                    _draw(result, watch)
            if not watch:
                return
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _with_difference(result: "Mapping[str, Json]") -> "Mapping[str, Json]":
    """The answer, with whether the files are other ones now than those in force.

    The command looks, and not the daemon: it may be asked often, and the files may be many.
    """
    from chatredirect.config.loader import fingerprint_of_files

    configuration = result.get("configuration")
    if not isinstance(configuration, dict):
        return result
    file, include = configuration.get("file"), configuration.get("include")
    differs: bool | None = None
    if isinstance(file, str) and isinstance(include, str | None):
        with suppress(OSError, ValueError):  # this user may not read them
            now = fingerprint_of_files(file, include)
            differs = now != configuration.get("fingerprint")
    return {**result, "configuration": {**configuration, "files_differ": differs}}


def _show_lines(line: "Mapping[str, Json]") -> None:
    for name, kind in (("endpoints", "status-endpoint"), ("pools", "status-pool")):
        for each in _listed(line, name):
            show_line(kind, each)


def _show_rows(line: "Mapping[str, Json]") -> None:
    from chatredirect.status.sheet import endpoint_row, pool_row

    for name, row in (("endpoints", endpoint_row), ("pools", pool_row)):
        rows = [row(each) for each in _listed(line, name)]
        if rows:
            show("\n".join(rows))


def _listed(line: "Mapping[str, Json]", name: str) -> "list[dict[str, Json]]":
    found = line.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _draw(result: "Mapping[str, Json]", watch: bool) -> None:
    import sys

    from rich.console import Console

    from chatredirect.status.sheet import draw

    terminal = is_terminal(sys.stdout)
    console = Console(width=None if terminal else _UNWRAPPED, highlight=False, soft_wrap=False)
    with console.capture() as captured:
        draw(result, console, one_line=not terminal)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    show_drawn((_CLEAR if watch and terminal else "") + "\n".join(lines))


def log_level(
    level: Annotated[
        Literal["debug", "info", "warning", "error", "configured"] | None,
        typer.Argument(
            parser=one_of("debug", "info", "warning", "error", "configured")["parser"],
            metavar="LEVEL",
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
    wanted: dict[str, Json] = {"seconds": seconds(lasting)}
    if level is not None:
        wanted["level"] = level
    result = request(control_socket(config, socket), "log-level", wanted)
    if as_json:
        show_object("log-level", result)
        return
    until = result.get("until")
    text = f"The level is {result.get('level')}"
    if isinstance(until, int | float):
        then = local_time(until)
        text += f" until {then}, then {result.get('configured')}"
    show(f"{text}.")
