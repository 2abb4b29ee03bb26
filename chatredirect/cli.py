"""The command line, `chatredirect COMMAND`: lists the commands of `chatredirect.commands`."""

import os
import signal
import sys
from typing import Annotated

import typer

import chatredirect
from chatredirect import codec
from chatredirect.commands.check_command import check
from chatredirect.commands.daemon_commands import log_level, reload, status
from chatredirect.commands.endpoint import app as endpoint
from chatredirect.commands.endpoint.powershell import understand
from chatredirect.commands.output import complain, is_lost, show
from chatredirect.commands.probe_command import probe
from chatredirect.commands.resolve_command import resolve
from chatredirect.commands.run_command import run
from chatredirect.commands.trace_command import trace
from chatredirect.control.protocol import USAGE_ERROR

app = typer.Typer(
    name="chatredirect",
    help="Redirects a SIP contact object's traffic to its Persistent Chat pool.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(reload)
app.command()(check)
app.command()(resolve)
app.command()(probe)
app.add_typer(endpoint, name="endpoint")
app.command()(status)
app.command()(trace)
app.command("log-level")(log_level)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"chatredirect {chatredirect.__version__} (codec: {codec.NAME})")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Redirects a SIP contact object's traffic to its Persistent Chat pool."""
    # A command begins: from here on Ctrl-C raises KeyboardInterrupt again, see __main__.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Run the command line that this process was started with."""
    try:
        understood = understand(sys.argv[1:])
    except ValueError as error:
        complain(str(error))
        sys.exit(USAGE_ERROR)
    for note in understood.notes:
        complain(note)
    try:
        app(understood.arguments)
    except OSError:  # of --help, which prints by itself
        if is_lost():
            sys.exit(os.EX_IOERR)
        raise
