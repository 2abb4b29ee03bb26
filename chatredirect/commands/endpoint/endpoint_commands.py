"""The command line of `chatredirect endpoint new`, `get`, `set` and `remove`."""

import time
from typing import TYPE_CHECKING

import typer

from chatredirect.commands.endpoint import endpoint_options as options
from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    SocketOption,
    loaded,
)
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatredirect.config import EndpointSettings


def new(
    sip_address: options.SipAddressOption = None,
    persistent_chat_pool_fqdn: options.PoolOption = None,
    display_name: options.DisplayNameOption = None,
    mode: options.ModeOption = None,
    port: options.PortOption = None,
    transport: options.TransportOption = None,
    state: options.StateOption = None,
    active_from: options.ActiveFromOption = None,
    from_csv: options.CsvOption = None,
    what_if: options.WhatIfOption = False,
    confirm: options.ConfirmOption = False,
    pass_thru: options.PassThruOption = False,
    reload: options.ReloadOption = False,
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
    from chatredirect.commands.endpoint.endpoint_values import named
    from chatredirect.commands.endpoint.new_endpoints import from_options, from_rows
    from chatredirect.commands.endpoint.proposal import CommandTarget

    given = {
        "sip_address": sip_address,
        "pool_fqdn": persistent_chat_pool_fqdn,
        "display_name": display_name,
        "mode": mode,
        "port": port,
        "transport": transport,
        "state": state,
        "active_from": active_from,
    }
    keys = {name: value for name, value in given.items() if value}
    where = CommandTarget(config, socket, reload, as_json)
    work = from_options(keys, where) if from_csv is None else from_rows(from_csv, keys, where)
    if confirm and not what_if:
        work.propose()  # so that faults are reported before the question
        if not options.confirmed(f"Make {named(work.endpoints)}?"):
            raise typer.Exit(1)
    made = work.show_what_if() if what_if else work.make()
    if as_json or (pass_thru and not what_if):
        _show(made, time.time(), as_json=as_json)


def _show(endpoints: "Sequence[EndpointSettings]", now: float, *, as_json: bool) -> None:
    from chatredirect.commands.endpoint.endpoint_values import json_text, sheet

    if as_json:
        show(json_text(endpoints, now))
    else:
        show("\n\n".join(sheet(each, now) for each in endpoints))


def get(
    argument: options.IdentityArgument = None,
    identity: options.IdentityOption = None,
    persistent_chat_pool_fqdn: options.ThisPoolOption = None,
    filter_: options.FilterOption = None,
    result_size: options.ResultSizeOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the endpoints of a configuration: all, one with everything about it, or some.

    What the running service knows of them: chatredirect status.

    Exit status: 0, 1 if there is no endpoint with this identity, 2 if the filter can't be read, 78
    if the configuration can't be used.
    """
    from chatredirect.commands.endpoint.endpoint_values import table
    from chatredirect.commands.endpoint.filters import parse_filter
    from chatredirect.commands.endpoint.proposal import identified

    wanted = options.one_identity(argument, identity)
    most = _number(result_size)
    now = time.time()
    try:
        condition = parse_filter(filter_, now) if filter_ is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from None
    pool = _pool(persistent_chat_pool_fqdn)
    settings = loaded(config)
    found = list(settings.endpoints)
    if wanted is not None:
        found = [identified(settings, wanted)]
    found = [
        each
        for each in found
        if (pool is None or each.pool_fqdn == pool) and (condition is None or condition(each))
    ][:most]
    if as_json or (wanted is not None and found):
        _show(found, now, as_json=as_json)
    elif found:
        show(table(found, now))
    elif settings.endpoints:
        complain("no endpoint is like that")
    else:
        complain(f"{config} has no endpoints yet: chatredirect endpoint new makes one")


def _number(text: str | None) -> int | None:
    if text is None or text.lower() == "unlimited":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise typer.BadParameter("must be a whole number or unlimited", param_hint="--result-size")
    return int(text)


def _pool(text: str | None) -> str | None:
    from chatredirect.config import parse_pool_fqdn

    if text is None:
        return None
    try:
        return parse_pool_fqdn(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--persistent-chat-pool-fqdn") from None


def set_(
    argument: options.IdentityArgument = None,
    identity: options.IdentityOption = None,
    persistent_chat_pool_fqdn: options.PoolOption = None,
    display_name: options.DisplayNameOption = None,
    mode: options.ModeOption = None,
    port: options.PortOption = None,
    transport: options.TransportOption = None,
    state: options.StateOption = None,
    active_from: options.ActiveFromOption = None,
    what_if: options.WhatIfOption = False,
    confirm: options.ConfirmOption = False,
    pass_thru: options.PassThruOption = False,
    reload: options.ReloadOption = False,
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
    from chatredirect.commands.endpoint.endpoint_change import ChangeRequest
    from chatredirect.commands.endpoint.proposal import CommandTarget

    wanted = options.required_identity(argument, identity)
    given = {
        "pool_fqdn": persistent_chat_pool_fqdn,
        "display_name": display_name,
        "mode": mode,
        "port": port,
        "transport": transport,
        "state": state,
        "active_from": active_from,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        raise typer.BadParameter("give what is to be different, as in --state maintenance")
    where = CommandTarget(config, socket, reload, as_json)
    work = ChangeRequest(where, wanted, values)
    if confirm and not what_if:
        endpoint = work.propose().endpoint
        if not options.confirmed(f"Change {endpoint.sip_address}?"):
            raise typer.Exit(1)
    after = work.show_what_if() if what_if else work.change()
    if as_json or (pass_thru and not what_if):
        _show([after], time.time(), as_json=as_json)


def remove(
    argument: options.IdentityArgument = None,
    identity: options.IdentityOption = None,
    force: options.ForceOption = False,
    what_if: options.WhatIfOption = False,
    confirm: options.ConfirmOption = False,
    reload: options.ReloadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
) -> None:
    """Remove an endpoint that has a file of its own: requests for its URI get 404 then.

    As the cmdlet does, it asks only with --confirm.

    Exit status: 0 if it is done; 1 if there is no such endpoint (0 with --force), if it stands in
    the main file or beside others, or the answer was no; 74 or 77 if its file can't be taken away;
    78 if the configuration can't be used. Then nothing has been changed. With --reload also what
    reload says; if the service isn't running (69), the change stays.
    """
    from chatredirect.commands.endpoint import endpoint_change
    from chatredirect.commands.endpoint.proposal import (
        CommandTarget,
        NoSuchEndpointError,
        find_by_identity,
    )

    wanted = options.required_identity(argument, identity)
    where = CommandTarget(config, socket, reload)
    if force:
        try:
            find_by_identity(loaded(config), wanted)
        except NoSuchEndpointError as error:
            show(f"{error.args[0]}; nothing to do")
            return
        except LookupError:
            pass  # ambiguous or unreadable: an error in any case, which the call below reports
    if what_if or confirm:
        made = endpoint_change.removal(where, wanted)
        (file,) = made.proposal.contents
        if what_if:
            show(f"What if: would remove {made.endpoint.sip_address}: {file}")
            return
        if not options.confirmed(f"Remove {made.endpoint.sip_address}?"):
            raise typer.Exit(1)
    endpoint_change.remove(where, wanted)
