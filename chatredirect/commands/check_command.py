"""`chatredirect check`: is this configuration right, and what would be served where?"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigArgument, JsonOption
from chatredirect.commands.output import (
    config_error_text,
    config_failure,
    fault_text,
    json_wanted,
    show,
    show_object,
)

if TYPE_CHECKING:
    from chatredirect.commands.live_pools import Resolution
    from chatredirect.commands.readiness import LiveCheck
    from chatredirect.config import EndpointSettings, Fault, Settings
    from chatredirect.net.target import PoolAddress

_NOT_READY = 1
"""Exit status of `check --live`: an endpoint isn't ready, or another instance differs."""
_SHOWN = 20  # endpoints or files listed as text
_MAX_POOLS = 100
"""Pools to resolve for warnings; a check must not be a load test of a name server."""


def check(
    file: ConfigArgument = DEFAULT_CONFIG,
    live: Annotated[
        bool, typer.Option("--live", help="Also resolve every pool and ping every target.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no name server.")] = False,
    show_effective: Annotated[
        bool,
        typer.Option(
            "--effective",
            help="Print the configuration with all defaults; secrets are masked.",
        ),
    ] = False,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="NAME",
            help="As root: judge with this user's rights; else with those of the service's user, "
            "if it is installed.",
        ),
    ] = None,
    as_json: JsonOption = False,
    as_elsewhere: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", readable=False, hidden=True)
    ] = None,
) -> None:
    """Check a configuration file and all that it includes.

    Prints every fault with its file and line, or what would be served where, with warnings.
    Nothing is started. Name servers are asked only for pools that have neither port nor
    transport, which without SRV records means UDP. With --live every pool is resolved and every
    target pinged, each endpoint is ready or not ready, and other instances are compared with this.

    As root it judges with the rights of the service's user: files that root can read, and the
    service can't, are errors in the configuration that the service's unit names, and warnings in
    others.

    Exit status: 0 if the configuration and the certificates and keys that it names can be used,
    78 if not; with --live, 1 if it can be used but an endpoint isn't ready, or an instance differs.
    """
    from chatredirect.commands.as_service import load_as_service
    from chatredirect.config import ConfigError
    from chatredirect.config import warnings as config_warnings

    if live and offline:
        raise typer.BadParameter("--live and --offline exclude each other")
    if live and show_effective:
        raise typer.BadParameter("--live and --effective exclude each other")
    now = time.time()
    try:
        settings = load_as_service(
            as_elsewhere or file, pipe=True
        )  # every other command has --config
        rights = _rights(settings, user)
        warnings = [
            *rights.warnings,
            *config_warnings(settings),
            *_tls_warnings(settings),
            *_state_warnings(settings, now),
        ]
    except ConfigError as error:
        if json_wanted():
            raise config_failure(error) from None
        show(config_error_text(error))  # on standard output, since it is what was asked for
        raise typer.Exit(error.exit_status) from None
    if show_effective:
        _show_effective(settings, as_json=as_json)
        return
    if not offline:
        warnings += _dns_warnings(settings)
    checked = _Checked(
        settings, warnings, rights.user, now, _live_check(settings, now) if live else None
    )
    if as_json:
        show_object("check", checked.as_json())
    else:
        show("\n".join(checked.lines()))
    if checked.live is not None and not checked.live.all_ready():
        raise typer.Exit(_NOT_READY)


@dataclass(frozen=True, slots=True)
class _Rights:
    """With whose rights files were judged, and what is wrong that doesn't decide."""

    user: str | None = None
    warnings: "tuple[Fault, ...]" = ()


def _rights(settings: "Settings", named: str | None) -> _Rights:
    """Judge with the rights of the service's user, or of the user who is named.

    Raises:
        ConfigError: the user can't use the configuration, which is the service's own.
        typer.BadParameter: nobody can be judged.
    """
    from chatredirect.commands.as_service import is_same, unit_with
    from chatredirect.commands.service_files import faults_of_service, service_user
    from chatredirect.config import ConfigError, Fault
    from chatredirect.systemd.unit_file import installed_unit

    if os.geteuid() != 0:
        if named is not None:
            why = "only root can take on another user's rights: use sudo"
            raise typer.BadParameter(why, param_hint="--user")
        return _Rights()
    main = settings.files[0]
    unit = unit_with(main) or installed_unit()
    name = named or (None if unit is None else unit.user)
    if name is None:
        return _Rights()
    if unit is not None and unit.user != name:
        unit = None  # its sandbox is for its own user
    own = unit is not None and unit.config is not None and is_same(unit.config, main)
    try:
        faults = faults_of_service(settings, service_user(name, unit), unit)
    except LookupError as error:
        if named is not None:
            raise typer.BadParameter(str(error), param_hint="--user") from None
        faults = [Fault(main, 0, 0, f"the service's unit: {error}")]
    if faults and (own or named is not None):
        raise ConfigError(faults)
    return _Rights(name, tuple(faults))


def _show_effective(settings: "Settings", *, as_json: bool) -> None:
    from chatredirect.commands.effective import as_yaml, effective

    if as_json:
        body = {"files": settings.files, "configuration": effective(settings)}
        show_object("effective", body)
    else:
        show(as_yaml(settings))


def _live_check(settings: "Settings", now: float) -> "LiveCheck":
    from chatredirect.commands.live_pools import look
    from chatredirect.commands.other_instances import ask_instances
    from chatredirect.commands.readiness import LiveCheck
    from chatredirect.log import silence

    silence()
    return LiveCheck(settings, look(settings), now, ask_instances(settings))


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

    if settings.tls == TlsSettings() and not settings.tls_profiles:
        return []  # before the slow imports of what reads the files
    from chatredirect.transport.certificates import Certificates, file_warnings, missing_names
    from chatredirect.transport.tls_contexts import TlsError

    main = settings.files[0] if settings.files else "(settings)"
    listeners = settings.tls_profiles
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
    warnings += (Fault(file, 0, 0, why) for file, why in missing_names(settings))
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
    """A configuration that can be used; `live` has the results of --live.

    `user` is the user with whose rights files were judged; None for the one that runs the command.
    """

    settings: "Settings"
    warnings: "list[Fault]"
    user: str | None
    now: float
    live: "LiveCheck | None"

    def lines(self) -> Iterator[str]:
        from chatredirect.commands.endpoint.endpoint_values import state_text
        from chatredirect.config.warnings import sample_values
        from chatredirect.runtime.wording import counted

        settings = self.settings
        if self.warnings:
            yield fault_text(self.warnings, "warning")
            yield ""
        samples = list(sample_values(settings))
        if samples:
            yield fault_text(samples, "to change")
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
        if self.user is not None:
            yield f"rights        those of user {self.user}"
        with_warnings = f", with {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        yield f"The configuration can be used{with_warnings}."
        if self.live is not None:
            yield ""
            yield from self.live.lines(_SHOWN)

    def as_json(self) -> dict[str, object]:
        from chatredirect.config.warnings import sample_values

        return {
            "user": self.user,
            "files": self.settings.files,
            "fingerprint": self.settings.fingerprint,
            "listen": [str(url) for url in self.settings.listen],
            "endpoints": [_endpoint_json(each, self.now) for each in self.settings.endpoints],
            "warnings": [asdict(fault) for fault in self.warnings],
            "samples": [asdict(fault) for fault in sample_values(self.settings)],
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
