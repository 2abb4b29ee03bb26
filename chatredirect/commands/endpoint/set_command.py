"""`chatredirect endpoint set`: what a cmdlet Set-CsPersistentChatEndpoint would do."""

import typer

from chatredirect.commands.endpoint.endpoint_options import (
    ActiveFromOption,
    ConfirmOption,
    DisplayNameOption,
    IdentityArgument,
    IdentityOption,
    ModeOption,
    PassThruOption,
    PoolOption,
    PortOption,
    ReloadOption,
    StateOption,
    TransportOption,
    WhatIfOption,
    confirmed,
    one_identity,
)
from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, SocketOption
from chatredirect.commands.output import show


def set_(
    argument: IdentityArgument = None,
    identity: IdentityOption = None,
    persistent_chat_pool_fqdn: PoolOption = None,
    display_name: DisplayNameOption = None,
    mode: ModeOption = None,
    port: PortOption = None,
    transport: TransportOption = None,
    state: StateOption = None,
    active_from: ActiveFromOption = None,
    what_if: WhatIfOption = False,
    confirm: ConfirmOption = False,
    pass_thru: PassThruOption = False,
    reload: ReloadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an endpoint that has a file of its own; comments in the file stay.

    An empty value ("") takes a display name, port, transport or time away. A new state without a
    time takes away a time that has passed, for from then on the endpoint would be active.

    Exit status: 0 if it is done; 1 if there is no such endpoint, if it stands in the main file or
    beside others, or the answer was no; 2 if a value is wrong; 74 or 77 if its file can't be
    written; 78 if the configuration can't be used. Then nothing has been changed. With --reload
    also what reload says; if the service isn't running (69), the change stays.
    """
    from chatredirect.commands.endpoint import endpoint_change
    from chatredirect.commands.endpoint.new_endpoints import shown
    from chatredirect.commands.endpoint.proposal import CommandTarget

    wanted = one_identity(argument, identity)
    if not wanted:
        raise typer.BadParameter("is missing", param_hint="--identity")
    given = {
        "pool_fqdn": persistent_chat_pool_fqdn,
        "display_name": display_name,
        "mode": None if mode is None else mode.value,
        "port": port,
        "transport": transport,
        "state": None if state is None else state.value,
        "active_from": active_from,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        raise typer.BadParameter("give what is to be different, as in --state maintenance")
    work = endpoint_change.ChangeRequest(
        CommandTarget(config, socket, reload, as_json), wanted, values
    )
    if what_if:
        would = endpoint_change.show_what_if(work)
        if as_json:
            show(shown([would], as_json=True))
        return
    if confirm and not confirmed(f"Change {work.propose().endpoint.sip_address}?"):
        raise typer.Exit(1)
    endpoint = endpoint_change.change(work)
    if pass_thru or as_json:
        show(shown([endpoint], as_json=as_json))
