"""The page of a daemon: what it is made of, and not before it is configured."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chatredirect.config import EndpointSettings
from chatredirect.config.http_section import HttpSettings
from chatredirect.config.usage_section import StoreAddress
from chatredirect.control.conversation import Handler
from chatredirect.http.listener import HttpListener
from chatredirect.http.pages import HttpCounters
from chatredirect.service.service import Service

if TYPE_CHECKING:
    from aiohttp import web

    from chatredirect.http.http_server import HttpBounds


def page_listener(
    service: Service,
    commands: Mapping[str, Handler],
    counters: HttpCounters,
    loop: asyncio.AbstractEventLoop,
) -> HttpListener:
    """The listener of the page; `commands` has `status` and `trace`."""
    state_directory = os.environ.get("STATE_DIRECTORY")

    def http_settings() -> HttpSettings:
        running = service.running
        return HttpSettings() if running is None else running.in_force.settings.http

    def ledger() -> tuple[StoreAddress | None, Sequence[EndpointSettings]]:
        running = service.running
        if running is None:
            return None, ()
        settings = running.in_force.settings
        return settings.usage.address(state_directory), settings.endpoints

    def make() -> "tuple[web.Application, HttpBounds]":
        # aiohttp, Jinja2 and SQLAlchemy: a second, and 30 MB
        from chatredirect.web.access import Access  # noqa: PLC0415
        from chatredirect.web.application import page_application, page_bounds  # noqa: PLC0415
        from chatredirect.web.sources import Sources  # noqa: PLC0415

        access = Access(http_settings, state_directory)
        return page_application(Sources(commands, ledger), access), page_bounds()

    return HttpListener(make, counters, loop, "http.page_listen")
