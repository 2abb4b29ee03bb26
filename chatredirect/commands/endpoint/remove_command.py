"""`chatredirect endpoint remove`: what Remove-CsPersistentChatEndpoint does."""

from typing import Annotated

import typer

from chatredirect.commands.endpoint.endpoint_options import (
    ConfirmOption,
    IdentityArgument,
    IdentityOption,
    ReloadOption,
    WhatIfOption,
    confirmed,
    one_identity,
)
from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, SocketOption
from chatredirect.commands.output import show


def remove(
    argument: IdentityArgument = None,
    identity: IdentityOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="It is all right if there is no such endpoint (-Force).",
            show_default=False,
        ),
    ] = False,
    what_if: WhatIfOption = False,
    confirm: ConfirmOption = False,
    reload: ReloadOption = False,
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
        configured,
        find_by_identity,
    )

    wanted = one_identity(argument, identity)
    if not wanted:
        raise typer.BadParameter("is missing", param_hint="--identity")
    where = CommandTarget(config, socket, reload)
    if force:
        try:
            find_by_identity(configured(config), wanted)
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
        if not confirmed(f"Remove {made.endpoint.sip_address}?"):
            raise typer.Exit(1)
    endpoint_change.remove(where, wanted)
