"""`chatredirect probe`: sends a request as a client would, and shows what comes back."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatredirect.commands import tls_options
from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, loaded, one_of
from chatredirect.commands.output import complain, failure, show, show_object
from chatredirect.control.protocol import USAGE_ERROR

if TYPE_CHECKING:
    from chatredirect.config import DnsSettings, TlsSettings
    from chatredirect.probe.call import ProbePlan
    from chatredirect.probe.probe import Ending, Watcher

_EXIT_STATUS = {"answered": 0, "refused": 1, "unreached": os.EX_UNAVAILABLE}
_NONCE_SECONDS = 2.0  # for the daemon to give one
_MIN_SECONDS, _MAX_SECONDS = 0.1, 3600.0


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
        typer.Option(help="The request to send.", **one_of("INVITE", "SUBSCRIBE", "OPTIONS")),
    ] = "INVITE",
    from_uri: Annotated[
        str | None, typer.Option("--from", metavar="SIP_URI", help="The From URI of the request.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--timeout",
            help="How long to wait for an answer.",
            metavar="SECONDS",
        ),
    ] = 5.0,
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
    tls_name: tls_options.TlsNameOption = None,
    certificate: tls_options.CertificateOption = None,
    private_key: tls_options.PrivateKeyOption = None,
    no_certificate: tls_options.NoCertificateOption = False,
    ca: tls_options.AuthoritiesOption = None,
    minimum_version: tls_options.MinimumVersionOption = None,
    ciphers: tls_options.CiphersOption = None,
    common_name: tls_options.CommonNameOption = None,
    wildcards: tls_options.WildcardsOption = None,
    srv_names: tls_options.SrvNamesOption = None,
) -> None:
    """Send a request as a client would, and show what comes back.

    Then the Contact of the answer, and where it leads by DNS as the configuration's `dns` has it;
    if there is no configuration, the system's name servers are asked. A call that is accepted is
    hung up at once. With --lookup the contact object is asked for a channel service before that,
    and it is shown where its URI leads. Over TLS the server has to prove the name of the host that
    was asked for.

    The daemon's ledger of uses doesn't count it, if the daemon's control socket may be used: see
    usage.

    Exit status: 0 if the final answer is 2xx or 3xx, 1 if it is another (with --follow also if no
    Contact leads on, with --lookup also if no channel service is named), 2 if an option can't be
    used, 69 if there is no final answer, 78 if a file given with --config can't be used.
    """
    import asyncio
    from dataclasses import replace

    from chatredirect.log import silence
    from chatredirect.probe.report import JsonReport, TextReport

    options = tls_options.TlsOptions(
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
    plan = replace(plan, nonce=_nonce(config))
    silence()
    named = getattr(context.get_parameter_source("config"), "name", "") == "COMMANDLINE"
    dns, tls = _sections(config, named=named)
    tls = _opened(options, tls)
    report: JsonReport | TextReport
    if as_json:
        report = JsonReport(verbose=verbose)
    else:
        report = TextReport(method, show, complain, verbose=verbose)
    ending = asyncio.run(_probe(plan, dns, tls, report))
    if isinstance(report, JsonReport):
        show_object("probe", report.as_json(ending))
    raise typer.Exit(_EXIT_STATUS[ending.value])


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
        if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:  # nan isn't in any range
            raise ValueError(f"must be from {_MIN_SECONDS} to {_MAX_SECONDS} seconds")
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
        raise failure(f"{where}: {error}", USAGE_ERROR, where=where) from None
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


def _nonce(config: Path) -> str:
    """The nonce of the daemon here, if it runs and we may ask it; else empty."""
    from chatredirect.config.control_socket import configured_socket
    from chatredirect.control.client import ControlError, ask

    path = configured_socket(config)
    try:
        nonce = "" if path is None else ask(path, "probe-nonce", timeout=_NONCE_SECONDS)["nonce"]
    except (ControlError, KeyError):  # then the ledger counts the probe
        return ""
    return nonce if isinstance(nonce, str) and nonce.isalnum() and nonce.isascii() else ""


def _sections(config: Path, *, named: bool) -> "tuple[DnsSettings, TlsSettings]":
    """The configuration's; the defaults if it isn't `named` and can't be used."""
    from chatredirect.commands.as_service import load_as_service
    from chatredirect.config import ConfigError, DnsSettings, TlsSettings

    if named:
        settings = loaded(config)
        return settings.dns, settings.tls
    if not os.path.exists(config):  # unlike Path.exists, it never raises
        return DnsSettings(), TlsSettings()
    try:
        settings = load_as_service(config)
    except ConfigError as error:
        complain(f"{error.faults[0]}: the system's name servers are asked instead")
        return DnsSettings(), TlsSettings()
    return settings.dns, settings.tls


def _opened(options: tls_options.TlsOptions, configured: "TlsSettings") -> "TlsSettings":
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


async def _probe(
    plan: "ProbePlan", dns: "DnsSettings", tls: "TlsSettings", watcher: "Watcher"
) -> "Ending":
    from chatredirect.client.wire import CONNECTS
    from chatredirect.dns.resolver import Resolver
    from chatredirect.probe.probe import Probe

    resolver = Resolver(dns)
    try:
        connects = {**CONNECTS, "tls": tls_options.connect_over_tls(tls)}
        return await Probe(plan, resolver, watcher, connects).run()
    finally:
        await resolver.aclose()
