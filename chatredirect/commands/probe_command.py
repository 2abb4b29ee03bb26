"""`chatredirect probe`: sends a request as a client would, and shows what comes back."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from chatredirect.commands.output import complain, config_failure, failure, show
from chatredirect.commands.tls_options import (
    AuthoritiesOption,
    CertificateOption,
    CiphersOption,
    CommonNameOption,
    MinimumVersionOption,
    NoCertificateOption,
    PrivateKeyOption,
    SrvNamesOption,
    TlsNameOption,
    TlsOptions,
    WildcardsOption,
    connect_over_tls,
)
from chatredirect.control.protocol import USAGE_ERROR

if TYPE_CHECKING:
    from chatredirect.config import DnsSettings, TlsSettings
    from chatredirect.probe.call import ProbePlan
    from chatredirect.probe.probe import Ending, Watcher

EXIT_STATUS = {"answered": 0, "refused": 1, "unreached": os.EX_UNAVAILABLE}
DEFAULT_SECONDS = 5.0
MIN_SECONDS, MAX_SECONDS = 0.1, 3600.0


def probe(
    context: typer.Context,
    uri: Annotated[
        str, typer.Argument(metavar="SIP_URI", help="The contact object, as clients have it.")
    ],
    via: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where to send it: udp://HOST:PORT, tcp:// or tls://, IPv6 in brackets. "
            "Without it, DNS says where the URI leads.",
        ),
    ] = None,
    method: Annotated[
        Literal["INVITE", "SUBSCRIBE", "OPTIONS"],
        typer.Option(case_sensitive=False, help="The request to send."),
    ] = "INVITE",
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
    lookup: Annotated[
        bool,
        typer.Option(
            "--lookup",
            help="Ask the contact object for a channel service, as a Group Chat client does.",
            show_default=False,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show whole messages.", show_default=False),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    tls_name: TlsNameOption = None,
    certificate: CertificateOption = None,
    private_key: PrivateKeyOption = None,
    no_certificate: NoCertificateOption = False,
    ca: AuthoritiesOption = None,
    minimum_version: MinimumVersionOption = None,
    ciphers: CiphersOption = None,
    common_name: CommonNameOption = None,
    wildcards: WildcardsOption = None,
    srv_names: SrvNamesOption = None,
) -> None:
    """Send a request as a client would, and show what comes back.

    Then the Contact of the answer, and where it leads by DNS as the configuration's `dns` has it;
    if there is no configuration, the system's name servers are asked. A call that is accepted is
    hung up at once. With --lookup the contact object is asked for a channel service before that,
    and it is shown where its URI leads. Over TLS the server has to prove the name of the host that
    was asked for.

    Exit status: 0 if the final answer is 2xx or 3xx, 1 if it is another (with --follow also if no
    Contact leads on, with --lookup also if no channel service is named), 2 if an option can't be
    used, 69 if there is no final answer, 78 if a file
    given with --config can't be used.
    """
    from chatredirect.log import silence

    options = TlsOptions(
        certificate=certificate,
        private_key=private_key,
        no_certificate=no_certificate,
        ca=ca,
        minimum_version=minimum_version,
        ciphers=ciphers,
        common_name=common_name,
        wildcards=wildcards,
        srv_names=srv_names,
    )
    plan = _plan(uri, via, tls_name, method, from_uri, seconds, follow, lookup)
    silence()
    named = getattr(context.get_parameter_source("config"), "name", "") == "COMMANDLINE"
    dns, tls = _sections(config, named=named)
    tls = _opened(options, tls)
    if as_json:
        from chatredirect.probe.report import JsonReport

        collected = JsonReport(verbose=verbose)
        ending = _probe(plan, dns, tls, collected)
        show(json.dumps(collected.as_json(ending), indent=2))
    else:
        from chatredirect.probe.report import TextReport

        printed = TextReport(method, show, complain, verbose=verbose)
        ending = _probe(plan, dns, tls, printed)
    raise typer.Exit(EXIT_STATUS[ending.value])


def _plan(
    uri: str,
    via: str | None,
    tls_name: str | None,
    method: str,
    from_uri: str | None,
    seconds: float,
    follow: bool,
    lookup: bool,
) -> "ProbePlan":
    from chatredirect.client.next_hop import next_hop, parse_target_uri, parse_via
    from chatredirect.config.address_syntax import parse_host_name
    from chatredirect.probe.call import ProbePlan
    from chatredirect.sip.uri import parse_uri

    where = "--timeout"
    try:
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:  # nor is nan
            raise ValueError(f"must be from {MIN_SECONDS} to {MAX_SECONDS} seconds")
        where = "--lookup"
        if lookup and method != "INVITE":
            raise ValueError("begins with an INVITE: leave --method out")
        where = "SIP_URI"
        target = parse_target_uri(uri)
        if via is None:
            next_hop(parse_uri(target))
        where = "--from"
        caller = None if from_uri is None else parse_target_uri(from_uri)
        where = "--via"
        hop = None if via is None else parse_via(via)
        where = "--tls-name"
        name = None if tls_name is None else parse_host_name(tls_name)
        if name is not None and (hop or next_hop(parse_uri(target))).transport not in (None, "tls"):
            raise ValueError("means nothing without TLS: write --via tls://HOST:PORT")
    except ValueError as error:
        raise failure(f"{where}: {error}", USAGE_ERROR) from None
    return ProbePlan(
        method=method.encode("ascii"),
        uri=target,
        via=hop,
        tls_name=name,
        from_uri=caller,
        seconds=seconds,
        follow=follow,
        lookup=lookup,
    )


def _sections(config: Path, *, named: bool) -> "tuple[DnsSettings, TlsSettings]":
    """The configuration's; the defaults if it isn't `named` and can't be used."""
    from chatredirect.config import ConfigError, DnsSettings, TlsSettings, load

    if not named and not os.path.exists(config):  # never raises
        return DnsSettings(), TlsSettings()
    try:
        settings = load(config)
    except ConfigError as error:
        if named:
            raise config_failure(error) from None
        complain(f"{error.faults[0]}: the system's name servers are asked instead")
        return DnsSettings(), TlsSettings()
    return settings.dns, settings.tls


def _opened(options: TlsOptions, configured: "TlsSettings") -> "TlsSettings":
    """The TLS settings with the options, whose files are checked even if TLS isn't used."""
    from chatredirect.transport.tls_contexts import TlsError, client_context

    settings = configured
    try:
        settings = options.over(configured)
        if options.given:
            client_context(settings)
    except TlsError as error:
        fault = str(error)
        if settings.certificate is not None and options.certificate is None:
            fault += " (the configuration's certificate is left away with --no-certificate)"
        raise failure(fault, USAGE_ERROR) from None
    except ValueError as error:
        raise failure(str(error), USAGE_ERROR) from None
    return settings


def _probe(
    plan: "ProbePlan", dns: "DnsSettings", tls: "TlsSettings", watcher: "Watcher"
) -> "Ending":
    import asyncio

    from chatredirect.client.wire import CONNECTS
    from chatredirect.dns.resolver import Resolver
    from chatredirect.probe.probe import Probe

    connects = {**CONNECTS, "tls": connect_over_tls(tls)}

    async def run() -> "Ending":
        resolver = Resolver(dns)
        try:
            return await Probe(plan, resolver, watcher, connects).run()
        finally:
            await resolver.aclose()

    return asyncio.run(run())
