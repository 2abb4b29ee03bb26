"""Options that the commands for endpoints share. Each help text names the cmdlet's parameter."""

from typing import Annotated, Literal, TypeAlias

import typer


def _value(name: str, metavar: str, what: str) -> object:
    return typer.Option(name, metavar=metavar, help=what, show_default=False)


def _choice(name: str, what: str) -> object:
    return typer.Option(name, case_sensitive=False, help=what, show_default=False)


def _switch(name: str, what: str) -> object:
    return typer.Option(name, help=what, show_default=False)


SipAddressOption: TypeAlias = Annotated[
    str | None,
    _value("--sip-address", "SIP_URI", "The endpoint's URI; `sip:` may be left out (-SipAddress)."),
]
PoolOption: TypeAlias = Annotated[
    str | None,
    _value(
        "--persistent-chat-pool-fqdn",
        "FQDN",
        "The pool that it leads to (-PersistentChatPoolFqdn).",
    ),
]
DisplayNameOption: TypeAlias = Annotated[
    str | None, _value("--display-name", "TEXT", "A name for people (-DisplayName).")
]
ModeOption: TypeAlias = Annotated[
    Literal["redirect", "proxy", "lookup"] | None,
    _choice("--mode", "What requests get; redirect unless given."),
]
PortOption: TypeAlias = Annotated[
    str | None, _value("--port", "PORT", "The pool's port; without it DNS decides.")
]
TransportOption: TypeAlias = Annotated[
    str | None,
    _value("--transport", "udp|tcp|tls", "The pool's transport; without it DNS decides."),
]
StateOption: TypeAlias = Annotated[
    Literal["active", "maintenance", "disabled"] | None,
    _choice(
        "--state",
        "maintenance tells clients to come again (480, lookups 503), disabled answers 404.",
    ),
]
ActiveFromOption: TypeAlias = Annotated[
    str | None,
    _value(
        "--active-from",
        "TIME",
        "When it becomes active by itself, with the UTC offset: 2026-11-23T06:00:00+01:00.",
    ),
]
IdentityArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[IDENTITY]", help="The same as --identity.", show_default=False),
]
IdentityOption: TypeAlias = Annotated[
    str | None,
    _value(
        "--identity",
        "IDENTITY",
        "Its SIP address in any spelling, or its display name (-Identity).",
    ),
]
WhatIfOption: TypeAlias = Annotated[
    bool, _switch("--what-if", "Only say what would be done (-WhatIf).")
]
ConfirmOption: TypeAlias = Annotated[bool, _switch("--confirm", "Ask before doing it (-Confirm).")]
PassThruOption: TypeAlias = Annotated[
    bool, _switch("--pass-thru", "Show the endpoint afterwards (-PassThru).")
]
ReloadOption: TypeAlias = Annotated[
    bool,
    _switch(
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
    """The same; typer.BadParameter also if none is given."""
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
