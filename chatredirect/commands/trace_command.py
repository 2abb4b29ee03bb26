"""`chatredirect trace`: shows live messages, with what the daemon decided and why."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.daemon_request import request
from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    SocketOption,
    control_socket,
    seconds,
)
from chatredirect.commands.output import complain, failure, painted, show, show_drawn, show_line
from chatredirect.control.protocol import number_in
from chatredirect.runtime.wording import counted, error_text, is_terminal, wants_colours

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
        typer.Option("--from", metavar="TEXT", help="Calls whose From contains this text."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="SIP_URI", help="Calls to this endpoint."),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            "--peer",
            metavar="ADDRESS|NAME",
            help="What comes from this IP address, or from the peer with this host name: it is in "
            "the certificate that the peer has shown, or DNS gives the peer's address for it when "
            "the trace begins. Refused and closed connections are included.",
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

    Exit status: 0 when it ends as it was asked to, 2 if the filter can't be used, 69 if the daemon
    isn't running, 75 if it stopped or eight traces are running already, 77 if it isn't permitted.
    """
    from contextlib import ExitStack

    wanted: dict[str, Json] = {
        "call_id": call_id, "from": caller, "endpoint": endpoint, "peer": peer,
    }  # fmt: skip
    if all(value is None for value in wanted.values()):
        raise typer.BadParameter("name the calls to show: --call-id, --from, --endpoint or --peer")
    wanted |= {"seconds": seconds(lasting), "unmask": unmask}
    path = control_socket(config, socket)
    with ExitStack() as stack:

        def outputs() -> "list[Callable[[Sighting], None]]":
            made = [_printer(as_json, verbose)]
            return made if write is None else [*made, _capture(write, stack)]

        try:
            reader = _TraceReader(outputs, as_json, peer)
            result = request(path, "trace", wanted, on_event=reader, timeout=_SILENCE)
        except KeyboardInterrupt:
            return
    if as_json:
        _show_notice("over", result)
        return
    complain(_summary(lasting, result, endpoint))


def _summary(lasting: str, result: "Mapping[str, Json]", endpoint: str | None) -> str:
    """What a trace has shown whose time has passed."""
    lasting = f"{lasting} s" if lasting.isdecimal() else lasting
    calls, seen, left_out = (number_in(result, name) for name in ("calls", "seen", "left_out"))
    if not seen:
        spelling = "; chatredirect endpoint get shows how endpoints are spelt" if endpoint else ""
        return (
            f"the trace ended after {lasting}: no message and no event matched the filter{spelling}"
        )
    text = (
        f"the trace ended after {lasting}: {counted(calls, 'call')}, {seen:,} messages and events"
    )
    return f"{text}, of which {left_out:,} were not shown" if left_out else text


class _TraceReader:
    """Reads the daemon's lines, and passes what it has seen to the outputs.

    The outputs are made when the daemon has begun: before that, it may refuse.
    """

    def __init__(
        self,
        make_outputs: "Callable[[], list[Callable[[Sighting], None]]]",
        as_json: bool,
        peer: str | None,
    ) -> None:
        self._make_outputs = make_outputs
        self._peer = peer
        self._as_json = as_json
        self._outputs: list[Callable[[Sighting], None]] = []
        self._warned = False

    def __call__(self, line: "Mapping[str, Json]") -> None:
        from chatredirect.trace.sighting import BadSighting, from_json

        kind = line.get("kind")
        if kind == "begun":
            from chatredirect.net.addresses import is_address

            complain("tracing; Ctrl-C ends it")
            peer = self._peer
            if peer is not None and not line.get("addresses") and not is_address(peer):
                complain(
                    f"DNS has no address for {peer}: only peers whose certificate has this "
                    "name are shown"
                )
            self._outputs = self._make_outputs()
            if self._as_json:
                _show_notice("begun", {})
        elif kind == "left_out" and self._as_json:
            _show_notice("left_out", {"left_out": line.get("number")})
        elif kind == "left_out":
            number = number_in(line, "number")
            complain(
                f"{number:,} messages and events not shown so far: more came than a trace shows"
            )
        elif kind != "alive":
            try:
                sighting = from_json(line)
            except BadSighting:
                if not self._warned:
                    complain(
                        "the daemon sent a line that this command doesn't know: is one of the two "
                        "older?"
                    )
                self._warned = True
                return
            for output in self._outputs:
                output(sighting)


def _show_notice(kind: str, counts: "Mapping[str, Json]") -> None:
    """Print a line that is no message; `kind` is `begun`, `left_out` or `over`."""
    names = ("calls", "seen", "left_out")
    show_line("trace-notice", {"kind": kind, **{name: counts.get(name) for name in names}})


def _printer(as_json: bool, verbose: bool) -> "Callable[[Sighting], None]":
    import shutil
    import sys

    from chatredirect.trace.call_ladder import MAX_WIDTH, MIN_WIDTH, Ladder, colour_of
    from chatredirect.trace.sighting import for_people

    if as_json:
        return lambda sighting: show_line("trace", for_people(sighting))
    terminal = is_terminal(sys.stdout)
    width = shutil.get_terminal_size((MIN_WIDTH, 24)).columns if terminal else MIN_WIDTH
    ladder = Ladder(min(width, MAX_WIDTH), whole=verbose)
    show(ladder.heading())

    coloured = wants_colours(sys.stdout)

    def draw(sighting: "Sighting") -> None:
        style = colour_of(sighting) if coloured else ""
        for line in ladder.lines(sighting):
            show_drawn(painted(line, style))

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
                what = f"{path}: another user's file, or one with two names"
                raise failure(what, os.EX_IOERR, where=str(path), remedy="name a new file")
            os.fchmod(descriptor, 0o600)  # an old file may be readable for everybody
            os.ftruncate(descriptor, 0)
    except OSError as error:
        if error.errno == ELOOP:
            what, remedy = f"{path}: a symbolic link", "name the file itself"
            raise failure(what, os.EX_IOERR, where=str(path), remedy=remedy) from None
        raise _unwritable(path, error) from None
    stack.callback(os.close, descriptor)
    return PcapWriter(write).add


def _unwritable(path: Path, error: OSError) -> typer.Exit:
    return failure(str(path), os.EX_IOERR, where=str(path), why=error_text(error))
