"""Options that the commands for endpoints share. Each help text names the cmdlet's parameter."""

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import typer

from chatredirect.commands.options import OptionValues, one_of
from chatredirect.commands.output import complain, failure
from chatredirect.runtime.wording import is_terminal

_Mode: TypeAlias = Literal["redirect", "proxy", "lookup"]
_State: TypeAlias = Literal["active", "maintenance", "disabled"]
_Transport: TypeAlias = Literal["udp", "tcp", "tls"]


def _option(name: str, help_text: str, metavar: str | None = None) -> object:
    return typer.Option(name, metavar=metavar, help=help_text, show_default=False)


def _words(name: str, help_text: str, values: OptionValues) -> object:
    return typer.Option(name, help=help_text, show_default=False, **values)


def _or_nothing(values: OptionValues) -> OptionValues:
    """The same values, and an empty one, which takes the key away."""
    parse = values["parser"]
    return OptionValues(
        parser=lambda text: parse(text) if text.strip() else "", metavar=values["metavar"]
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
    _Mode | None,
    _words(
        "--mode",
        "What requests get: Group Chat clients need lookup. For a new endpoint a terminal is "
        "asked; else it is redirect.",
        one_of(*get_args(_Mode)),
    ),
]
PortOption: TypeAlias = Annotated[
    str | None, _option("--port", "The pool's port; without it DNS decides.", "PORT")
]
TransportOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--transport",
        "The pool's transport; without it DNS decides.",
        _or_nothing(one_of(*get_args(_Transport))),
    ),
]
RedirectStatusOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--redirect-status",
        "The redirect's status code; 302 unless given.",
        _or_nothing(one_of("300", "301", "302", "305")),
    ),
]
MethodsOption: TypeAlias = Annotated[
    str | None,
    _option("--methods", "Serve only these, as in INVITE,SUBSCRIBE; others get 405.", "LIST"),
]
ContactOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--contact",
        "What Contact names: the pool, its targets' host names, or their addresses.",
        _or_nothing(one_of("fqdn", "targets", "addresses")),
    ),
]
OnAllDownOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--on-all-down",
        "What requests get while no target of the pool works: 480, or as always.",
        _or_nothing(one_of("unavailable", "serve")),
    ),
]
PeersOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--peers",
        "Whom a redirect is for; others get 403.",
        _or_nothing(one_of("anyone", "trusted")),
    ),
]
ChannelUrisOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--channel-uris",
        "Where the mode lookup leads: those that work, in turn; with commas between several. "
        "Without it: the pool.",
        "SIP_URIS",
    ),
]
ContactUriOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--contact-uri", "The Contact of the mode lookup; without it our own address.", "SIP_URI"
    ),
]
RewriteOption: TypeAlias = Annotated[
    str | None,
    _words(
        "--rewrite",
        "The Request-URI that the mode proxy sends on: as it came, or the pool's.",
        _or_nothing(one_of("keep", "pool")),
    ),
]
StateOption: TypeAlias = Annotated[
    _State | None,
    _words(
        "--state",
        "maintenance tells clients to come again (480, lookups 503), disabled answers 404.",
        one_of(*get_args(_State)),
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
        "Make an endpoint for each row, or none if one is faulty; other options count where a cell "
        "is empty. `Get-CsPersistentChatEndpoint | Export-Csv FILE` writes such a file; - is "
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
    _option(
        "--persistent-chat-pool-fqdn",
        "Only endpoints of this pool (-PersistentChatPoolFqdn).",
        "FQDN",
    ),
]
FilterOption: TypeAlias = Annotated[
    str | None,
    _option(
        "--filter", "Only endpoints that match: SipAddress -like '*contoso.com' (-Filter).", "TEXT"
    ),
]
ResultSizeOption: TypeAlias = Annotated[
    str | None,
    _option("--result-size", "At most so many, or unlimited (-ResultSize).", "NUMBER"),
]
ForceOption: TypeAlias = Annotated[
    bool, _option("--force", "Succeed also if there is no such endpoint (-Force).")
]
WhatIfOption: TypeAlias = Annotated[
    bool, _option("--what-if", "Only say what would be done (-WhatIf).")
]
IgnoreUsageOption: TypeAlias = Annotated[
    bool, _option("--ignore-usage", "Don't look who used it last, and don't ask about that.")
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


_MODE_QUESTION = """\
Which clients is the endpoint for?
  lookup    Group Chat clients (OCS 2007 R2, Lync 2010), which follow no SIP redirect
  redirect  user agents and front ends that follow a 302
  proxy     clients that follow nothing, or of which you don't know"""


def asked_mode() -> str | None:
    """The mode of a new endpoint for which none is given: a terminal is asked. None without one.

    Raises:
        typer.Exit: the answer was no mode.
    """
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return None
    from chatredirect.config.faults import did_you_mean, quoted

    complain(_MODE_QUESTION, prefix="")
    typer.echo("Mode [lookup]: ", err=True, nl=False)
    try:
        answer = input().strip().lower() or "lookup"
    except EOFError:
        typer.echo("", err=True)
        raise typer.Exit(1) from None
    if answer not in get_args(_Mode):
        hint = did_you_mean(answer, get_args(_Mode))
        raise failure(f"there is no mode {quoted(answer)}{hint}; nothing has been made", 1)
    return answer


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
