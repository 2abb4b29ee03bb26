"""`chatredirect page`: where the page is, with the token that lets in."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, loaded
from chatredirect.commands.output import failure, show, show_object

if TYPE_CHECKING:
    from chatredirect.config.http_section import HttpSettings
    from chatredirect.net.addresses import PageAddress


def page(
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Print the address of the page in the browser, with the token that it wants.

    The token stands behind a #, which browsers don't send: the login form takes it from there. Who
    may read its file may use the page: root, the service's user and members of its group.

    Exit status: 0; 69 if there is no token, 77 if it isn't permitted, 78 if the configuration can't
    be used, or has no page.
    """
    from urllib.parse import quote

    from chatredirect.config.usage_section import STATE_DIRECTORY
    from chatredirect.http.token_file import TokenFault, read_token

    settings = loaded(config).http
    if settings.page_listen is None:
        raise failure(
            "no page is served",
            os.EX_CONFIG,
            where="http.page_listen",
            why="http.page_listen is off",
            remedy="set it, for instance to 127.0.0.1:9465, and reload",
        )
    path = settings.token_path(STATE_DIRECTORY)
    if path is not None and not _may_read(Path(path)):
        raise failure(
            f"{path} can't be read",
            os.EX_NOPERM,
            where=path,
            why="it isn't permitted to you",
            remedy="become root, or a member of the group chatredirect",
        )
    try:
        token = read_token(path)
    except TokenFault as fault:
        raise failure(str(fault), os.EX_UNAVAILABLE, where=path or "http.token_file") from None
    address = f"{_address(settings, settings.page_listen)}/login"
    if as_json:
        show_object("page", {"url": address, "token": token})
    else:
        show(f"{address}#{quote(token, safe='')}")


def _may_read(path: Path) -> bool:
    """Whether a file may be read, or isn't there; for both its folder must be open."""
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return os.access(path, os.R_OK)


def _address(settings: "HttpSettings", page: "PageAddress") -> str:
    """As a browser on this machine, or one of those for whom the names are, asks for it."""
    from chatredirect.net.addresses import bracketed

    names = settings.page_names
    if settings.behind_proxy and names:
        return f"https://{names[0]}"
    address = ip_address(page.host)
    host = page.host
    if names and not address.is_loopback:
        host = names[0]
    elif address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"{'https' if page.tls else 'http'}://{bracketed(host)}:{page.port}"
