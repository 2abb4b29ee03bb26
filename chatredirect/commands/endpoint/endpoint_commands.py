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
from chatredirect.commands.output import complain, failure, show, show_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatredirect.commands.endpoint.proposal import CommandTarget
    from chatredirect.config import EndpointSettings


def new(
    sip_address: options.SipAddressOption = None,
    persistent_chat_pool_fqdn: options.PoolOption = None,
    display_name: options.DisplayNameOption = None,
    mode: options.ModeOption = None,
    port: options.PortOption = None,
    transport: options.TransportOption = None,
    redirect_status: options.RedirectStatusOption = None,
    methods: options.MethodsOption = None,
    contact: options.ContactOption = None,
    on_all_down: options.OnAllDownOption = None,
    peers: options.PeersOption = None,
    channel_uris: options.ChannelUrisOption = None,
    contact_uri: options.ContactUriOption = None,
    rewrite: options.RewriteOption = None,
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

    Group Chat clients need `--mode lookup`, since they follow no SIP redirect. Without --mode a
    terminal is asked which clients the endpoint is for; otherwise the mode is redirect, and a note
    says so.

    Exit status: 0 if it is made; 1 if there is one with this URI already, or the answer was no;
    2 if a value is wrong, 65 for those of a CSV file; 74 or 77 if its file can't be written; 78 if
    the configuration can't be used, or would lead back to itself. Then nothing has been changed.
    With --reload also what reload says; if the service isn't running (69), the change stays.
    """
    from chatredirect.commands.endpoint.endpoint_values import named
    from chatredirect.commands.endpoint.new_endpoints import from_options, from_rows
    from chatredirect.commands.endpoint.proposal import CommandTarget

    asks = mode is None and from_csv is None and sip_address and persistent_chat_pool_fqdn
    wanted = options.asked_mode() if asks and not what_if else mode
    given = {
        "sip_address": sip_address,
        "pool_fqdn": persistent_chat_pool_fqdn,
        "display_name": display_name,
        "mode": wanted,
        "port": port,
        "transport": transport,
        "redirect_status": redirect_status,
        "methods": methods,
        "contact": contact,
        "on_all_down": on_all_down,
        "peers": peers,
        "channel_uris": channel_uris,
        "contact_uri": contact_uri,
        "rewrite": rewrite,
        "state": state,
        "active_from": active_from,
    }
    keys = {name: value for name, value in given.items() if value}
    where = CommandTarget(config, socket, reload, as_json)
    work = from_options(keys, where) if from_csv is None else from_rows(from_csv, keys, where)
    if confirm and not what_if:
        work.propose()  # so that faults are reported before the question
        if not options.confirmed(f"Make {named(work.endpoints)}?"):
            raise _answered_no()
    made = work.show_what_if() if what_if else work.make()
    if as_json:
        _show_change("new", made, where, what_if=what_if)
    elif pass_thru and not what_if:
        _show_sheets(made, time.time())


def _show_sheets(endpoints: "Sequence[EndpointSettings]", now: float) -> None:
    from chatredirect.commands.endpoint.endpoint_values import sheet

    show("\n\n".join(sheet(each, now) for each in endpoints))


def _show_change(
    change: str, endpoints: "Sequence[EndpointSettings]", where: "CommandTarget", *, what_if: bool
) -> None:
    """Print for scripts what has been changed, or with `what_if` would be."""
    from chatredirect.commands.endpoint import endpoint_values

    listed = endpoint_values.as_json(endpoints, time.time())
    done = {"change": change, "what_if": what_if, "reloaded": where.reload and not what_if}
    show_object("endpoint-change", {**done, "endpoints": listed})


def _answered_no() -> typer.Exit:
    return failure("nothing has been changed", 1, why="the answer was no")


def get(
    argument: options.IdentityArgument = None,
    identity: options.IdentityOption = None,
    persistent_chat_pool_fqdn: options.ThisPoolOption = None,
    filter_: options.FilterOption = None,
    result_size: options.ResultSizeOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the endpoints of a configuration: all, one with everything about it, or some.

    Where the running service has something else in force than the files say, that is shown.

    Exit status: 0, 1 if there is no endpoint with this identity, 2 if the filter can't be read, 78
    if the configuration can't be used.
    """
    from chatredirect.commands.endpoint import endpoint_values
    from chatredirect.commands.endpoint.filters import parse_filter
    from chatredirect.commands.endpoint.in_force import in_force
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
    served = in_force(config, socket, settings, found)
    if as_json:
        listed = endpoint_values.as_json(found, now)
        listed = [each | at.as_json() for each, at in zip(listed, served, strict=True)]
        show_object("endpoints", {"endpoints": listed})
    elif wanted is not None and found:
        show(endpoint_values.sheet(found[0], now, str(served[0])))
    elif found:
        show(endpoint_values.table(found, now))
        others = sum(each.same is False for each in served)
        if others:
            which = "this endpoint" if len(found) == 1 else f"{others:,} of these endpoints"
            differs = "differs" if others == 1 else "differ"
            complain(f"{which} {differs} from what the service has: chatredirect reload --what-if")
        elif any(each.why == "files differ" for each in served):
            complain("the service has other files in force: chatredirect reload --what-if")
    elif settings.endpoints:
        complain("no endpoint matches")
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
    redirect_status: options.RedirectStatusOption = None,
    methods: options.MethodsOption = None,
    contact: options.ContactOption = None,
    on_all_down: options.OnAllDownOption = None,
    peers: options.PeersOption = None,
    channel_uris: options.ChannelUrisOption = None,
    contact_uri: options.ContactUriOption = None,
    rewrite: options.RewriteOption = None,
    state: options.StateOption = None,
    active_from: options.ActiveFromOption = None,
    what_if: options.WhatIfOption = False,
    confirm: options.ConfirmOption = False,
    pass_thru: options.PassThruOption = False,
    ignore_usage: options.IgnoreUsageOption = False,
    reload: options.ReloadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an endpoint that has a file of its own; comments in the file stay.

    An empty value ("") takes a key away, so that its default counts: --channel-uris "" with
    --mode proxy, for instance. Pool, mode and state can't be taken away. A new state without a
    time takes away a time that has passed, for from then on the endpoint would be active.
    `--state disabled` prints who used it last; if that was in the last 30 days, it asks on a
    terminal, and without one does nothing.

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
        "redirect_status": redirect_status,
        "methods": methods,
        "contact": contact,
        "on_all_down": on_all_down,
        "peers": peers,
        "channel_uris": channel_uris,
        "contact_uri": contact_uri,
        "rewrite": rewrite,
        "state": state,
        "active_from": active_from,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        raise typer.BadParameter("give what is to be different, as in --state maintenance")
    where = CommandTarget(config, socket, reload, as_json)
    work = ChangeRequest(where, wanted, values)
    if state == "disabled" and not ignore_usage:
        from chatredirect.commands.endpoint.last_use import ask_if_used

        ask_if_used(config, wanted, "Disable", only_tell=what_if)
    if confirm and not what_if:
        endpoint = work.propose().endpoint
        if not options.confirmed(f"Change {endpoint.sip_address}?"):
            raise _answered_no()
    after = work.show_what_if() if what_if else work.change()
    if as_json:
        _show_change("set", [after], where, what_if=what_if)
    elif pass_thru and not what_if:
        _show_sheets([after], time.time())


def remove(
    argument: options.IdentityArgument = None,
    identity: options.IdentityOption = None,
    force: options.ForceOption = False,
    what_if: options.WhatIfOption = False,
    confirm: options.ConfirmOption = False,
    ignore_usage: options.IgnoreUsageOption = False,
    reload: options.ReloadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove an endpoint that has a file of its own: requests for its URI get 404 then.

    As the cmdlet does, it asks only with --confirm; but it prints who used the endpoint last, and
    if that was in the last 30 days, it asks on a terminal, and without one does nothing.

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
    where = CommandTarget(config, socket, reload, as_json)
    if force:
        try:
            find_by_identity(loaded(config), wanted)
        except NoSuchEndpointError as error:
            where.say(f"{error.args[0]}; nothing to do")
            if as_json:
                _show_change("remove", [], where, what_if=what_if)
            return
        except LookupError:
            pass  # ambiguous or unreadable: an error in any case, which the call below reports
    if not ignore_usage:
        from chatredirect.commands.endpoint.last_use import ask_if_used

        ask_if_used(config, wanted, "Remove", only_tell=what_if)
    if what_if or confirm:
        made = endpoint_change.removal(where, wanted)
        (file,) = made.proposal.contents
        if what_if:
            where.say(f"What if: would remove {made.endpoint.sip_address}: {file}")
            if as_json:
                _show_change("remove", [made.endpoint], where, what_if=True)
            return
        if not options.confirmed(f"Remove {made.endpoint.sip_address}?"):
            raise _answered_no()
    removed = endpoint_change.remove(where, wanted)
    if as_json:
        _show_change("remove", [removed], where, what_if=False)
