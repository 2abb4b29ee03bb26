"""`chatredirect trace`: shows live messages, with what the daemon decided and why."""

import json
import os
from collections.abc import Callable
from pathlib import Path
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
from chatredirect.commands.output import complain, failure, show
from chatredirect.runtime.wording import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from chatredirect.control.protocol import Json
    from chatredirect.trace.sighting import Sighting

_SILENCE = 30.0  # seconds; the daemon sends a line every few seconds


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
    as_json: JsonOption = False,
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

    from chatredirect.control.client import ControlError, ask

    wanted: dict[str, Json] = {
        "call_id": call_id, "from": caller, "endpoint": endpoint, "peer": peer,
    }  # fmt: skip
    if all(value is None for value in wanted.values()):
        raise typer.BadParameter("name whose: --call-id, --from, --endpoint or --peer")
    wanted |= {"seconds": seconds(lasting), "unmask": unmask}
    path = control_socket(config, socket)
    with ExitStack() as stack:

        def outputs() -> "list[Callable[[Sighting], None]]":
            made = [_printer(as_json, verbose)]
            return made if write is None else [*made, _capture(write, stack)]

        try:
            result = ask(path, "trace", wanted, on_event=_TraceReader(outputs), timeout=_SILENCE)
        except KeyboardInterrupt:
            return
        except ControlError as error:
            raise failure(str(error), error.status) from None
    left_out = result.get("left_out")
    more = f", {left_out} of these left out" if left_out else ""
    complain(f"{lasting} are over: {result.get('calls')} calls, {result.get('seen')} seen{more}")


class _TraceReader:
    """Reads the daemon's lines, and passes what it has seen to the outputs.

    The outputs are made when the daemon has begun: before that, it may refuse.
    """

    def __init__(self, make_outputs: "Callable[[], list[Callable[[Sighting], None]]]") -> None:
        self._make_outputs = make_outputs
        self._outputs: list[Callable[[Sighting], None]] = []
        self._warned = False

    def __call__(self, line: "Mapping[str, Json]") -> None:
        from chatredirect.trace.sighting import BadSighting, from_json

        kind = line.get("kind")
        if kind == "begun":
            complain("tracing; Ctrl-C ends it")
            self._outputs = self._make_outputs()
        elif kind == "left_out":
            complain(f"{line.get('number')} left out so far: more than is shown in a trace")
        elif kind != "alive":
            try:
                sighting = from_json(line)
            except BadSighting:
                if not self._warned:
                    complain("the daemon shows what this command doesn't know: another version?")
                self._warned = True
                return
            for output in self._outputs:
                output(sighting)


def _printer(as_json: bool, verbose: bool) -> "Callable[[Sighting], None]":
    import shutil
    import sys

    from chatredirect.trace.call_ladder import MAX_WIDTH, MIN_WIDTH, Ladder
    from chatredirect.trace.sighting import for_people

    if as_json:
        return lambda sighting: show(json.dumps(for_people(sighting)))
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((MIN_WIDTH, 24)).columns if terminal else MIN_WIDTH
    ladder = Ladder(min(width, MAX_WIDTH), whole=verbose)
    show(ladder.heading())

    def draw(sighting: "Sighting") -> None:
        for line in ladder.lines(sighting):
            show(line)

    return draw


def _capture(path: Path, stack: "ExitStack") -> "Callable[[Sighting], None]":
    from errno import ELOOP
    from stat import S_ISREG

    from chatredirect.trace.pcap import PcapWriter

    def write(octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:  # unbuffered, so that a reader of the growing file sees whole packets
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            raise _unwritable(path, error) from None

    try:
        # The capture contains people's messages, so nobody else may read it. Another user may have
        # put a link or a file there, to have the link's target overwritten or to read the file.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        if path.is_symlink() and path.exists() and not path.is_file():
            flags = os.O_WRONLY | os.O_CLOEXEC  # /dev/stdout
        descriptor = os.open(path, flags, 0o600)
        status = os.fstat(descriptor)
        if S_ISREG(status.st_mode):
            if status.st_uid != os.geteuid() or status.st_nlink > 1:
                os.close(descriptor)
                text = f"{path}: another user's file, or one with two names: name a new file"
                raise failure(text, os.EX_IOERR)
            os.fchmod(descriptor, 0o600)  # an old file may be readable for everybody
            os.ftruncate(descriptor, 0)
    except OSError as error:
        if error.errno == ELOOP:
            text = f"{path}: a symbolic link: name the file itself"
            raise failure(text, os.EX_IOERR) from None
        raise _unwritable(path, error) from None
    stack.callback(os.close, descriptor)
    return PcapWriter(write).add


def _unwritable(path: Path, error: OSError) -> typer.Exit:
    return failure(f"{path}: {error_text(error)}", os.EX_IOERR)
