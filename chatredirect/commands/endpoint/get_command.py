"""`chatredirect endpoint get`: what Get-CsPersistentChatEndpoint does."""

from typing import TYPE_CHECKING, Annotated

import typer

from chatredirect.commands.endpoint.endpoint_options import (
    IdentityArgument,
    IdentityOption,
    one_identity,
)
from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from chatredirect.commands.output import complain, show

if TYPE_CHECKING:
    from chatredirect.config import Settings


def get(
    argument: IdentityArgument = None,
    identity: IdentityOption = None,
    persistent_chat_pool_fqdn: Annotated[
        str | None,
        typer.Option(
            "--persistent-chat-pool-fqdn",
            metavar="FQDN",
            help="Those of this pool (-PersistentChatPoolFqdn).",
            show_default=False,
        ),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="TEXT",
            help="Those for which it is true: SipAddress -like '*contoso.com' (-Filter).",
            show_default=False,
        ),
    ] = None,
    result_size: Annotated[
        str | None,
        typer.Option(
            "--result-size",
            metavar="NUMBER",
            help="At most so many, or unlimited (-ResultSize).",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the endpoints of a configuration: all, one with everything about it, or some.

    What the running service knows of them: chatredirect status.

    Exit status: 0, 1 if there is no endpoint with this identity, 2 if the filter can't be read, 78
    if the configuration can't be used.
    """
    import json
    import time

    from chatredirect.commands.endpoint.filters import parse_filter
    from chatredirect.commands.endpoint.listing import as_json as endpoint_json
    from chatredirect.commands.endpoint.listing import sheet, table
    from chatredirect.commands.endpoint.proposal import configured, find_by_identity

    wanted = one_identity(argument, identity)
    most = _number(result_size)
    now = time.time()
    try:
        condition = parse_filter(filter_, now) if filter_ is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from None
    pool = _pool(persistent_chat_pool_fqdn)
    settings = configured(config)
    found = list(settings.endpoints)
    if wanted is not None:
        try:
            found = [find_by_identity(settings, wanted)]
        except LookupError as error:
            complain(str(error.args[0]))
            raise typer.Exit(1) from None
    found = [
        each
        for each in found
        if (pool is None or each.pool_fqdn == pool) and (condition is None or condition(each))
    ][:most]
    if as_json:
        show(json.dumps({"endpoints": [endpoint_json(each, now) for each in found]}, indent=2))
    elif wanted is not None and found:
        show("\n".join(sheet(found[0], now)))
    elif found:
        show("\n".join(table(found, now)))
    else:
        complain(_nothing(settings, config=str(config)))


def _nothing(settings: "Settings", config: str) -> str:
    if settings.endpoints:
        return "no endpoint is like that"
    return f"{config} has no endpoints yet: chatredirect endpoint new makes one"


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
