"""The section `http`: metrics and health, and the page."""

import os
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from chatredirect.config.address_syntax import parse_http, parse_page
from chatredirect.config.fields import STRICT, HostName, SecretFile, or_off
from chatredirect.net.addresses import HostPort, ListenUrl, PageAddress

PAGE_TOKEN = "page.token"  # noqa: S105  the name of its file


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class HttpSettings:
    """Metrics and health over HTTP, and the page. `listen` and `page_listen` are None if off.

    `endpoints` and `pools` are how many may have series of their own; `ready_needs_targets` is
    whether one endpoint without a target makes the whole not ready. `page_names` are the names by
    which browsers may ask for the page; `token_file` holds what lets them in; with `behind_proxy`
    a reverse proxy speaks TLS for it.
    """

    listen: Annotated[HostPort | None, or_off(parse_http)] = None
    endpoints: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1000
    pools: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1000
    ready_needs_targets: StrictBool = False
    page_listen: Annotated[PageAddress | None, or_off(parse_page)] = None
    page_names: tuple[HostName, ...] = ()
    token_file: SecretFile | None = None
    behind_proxy: StrictBool = False

    def token_path(self, state_directory: str | None) -> str | None:
        """The file with the page's token, in a process with this state directory, if any."""
        if self.token_file is not None or not state_directory:
            return self.token_file
        return os.path.join(state_directory.partition(":")[0], PAGE_TOKEN)


def page_url(page: PageAddress) -> ListenUrl:
    """The page's address as that of a listener."""
    return ListenUrl("tls" if page.tls else "tcp", page.host, page.port)
