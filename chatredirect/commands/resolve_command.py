"""`chatredirect resolve`: the targets that DNS gives for a pool, with every step."""

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    loaded,
    number,
    one_of,
)
from chatredirect.commands.output import failure, show, show_object

if TYPE_CHECKING:
    from chatredirect.commands.live_pools import Pinged, Resolution
    from chatredirect.config import Settings
    from chatredirect.net.target import Target

_EXIT_STATUS = {"found": 0, "none": 1, "failed": os.EX_TEMPFAIL}


def resolve(
    pool_fqdn: Annotated[str, typer.Argument(metavar="POOL_FQDN", help="The pool's host name.")],
    port: Annotated[
        int | None,
        typer.Option(help="The pool's port, as in an endpoint.", **number(1, 65535, "PORT")),
    ] = None,
    transport: Annotated[
        Literal["udp", "tcp", "tls"] | None,
        typer.Option(
            help="The pool's transport, as in an endpoint.", **one_of("udp", "tcp", "tls")
        ),
    ] = None,
    ping: Annotated[
        bool | None,
        typer.Option(
            "--ping/--no-ping",
            help="Send each target an OPTIONS and show whether it works. Without either, that is "
            "done if the configuration has `health`.",
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Resolve a pool as the daemon would, and show each step (RFC 3263).

    Then its targets in their order, with their health if they are pinged. Name servers and fixed
    names are the configuration's. Without --port and --transport, so are the port and transport:
    those of the endpoints that have this pool. The default configuration file may be missing; then
    the system's name servers are asked.

    Exit status: 0 if there are targets, 1 if DNS says that there are none, 75 if no name server
    could say, 78 if the configuration can't be used.
    """
    from chatredirect.commands.live_pools import resolution_text, resolve_all
    from chatredirect.config import parse_pool_fqdn
    from chatredirect.log import silence
    from chatredirect.net.target import PoolAddress

    try:
        fqdn = parse_pool_fqdn(pool_fqdn)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="POOL_FQDN") from None
    missing = config == DEFAULT_CONFIG and not config.exists()
    settings = None if missing else loaded(config)
    pools = [PoolAddress(fqdn, port, transport)]
    if settings is not None and pools == [PoolAddress(fqdn)]:
        configured = (each.pool for each in settings.endpoints if each.pool_fqdn == fqdn)
        pools = list(dict.fromkeys(configured)) or pools
    silence()
    found = resolve_all(pools, settings)
    health = _health(found, settings, ping)
    if as_json:
        answers = [{**resolution.as_json(), **_pings(resolution, health)} for resolution in found]
        show_object("resolve", {"pool_fqdn": fqdn, "resolutions": answers})
    else:
        show("\n\n".join(resolution_text(resolution, health or {}) for resolution in found))
    raise typer.Exit(max(_EXIT_STATUS[resolution.located.state.value] for resolution in found))


def _health(
    found: "list[Resolution]", settings: "Settings | None", ping: bool | None
) -> "dict[Target, Pinged] | None":
    """The results of pings of all targets; None if no pings are wanted."""
    from chatredirect.commands.live_pools import ping_all
    from chatredirect.config import Settings, parse_listen
    from chatredirect.transport.tls_contexts import TlsError

    if ping is None:
        ping = settings is not None and settings.health is not None
    if not ping:
        return None
    settings = settings or Settings(listen=(parse_listen("udp://127.0.0.1"),))
    try:
        return ping_all(found, settings)
    except TlsError as error:
        raise failure(str(error), os.EX_CONFIG) from None


def _pings(resolution: "Resolution", health: "dict[Target, Pinged] | None") -> dict[str, object]:
    if health is None:
        return {}
    return {"pings": [health[target].as_json() for target in resolution.located.targets]}
