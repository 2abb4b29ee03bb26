"""Options that commands about endpoints share; each has the cmdlet's name beside its own."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class ModeName(StrEnum):
    """What `--mode` may be."""

    REDIRECT = "redirect"
    PROXY = "proxy"
    LOOKUP = "lookup"


class StateName(StrEnum):
    """What `--state` may be."""

    ACTIVE = "active"
    MAINTENANCE = "maintenance"
    DISABLED = "disabled"


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
    ModeName | None, _choice("--mode", "What requests get; redirect unless given.")
]
PortOption: TypeAlias = Annotated[
    str | None, _value("--port", "PORT", "The pool's port; without it DNS decides.")
]
TransportOption: TypeAlias = Annotated[
    str | None,
    _value("--transport", "udp|tcp|tls", "The pool's transport; without it DNS decides."),
]
StateOption: TypeAlias = Annotated[
    StateName | None,
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
    """The identity, wherever it stands.

    Raises:
        typer.BadParameter: it stands in both places, differently.
    """
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter("two identities are given: one endpoint at a time")
    return option if argument is None else argument


def confirmed(question: str) -> bool:
    """Ask on standard error; only y and yes are a yes, the end of input is none."""
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    try:
        answer = input()
    except EOFError:
        typer.echo("", err=True)
        return False
    return answer.strip().lower() in ("y", "yes")
