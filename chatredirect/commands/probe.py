"""`chatredirect probe`: what would a client get that sends a request there?"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from chatredirect.client.probe import Ending, Plan, Watcher
    from chatredirect.config import DnsSettings

EXIT_STATUS = {"answered": 0, "refused": 1, "unreached": 69}  # EX_UNAVAILABLE
EX_USAGE = 2  # as for every other mistake on the command line
DEFAULT_SECONDS = 5.0
MIN_SECONDS, MAX_SECONDS = 0.1, 3600.0


class Method(StrEnum):
    """What `--method` may be."""

    INVITE = "INVITE"
    SUBSCRIBE = "SUBSCRIBE"
    OPTIONS = "OPTIONS"


def probe(
    context: typer.Context,
    uri: Annotated[
        str, typer.Argument(metavar="SIP_URI", help="The contact object, as clients have it.")
    ],
    via: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where to send it: udp://HOST:PORT or tcp://HOST:PORT, IPv6 in brackets. "
            "Without it, DNS says where the URI leads.",
        ),
    ] = None,
    method: Annotated[
        Method, typer.Option(case_sensitive=False, help="The request to send.")
    ] = Method.INVITE,
    from_uri: Annotated[
        str | None, typer.Option("--from", metavar="SIP_URI", help="Who asks.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", help="How long to wait for an answer."),
    ] = DEFAULT_SECONDS,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on to the Contact of a redirection.", show_default=False),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show whole messages.", show_default=False),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Send a request as a client would, and show what comes back.

    Then the Contact of the answer, and where it leads by DNS as the configuration's `dns` has it;
    if there is no configuration, the system's name servers are asked. A call that is accepted is
    hung up at once.

    Exit status: 0 if the final answer is 2xx or 3xx, 1 if it is another (with --follow also if no
    Contact leads on), 69 if there is none, 78 if a file given with --config can't be used.
    """
    from chatredirect.log import silence

    plan = _plan(uri, via, method, from_uri, seconds, follow)
    silence()
    named = getattr(context.get_parameter_source("config"), "name", "") == "COMMANDLINE"
    dns = _dns_settings(config, named=named)
    if as_json:
        from chatredirect.client.report import JsonReport

        collected = JsonReport(verbose=verbose)
        ending = _probe(plan, dns, collected)
        show(json.dumps(collected.as_json(ending), indent=2))
    else:
        from chatredirect.client.report import TextReport

        printed = TextReport(method.value, show, complain, verbose=verbose)
        ending = _probe(plan, dns, printed)
    raise typer.Exit(EXIT_STATUS[ending.value])


def _plan(
    uri: str, via: str | None, method: Method, from_uri: str | None, seconds: float, follow: bool
) -> "Plan":
    from chatredirect.client.next_hop import next_hop, parse_target_uri, parse_via
    from chatredirect.client.probe import Plan
    from chatredirect.sip.uri import parse_uri

    where = "--timeout"
    try:
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:  # nor is nan
            raise ValueError(f"must be from {MIN_SECONDS} to {MAX_SECONDS} seconds")
        where = "SIP_URI"
        target = parse_target_uri(uri)
        if via is None:
            next_hop(parse_uri(target))
        where = "--from"
        caller = None if from_uri is None else parse_target_uri(from_uri)
        where = "--via"
        hop = None if via is None else parse_via(via)
    except ValueError as error:
        complain(f"{where}: {error}")
        raise typer.Exit(EX_USAGE) from None
    return Plan(
        method=method.value.encode("ascii"),
        uri=target,
        via=hop,
        from_uri=caller,
        seconds=seconds,
        follow=follow,
    )


def _dns_settings(config: Path, *, named: bool) -> "DnsSettings":
    """The configuration's; the defaults if nobody named one on the command line and it's no use."""
    import os

    from chatredirect.commands.report import config_error_text
    from chatredirect.config import ConfigError, DnsSettings, load

    if not named and not os.path.exists(config):  # never raises
        return DnsSettings()
    try:
        return load(config).dns
    except ConfigError as error:
        if named:
            complain(config_error_text(error), prefix="")
            raise typer.Exit(error.exit_status) from None
        complain(f"{error.faults[0]}: the system's name servers are asked instead")
        return DnsSettings()


def _probe(plan: "Plan", dns: "DnsSettings", watcher: "Watcher") -> "Ending":
    import asyncio

    from chatredirect.client.probe import probe as run_probe
    from chatredirect.resolver import Resolver

    async def run() -> "Ending":
        resolver = Resolver(dns)
        try:
            return await run_probe(plan, resolver, watcher)
        finally:
            await resolver.aclose()

    return asyncio.run(run())
