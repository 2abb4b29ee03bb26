"""The command line, `chatredirect COMMAND`: lists the commands of `chatredirect.commands`."""

import os
import signal
import sys
from typing import Annotated, cast

import typer

import chatredirect
from chatredirect import codec
from chatredirect.commands.check_command import check
from chatredirect.commands.daemon_commands import log_level, reload, status
from chatredirect.commands.endpoint import app as endpoint
from chatredirect.commands.endpoint.powershell import understand
from chatredirect.commands.help_text import Command, Group
from chatredirect.commands.output import (
    answer_in_json,
    complain,
    failure,
    is_lost,
    json_wanted,
    show,
)
from chatredirect.commands.page_command import page
from chatredirect.commands.probe_command import probe
from chatredirect.commands.resolve_command import resolve
from chatredirect.commands.run_command import run
from chatredirect.commands.trace_command import trace
from chatredirect.commands.usage_commands import app as usage
from chatredirect.control.protocol import USAGE_ERROR

app = typer.Typer(
    name="chatredirect",
    help="Redirects a SIP contact object's traffic to its Persistent Chat pool.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=Command)(run)
app.command(cls=Command)(reload)
app.command(cls=Command)(check)
app.command(cls=Command)(resolve)
app.command(cls=Command)(probe)
app.add_typer(endpoint, name="endpoint")
app.add_typer(usage, name="usage")
app.command(cls=Command)(status)
app.command(cls=Command)(trace)
app.command(cls=Command)(page)
app.command("log-level", cls=Command)(log_level)


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


# typer exports only this one of the exceptions that its parser raises; its base has them all.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run the command line that this process was started with."""
    answer_in_json(sys.argv[1:])
    try:
        _run(sys.argv[1:])
    except typer.Exit as ended:  # of what isn't run by typer; a failure has been printed
        sys.exit(ended.exit_code)


def _run(arguments: list[str]) -> None:
    try:
        understood = understand(arguments)
    except ValueError as error:
        remedy = "chatredirect endpoint --help describes the parameters"
        raise failure(str(error), USAGE_ERROR, remedy=remedy) from None
    for note in understood.notes:
        complain(note)
    answer_in_json(understood.arguments)
    if json_wanted():
        raise typer.Exit(_run_for_scripts(understood.arguments))
    try:
        app(understood.arguments, prog_name="chatredirect")
    except OSError:  # of --help, which prints by itself
        if is_lost():
            sys.exit(os.EX_IOERR)
        raise


def _run_for_scripts(arguments: list[str]) -> int:
    """Run a command that was given --json; its exit status. A usage error is an object too."""
    try:
        status = app(arguments, standalone_mode=False)
    except typer.Abort:
        return 1
    except _UsageError as error:
        path = "chatredirect" if error.ctx is None else error.ctx.command_path
        remedy = f"{path} --help describes the arguments"
        hint = getattr(error, "param_hint", None)
        where = hint if isinstance(hint, str) else ""
        raise failure(error.format_message(), error.exit_code, where=where, remedy=remedy) from None
    return status if isinstance(status, int) else 0
