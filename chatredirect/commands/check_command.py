"""`chatredirect check`: is this configuration right, and what would be served where?"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigArgument, JsonOption
from chatredirect.commands.output import config_error_text, fault_text, show

if TYPE_CHECKING:
    from chatredirect.commands.live_pools import Resolution
    from chatredirect.commands.readiness import LiveCheck
    from chatredirect.config import EndpointSettings, Fault, Settings
    from chatredirect.net.target import PoolAddress

_NOT_READY = 1
"""Exit status of `check --live`: the configuration is right, and an endpoint isn't ready."""
_SHOWN = 20  # endpoints or files listed as text
_MAX_POOLS = 100
"""Pools to resolve for warnings; a check must not be a load test of a name server."""


def check(
    file: ConfigArgument = DEFAULT_CONFIG,
    live: Annotated[
        bool, typer.Option("--live", help="Also resolve every pool and ping every target.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no name server.")] = False,
    as_json: JsonOption = False,
    as_elsewhere: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", readable=False, hidden=True)
    ] = None,
) -> None:
    """Check a configuration file and all that it includes.

    Prints every fault with its file and line, or what would be served where, with warnings.
    Nothing is started. Name servers are asked only for pools that have neither port nor
    transport, which without SRV records means UDP. With --live every pool is resolved and every
    target pinged, and each endpoint is ready or not ready.

    Exit status: 0 if the configuration and the certificates and keys that it names can be used,
    78 if not; with --live, 1 if it can be used
    but an endpoint isn't ready.
    """
    from chatredirect.config import ConfigError, load
    from chatredirect.config import warnings as config_warnings

    if live and offline:
        raise typer.BadParameter("--live and --offline exclude each other")
    now = time.time()
    try:
        settings = load(as_elsewhere or file, pipe=True)  # every other command has --config
        warnings = [
            *config_warnings(settings),
            *_tls_warnings(settings),
            *_state_warnings(settings, now),
        ]
    except ConfigError as error:
        if as_json:
            answer = {"ok": False, "errors": [asdict(fault) for fault in error.faults]}
            show(json.dumps(answer, indent=2))
        else:
            show(config_error_text(error))
        raise typer.Exit(error.exit_status) from None
    if not offline:
        warnings += _dns_warnings(settings)
    checked = _Checked(settings, warnings, now, _live_check(settings, now) if live else None)
    if as_json:
        show(json.dumps(checked.as_json(), indent=2))
    else:
        show("\n".join(checked.lines()))
    if checked.live is not None and not checked.live.all_ready():
        raise typer.Exit(_NOT_READY)


def _live_check(settings: "Settings", now: float) -> "LiveCheck":
    from chatredirect.commands.live_pools import look
    from chatredirect.commands.readiness import LiveCheck
    from chatredirect.log import silence

    silence()
    return LiveCheck(settings, look(settings), now)


def _state_warnings(settings: "Settings", now: float) -> "Iterator[Fault]":
    """Warnings about a `state` that `active_from` has overridden."""
    from chatredirect.config.warnings import at_endpoint

    for each in settings.endpoints:
        if each.state != "active" and each.state_at(now) == "active":
            message = (
                f"active_from has passed, so {each.sip_address} is active and not in {each.state}: "
                "take one of the two away"
            )
            yield at_endpoint(each, message)


def _tls_warnings(settings: "Settings") -> "list[Fault]":
    """Load all TLS files; return the warnings about them.

    Raises:
        ConfigError: files, or ciphers, that can't be used.
    """
    from chatredirect.config import ConfigError, Fault, TlsSettings

    if settings.tls == TlsSettings() and not settings.secure_listeners:
        return []  # before the slow imports of what reads the files
    from chatredirect.transport.certificates import Certificates, file_warnings
    from chatredirect.transport.tls_contexts import TlsError

    main = settings.files[0] if settings.files else "(settings)"
    listeners = settings.secure_listeners
    faults, warnings = list[Fault](), list[Fault]()
    for profile in dict.fromkeys((settings.tls, *listeners.values())):
        served = {url: each for url, each in listeners.items() if each == profile}
        outgoing = profile if profile == settings.tls else TlsSettings()
        try:
            Certificates(time.time).prepare(served, outgoing)
            found = file_warnings(profile, time.time())
            warnings += (Fault(file, 0, 0, why) for file, why in found)
        except TlsError as error:
            faults.append(Fault(main, 0, 0, f"tls: {error}"))
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    return list(dict.fromkeys(warnings))


