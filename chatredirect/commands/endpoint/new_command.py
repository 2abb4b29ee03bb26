"""`chatredirect endpoint new`: what New-CsPersistentChatEndpoint does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.endpoint.endpoint_options import (
    ActiveFromOption,
    ConfirmOption,
    DisplayNameOption,
    ModeOption,
    PassThruOption,
    PoolOption,
    PortOption,
    ReloadOption,
    SipAddressOption,
    StateOption,
    TransportOption,
    WhatIfOption,
    confirmed,
)
from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, SocketOption
from chatredirect.commands.output import show

if TYPE_CHECKING:
    from chatredirect.commands.endpoint.new_endpoints import NewEndpoints


def new(
    sip_address: SipAddressOption = None,
    persistent_chat_pool_fqdn: PoolOption = None,
    display_name: DisplayNameOption = None,
    mode: ModeOption = None,
    port: PortOption = None,
    transport: TransportOption = None,
    state: StateOption = None,
    active_from: ActiveFromOption = None,
    from_csv: Annotated[
        Path | None,
        typer.Option(
            "--from-csv",
            metavar="FILE",
            help="Make an endpoint of each row, or none at all; what other options say counts for "
            "rows that don't. `Get-CsPersistentChatEndpoint | Export-Csv FILE` writes such a file; "
            "- is standard input.",
            show_default=False,
        ),
    ] = None,
    what_if: WhatIfOption = False,
    confirm: ConfirmOption = False,
    pass_thru: PassThruOption = False,
    reload: ReloadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an endpoint: a file of its own in the folder that the configuration includes.

    It is validated together with the whole configuration before anything is written. The
    parameters of New-CsPersistentChatEndpoint are understood as well: -SipAddress,
    -PersistentChatPoolFqdn, -DisplayName, -WhatIf and so on.

    Exit status: 0 if it is made; 1 if there is one with this URI already, or the answer was no;
    2 if a value is wrong, 65 for those of a CSV file; 74 or 77 if its file can't be written; 78 if
    the configuration can't be used, or would lead back to itself. Then nothing has been changed.
    With --reload also what reload says; if the service isn't running (69), the change stays.
    """
    from chatredirect.commands.endpoint import new_endpoints
    from chatredirect.commands.endpoint.proposal import CommandTarget

    given = {
        "sip_address": sip_address,
        "pool_fqdn": persistent_chat_pool_fqdn,
        "display_name": display_name,
        "mode": None if mode is None else mode.value,
        "port": port,
        "transport": transport,
        "state": None if state is None else state.value,
        "active_from": active_from,
    }
    keys = {name: value for name, value in given.items() if value}
    where = CommandTarget(config, socket, reload, as_json)
    work = (
        new_endpoints.from_options(keys, where)
        if from_csv is None
        else new_endpoints.from_rows(from_csv, keys, where)
    )
    if what_if:
        would = new_endpoints.show_what_if(work)
        if as_json:
            show(new_endpoints.shown(would, as_json=True))
        return
    if confirm and not _asked(work):
        raise typer.Exit(1)
    made = new_endpoints.make(work)
    if pass_thru or as_json:
        show(new_endpoints.shown(made, as_json=as_json))


def _asked(work: "NewEndpoints") -> bool:
    from chatredirect.commands.endpoint import new_endpoints

    work.propose()
    return confirmed(f"Make {new_endpoints.named(work.endpoints)}?")
