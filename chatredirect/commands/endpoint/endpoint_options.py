"""Options that the commands for endpoints share. Each help text names the cmdlet's parameter."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer


def _option(name: str, help_text: str, metavar: str | None = None) -> object:
    return typer.Option(
        name, metavar=metavar, case_sensitive=False, help=help_text, show_default=False
    )


SipAddressOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--sip-address", "The endpoint's URI; `sip:` may be left out (-SipAddress).", "SIP_URI"
    ),
]
PoolOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--persistent-chat-pool-fqdn",
        "The pool that it leads to (-PersistentChatPoolFqdn).",
        "FQDN",
    ),
]
DisplayNameOption: TypeAlias = Annotated[
    str | None, _option("--display-name", "A name for people (-DisplayName).", "TEXT")
]
ModeOption: TypeAlias = Annotated[
    Literal["redirect", "proxy", "lookup"] | None,
    _option("--mode", "What requests get; redirect unless given."),
]
PortOption: TypeAlias = Annotated[
    str | None, _option("--port", "The pool's port; without it DNS decides.", "PORT")
]
TransportOption: TypeAlias = Annotated[
    str | None,
    _option("--transport", "The pool's transport; without it DNS decides.", "udp|tcp|tls"),
]
StateOption: TypeAlias = Annotated[
    Literal["active", "maintenance", "disabled"] | None,
    _option(
        "--state",
        "maintenance tells clients to come again (480, lookups 503), disabled answers 404.",
    ),
]
ActiveFromOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--active-from",
        "When it becomes active by itself, with the UTC offset: 2026-11-23T06:00:00+01:00.",
        "TIME",
    ),
]
CsvOption: TypeAlias = Annotated[
    Path | None,
    _option(
        "--from-csv",
        "Make an endpoint of each row, or none at all; what other options say counts for rows "
        "that don't. `Get-CsPersistentChatEndpoint | Export-Csv FILE` writes such a file; - is "
        "standard input.",
        "FILE",
    ),
]
IdentityArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[IDENTITY]", help="The same as --identity.", show_default=False),
]
IdentityOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--identity",
        "Its SIP address in any spelling, or its display name (-Identity).",
        "IDENTITY",
    ),
]
ThisPoolOption: TypeAlias = Annotated[
    str | None,
    _option("--persistent-chat-pool-fqdn", "Those of this pool (-PersistentChatPoolFqdn).", "FQDN"),
]
FilterOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--filter", "Those for which it is true: SipAddress -like '*contoso.com' (-Filter).", "TEXT"
    ),
]
ResultSizeOption: TypeAlias = Annotated[
    str | None,
    _option("--result-size", "At most so many, or unlimited (-ResultSize).", "NUMBER"),
]
ForceOption: TypeAlias = Annotated[
    bool, _option("--force", "It is all right if there is no such endpoint (-Force).")
]
WhatIfOption: TypeAlias = Annotated[
    bool, _option("--what-if", "Only say what would be done (-WhatIf).")
]
ConfirmOption: TypeAlias = Annotated[bool, _option("--confirm", "Ask before doing it (-Confirm).")]
PassThruOption: TypeAlias = Annotated[
    bool, _option("--pass-thru", "Show the endpoint afterwards (-PassThru).")
]
ReloadOption: TypeAlias = Annotated[
    bool,
    _option(
        "--reload", "Have the running service take it up at once; if it refuses, all is taken back."
    ),
]


def one_identity(argument: str | None, option: str | None) -> str | None:
    """The identity that is given as the argument or as the option.

    Raises:
        typer.BadParameter: both are given and differ.
    """
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter("two identities are given: one endpoint at a time")
    return option if argument is None else argument


def required_identity(argument: str | None, option: str | None) -> str:
    """The identity that is given as the argument or as the option.

    Raises:
        typer.BadParameter: none is given, or both are and differ.
    """
    identity = one_identity(argument, option)
    if not identity:
        raise typer.BadParameter("is missing", param_hint="--identity")
    return identity


def confirmed(question: str) -> bool:
    """Ask on standard error; only y and yes confirm, the end of input doesn't."""
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    try:
        answer = input()
    except EOFError:
        typer.echo("", err=True)
        return False
    return answer.strip().lower() in ("y", "yes")
