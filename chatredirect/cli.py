"""The command line: `chatredirect COMMAND`, and `python -m chatredirect`.

Each command is a module in `chatredirect.commands`; this one only lists them.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

import chatredirect

COMMANDS = ("run", "check", "resolve", "probe")

app = typer.Typer(
    name="chatredirect",
    help="Redirects a SIP contact object's traffic to its Persistent Chat pool.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name in COMMANDS:
    _module = f"chatredirect.commands.{_name}"
    if find_spec(_module):
        app.command(_name)(getattr(import_module(_module), _name))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatredirect {chatredirect.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Redirects a SIP contact object's traffic to its Persistent Chat pool."""


def main() -> None:
    """Run the command line that this process was started with."""
    app()