def _dns_warnings(settings: "Settings") -> "Iterator[Fault]":
    """A warning for each pool without port and transport whose name has no SRV records.

    Takes as long as DNS does, at most `dns.lifetime` for each step of RFC 3263.
    """
    from chatredirect.config.warnings import needs_srv

    first: dict[PoolAddress, EndpointSettings] = {}
    for endpoint in settings.endpoints:
        if len(first) < _MAX_POOLS and needs_srv(endpoint, settings.dns):
            first.setdefault(endpoint.pool, endpoint)
    if not first:
        return  # before the slow imports of the resolver
    from chatredirect.commands.live_pools import resolve_all
    from chatredirect.log import silence

    silence()
    for resolution in resolve_all(first, settings):
        yield from _srv_warning(first[resolution.pool], resolution)


def _srv_warning(endpoint: "EndpointSettings", resolution: "Resolution") -> "Iterator[Fault]":
    from chatredirect.config.warnings import at_endpoint, udp_warning
    from chatredirect.dns.resolution import LocatedState

    located = resolution.located
    has_srv = any(step.type == "SRV" and step.records for step in resolution.trace)
    if located.state is not LocatedState.FOUND:
        where = endpoint.pool_fqdn
        yield at_endpoint(endpoint, f"{where} has no targets just now: {located.reason}")
    elif not has_srv and resolution.pool.transport is None:
        yield udp_warning(endpoint, "with neither port nor transport nor SRV records")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A configuration that can be used; `live` has the results of --live."""

    settings: "Settings"
    warnings: "list[Fault]"
    now: float
    live: "LiveCheck | None"

    def lines(self) -> Iterator[str]:
        from chatredirect.commands.endpoint.endpoint_values import state_text
        from chatredirect.runtime.wording import counted

        settings = self.settings
        if self.warnings:
            yield fault_text(self.warnings, "warning")
            yield ""
        addresses = {pool for endpoint in settings.endpoints for pool in endpoint.pools}
        yield f"listening on  {', '.join(map(str, settings.listen))}"
        yield f"endpoints     {len(settings.endpoints):,}, to {counted(len(addresses), 'pool')}"
        shown = settings.endpoints[:_SHOWN]
        width = max((len(str(endpoint.sip_address)) for endpoint in shown), default=0)
        for endpoint in shown:
            state = state_text(endpoint, self.now)
            also = "" if state == "active" else f", {state}"
            yield f"  {endpoint.sip_address!s:<{width}}  {_does(endpoint)}{also}"
        if len(settings.endpoints) > _SHOWN:
            yield f"  … and {len(settings.endpoints) - _SHOWN:,} more"
        servers = ", ".join(map(str, settings.dns.nameservers)) or "those of this system"
        yield f"name servers  {servers}; {counted(len(settings.dns.hosts), 'name')} in dns.hosts"
        more = f" … and {len(settings.files) - _SHOWN:,} more"
        yield f"files         {', '.join(settings.files[:_SHOWN])}" + (
            more if len(settings.files) > _SHOWN else ""
        )
        with_warnings = f", with {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        yield f"The configuration can be used{with_warnings}."
        if self.live is not None:
            yield ""
            yield from self.live.lines(_SHOWN)

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "files": self.settings.files,
            "fingerprint": self.settings.fingerprint,
            "listen": [str(url) for url in self.settings.listen],
            "endpoints": [_endpoint_json(each, self.now) for each in self.settings.endpoints],
            "warnings": [asdict(fault) for fault in self.warnings],
            **({} if self.live is None else self.live.as_json()),
        }


def _does(endpoint: "EndpointSettings") -> str:
    from chatredirect.commands.endpoint.endpoint_values import pool_text

    methods = f", only {' '.join(endpoint.methods)}" if endpoint.methods else ""
    if endpoint.mode == "lookup":
        return f"lookup to {', '.join(map(str, endpoint.channels))}{methods}"
    how = "proxy" if endpoint.mode == "proxy" else endpoint.redirect_status
    return f"{how} to {pool_text(endpoint)}{methods}"


def _endpoint_json(endpoint: "EndpointSettings", now: float) -> dict[str, object]:
    from chatredirect.config.endpoint import written

    channels = {"channel_uris": list(map(str, endpoint.channels))}
    return {
        "sip_address": str(endpoint.sip_address),
        "pool_fqdn": endpoint.pool_fqdn,
        "port": endpoint.port,
        "transport": endpoint.transport,
        "mode": endpoint.mode,
        **(channels if endpoint.mode == "lookup" else {}),
        "state": endpoint.state_at(now),
        "active_from": None if endpoint.active_from is None else written(endpoint.active_from),
        "source": endpoint.source,
    }
