"""`chatredirect trace`: the live messages of one caller, with what the daemon decided and why."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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
    from collections.abc import Mapping
    from contextlib import ExitStack

    from chatredirect.control.protocol import Json
    from chatredirect.trace.sighting import Sighting

_SILENT = 30.0  # seconds; the daemon says something every few


def trace(
    call_id: Annotated[
        str | None, typer.Option("--call-id", metavar="ID", help="The call with this Call-ID.")
    ] = None,
    caller: Annotated[
        str | None,
        typer.Option("--from", metavar="TEXT", help="Calls whose From has this in it."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="SIP_URI", help="Calls to this endpoint."),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            "--peer",
            metavar="ADDRESS",
            help="What comes from this IP address, its connections' fate included.",
        ),
    ] = None,
    lasting: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 90s, 5m, 2h.")
    ] = "10m",
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help="Write a capture for Wireshark or sngrep as well."
        ),
    ] = None,
    unmask: Annotated[
        bool,
        typer.Option("--unmask", help="Show passwords, keys and tickets.", show_default=False),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show whole messages.", show_default=False)
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Show live messages of the running daemon, decrypted, until Ctrl-C or the time is over.

    With several filters a call must fit all of them. Whatever belongs to a call that fits is shown,
    from both sides, with what the daemon decided and why. Secrets are masked.

    Exit status: 0 when it ends as it was asked to, 69 if the daemon isn't running, 75 if it
    stopped or has enough traces already, 77 if it isn't permitted.
    """
    from contextlib import ExitStack

    from chatredirect.commands.options import control_socket
    from chatredirect.control.client import ControlError, ask

    wanted: dict[str, Json] = {
        "call_id": call_id, "from": caller, "endpoint": endpoint, "peer": peer,
    }  # fmt: skip
    if all(value is None for value in wanted.values()):
        raise typer.BadParameter("name whose: --call-id, --from, --endpoint or --peer")
    wanted |= {"seconds": seconds(lasting), "unmask": unmask}
    path = control_socket(config, socket)
    with ExitStack() as stack:

        def takers() -> "list[Callable[[Sighting], None]]":
            made = [_taker(json, verbose)]
            return made if write is None else [*made, _capture(write, stack)]

        try:
            result = ask(path, "trace", wanted, on_event=_KeyReader(takers), timeout=_SILENT)
        except KeyboardInterrupt:
            return
        except ControlError as error:
            complain(str(error))
            raise typer.Exit(error.status) from None
    _show_end(result, lasting)


class _KeyReader:
    """Takes the daemon's lines.

    Nothing is printed or written before the daemon has begun: it may say no.
    """

    def __init__(self, make: "Callable[[], list[Callable[[Sighting], None]]]") -> None:
        self._make = make
        self._takers: list[Callable[[Sighting], None]] = []
        self._strange = False

    def __call__(self, line: "Mapping[str, Json]") -> None:
        from chatredirect.trace.sighting import BadSighting, from_json

        kind = line.get("kind")
        if kind == "begun":
            complain("tracing; Ctrl-C ends it")
            self._takers = self._make()
        elif kind == "left_out":
            complain(f"{line.get('number')} left out so far: more than is shown in a trace")
        elif kind != "alive":
            try:
                sighting = from_json(line)
            except BadSighting:
                if not self._strange:
                    complain("the daemon shows what this command doesn't know: another version?")
                self._strange = True
                return
            for take in self._takers:
                take(sighting)


def _taker(json: bool, verbose: bool) -> "Callable[[Sighting], None]":
    import shutil
    import sys

    from chatredirect.trace.call_ladder import MAX_WIDTH, MIN_WIDTH, Ladder

    if json:
        return _print_json
    fits = sys.stdout.isatty()
    width = shutil.get_terminal_size((MIN_WIDTH, 24)).columns if fits else MIN_WIDTH
    ladder = Ladder(min(width, MAX_WIDTH), whole=verbose)
    show(ladder.heading())

    def draw(sighting: "Sighting") -> None:
        for line in ladder.lines(sighting):
            show(line)

    return draw


def _print_json(sighting: "Sighting") -> None:
    import json

    from chatredirect.trace.sighting import for_people

    show(json.dumps(for_people(sighting)))


def _capture(path: Path, stack: "ExitStack") -> "Callable[[Sighting], None]":
    from errno import ELOOP
    from stat import S_ISREG

    from chatredirect.trace.pcap import PcapWriter

    def write(octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:  # at once: whoever looks at it while it grows sees whole packets
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            _fail(path, error)

    try:
        # Nobody else's business: it holds what people say to each other. A link may have been put
        # there by somebody else, to have its target written over; and so may a file.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        if path.is_symlink() and path.exists() and not path.is_file():
            flags = os.O_WRONLY | os.O_CLOEXEC  # /dev/stdout
        descriptor = os.open(path, flags, 0o600)
        status = os.fstat(descriptor)
        if S_ISREG(status.st_mode):
            if status.st_uid != os.geteuid() or status.st_nlink > 1:
                os.close(descriptor)
                complain(f"{path}: another user's file, or one with two names: name a new file")
                raise typer.Exit(os.EX_IOERR)
            os.fchmod(descriptor, 0o600)  # it may have been there, for everybody
            os.ftruncate(descriptor, 0)
    except OSError as error:
        if error.errno == ELOOP:
            complain(f"{path}: a symbolic link: name the file itself")
            raise typer.Exit(os.EX_IOERR) from None
        _fail(path, error)
    stack.callback(os.close, descriptor)
    return PcapWriter(write).add


def _fail(path: Path, error: OSError) -> NoReturn:
    from chatredirect.runtime.wording import error_text

    complain(f"{path}: {error_text(error)}")
    raise typer.Exit(os.EX_IOERR) from None


def _show_end(result: "Mapping[str, Json]", lasting: str) -> None:
    left_out = result.get("left_out")
    more = f", {left_out} of these left out" if left_out else ""
    complain(f"{lasting} are over: {result.get('calls')} calls, {result.get('seen')} seen{more}")
