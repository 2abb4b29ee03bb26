"""`chatredirect check`: is this configuration right, and what would be served where?"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigArgument, JsonOption
from chatredirect.commands.output import show

if TYPE_CHECKING:
    from chatredirect.commands.live_check import LivePool
    from chatredirect.config import ConfigError, EndpointSettings, Fault, Settings
    from chatredirect.net.target import PoolAddress

NOT_READY = 1
"""Exit status of `check --live`: the configuration is right, and not everything works."""
_SHOWN = 20  # endpoints listed as text


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
        warnings = (*config_warnings(settings), *_files(settings), *_states(settings, now))
    except ConfigError as error:
        _refused(error, as_json=as_json)
        raise typer.Exit(error.exit_status) from None
    if not offline:
        warnings += _asked(settings)
    pools = _looked(settings) if live else None
    if as_json:
        show(json.dumps(_json(settings, warnings, pools, now), indent=2))
    else:
        show("\n".join(_text(settings, warnings, pools, now)))
    if pools is not None and not _all_ready(settings, pools, now):
        raise typer.Exit(NOT_READY)


def _all_ready(settings: "Settings", pools: "dict[PoolAddress, LivePool]", now: float) -> bool:
    from chatredirect.commands.live_check import items_of
    from chatredirect.commands.readiness import is_ready

    return all(is_ready(items_of(each, pools, now)) for each in settings.endpoints)


def _states(settings: "Settings", now: float) -> "Iterator[Fault]":
    """Warnings about a `state` that `active_from` has overridden."""
    from chatredirect.config.warnings import at_endpoint

    for each in settings.endpoints:
        if (
            each.state != "active"
            and each.active_from is not None
            and each.state_at(now) == "active"
        ):
            message = (
                f"active_from has passed, so {each.sip_address} is active and not in {each.state}: "
                "take one of the two away"
            )
            yield at_endpoint(each, message)


def _files(settings: "Settings") -> "tuple[Fault, ...]":
    """The warnings about TLS files; ConfigError if they can't be used."""
    from chatredirect.config import TlsSettings

    if settings.tls == TlsSettings() and not settings.secure_listeners:
        return ()  # without the slow imports of what reads them
    from chatredirect.commands.live_check import tls_warnings

    return tls_warnings(settings)


def _asked(settings: "Settings") -> "tuple[Fault, ...]":
    """The warnings that need DNS."""
    from chatredirect.config.warnings import needs_srv

    if not any(needs_srv(endpoint, settings.dns) for endpoint in settings.endpoints):
        return ()  # without the slow imports of the resolver
    from chatredirect.commands.live_check import dns_warnings
    from chatredirect.log import silence

    silence()
    return dns_warnings(settings)


def _looked(settings: "Settings") -> "dict[PoolAddress, LivePool]":
    from chatredirect.commands.live_check import look
    from chatredirect.log import silence

    silence()
    return look(settings)


def _refused(error: "ConfigError", *, as_json: bool) -> None:
    from chatredirect.commands.fault_text import config_error_text, fault_json

    if as_json:
        answer = {"ok": False, "errors": [fault_json(fault) for fault in error.faults]}
        show(json.dumps(answer, indent=2))
    else:
        show(config_error_text(error))


def _text(
    settings: "Settings",
    warnings: "tuple[Fault, ...]",
    pools: "dict[PoolAddress, LivePool] | None",
    now: float,
) -> Iterator[str]:
    from chatredirect.commands.endpoint.listing import state_text
    from chatredirect.commands.fault_text import fault_lines
    from chatredirect.runtime.wording import counted

    yield from fault_lines(warnings, "warning")
    if warnings:
        yield ""
    addresses = {pool for endpoint in settings.endpoints for pool in endpoint.pools}
    yield f"listening on  {', '.join(map(str, settings.listen))}"
    yield f"endpoints     {len(settings.endpoints):,}, to {counted(len(addresses), 'pool')}"
    shown = settings.endpoints[:_SHOWN]
    width = max((len(str(endpoint.sip_address)) for endpoint in shown), default=0)
    for endpoint in shown:
        state = state_text(endpoint, now)
        also = "" if state == "active" else f", {state}"
        yield f"  {endpoint.sip_address!s:<{width}}  {_does(endpoint)}{also}"
    if len(settings.endpoints) > _SHOWN:
        yield f"  … and {len(settings.endpoints) - _SHOWN:,} more"
    servers = ", ".join(map(str, settings.dns.nameservers)) or "those of this system"
    yield f"name servers  {servers}; {counted(len(settings.dns.hosts), 'name')} in dns.hosts"
    yield f"files         {', '.join(settings.files[:_SHOWN])}" + (
        f" … and {len(settings.files) - _SHOWN:,} more" if len(settings.files) > _SHOWN else ""
    )
    with_warnings = f", with {counted(len(warnings), 'warning')}" if warnings else ""
    yield f"The configuration can be used{with_warnings}."
    if pools is not None:
        from chatredirect.commands.live_check import live_lines

        yield ""
        yield from live_lines(settings, pools, _SHOWN, now)


def _does(endpoint: "EndpointSettings") -> str:
    methods = f", only {' '.join(endpoint.methods)}" if endpoint.methods else ""
    if endpoint.mode == "lookup":
        return f"lookup to {', '.join(map(str, endpoint.channels))}{methods}"
    from chatredirect.commands.endpoint.listing import pool_text

    how = "proxy" if endpoint.mode == "proxy" else endpoint.redirect_status
    return f"{how} to {pool_text(endpoint)}{methods}"


def _channels(endpoint: "EndpointSettings") -> dict[str, object]:
    return {"channel_uris": list(map(str, endpoint.channels))} if endpoint.mode == "lookup" else {}


def _json(
    settings: "Settings",
    warnings: "tuple[Fault, ...]",
    pools: "dict[PoolAddress, LivePool] | None",
    now: float,
) -> dict[str, object]:
    from chatredirect.commands.fault_text import fault_json

    return {
        "ok": True,
        "files": settings.files,
        "fingerprint": settings.fingerprint,
        "listen": [str(url) for url in settings.listen],
        "endpoints": [
            {
                "sip_address": str(endpoint.sip_address),
                "pool_fqdn": endpoint.pool_fqdn,
                "port": endpoint.port,
                "transport": endpoint.transport,
                "mode": endpoint.mode,
                **_channels(endpoint),
                "state": endpoint.state_at(now),
                "active_from": _moment(endpoint),
                "source": endpoint.source,
            }
            for endpoint in settings.endpoints
        ],
        "warnings": [fault_json(fault) for fault in warnings],
        **({} if pools is None else _live_json(settings, pools, now)),
    }


def _live_json(
    settings: "Settings", pools: "dict[PoolAddress, LivePool]", now: float
) -> dict[str, object]:
    from chatredirect.commands.live_check import items_of
    from chatredirect.commands.readiness import is_ready

    found = [(each, items_of(each, pools, now)) for each in settings.endpoints]
    return {
        "pools": [pool.as_json() for pool in pools.values()],
        "readiness": [
            {
                "sip_address": str(endpoint.sip_address),
                "ready": is_ready(items),
                "items": [item.as_json() for item in items],
            }
            for endpoint, items in found
        ],
    }


def _moment(endpoint: "EndpointSettings") -> str | None:
    from chatredirect.config.moment import written

    return None if endpoint.active_from is None else written(endpoint.active_from)
