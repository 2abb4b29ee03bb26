"""Listens for HTTP at the address that the configuration names.

Without such an address aiohttp isn't imported.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from chatredirect.config import HostPort, ListenUrl
from chatredirect.http.pages import HttpCounters, Pages
from chatredirect.transport.binding import bind, bound_url

if TYPE_CHECKING:
    from chatredirect.http.http_server import HttpServer

log = structlog.get_logger()


@dataclass(slots=True)
class HttpPlan:
    """Where HTTP is to be served.

    Attributes:
        where: None for nowhere.
        fresh: the socket that was bound for it; None if it stays as it is.
    """

    where: HostPort | None
    fresh: socket.socket | None = None

    def give_up(self) -> None:
        """Close what was bound."""
        if self.fresh is not None:
            self.fresh.close()


@dataclass(slots=True)
class HttpListener:
    """HTTP at one address, or nowhere.

    Attributes:
        make_pages: makes the pages; called in a thread when they are needed.
    """

    make_pages: Callable[[], Pages]
    counters: HttpCounters
    loop: asyncio.AbstractEventLoop
    _where: HostPort | None = None
    _server: "HttpServer | None" = None

    def plan(self, where: HostPort | None) -> HttpPlan:
        """Bind an address if it is a new one. Nothing changes before `carry_out`.

        Raises:
            BindError: the address can't be used.
        """
        if where is None or where == self._where:
            return HttpPlan(where)
        url = ListenUrl("tcp", where.host, where.port or 0)
        return HttpPlan(where, bind(url, only_ipv6=False, receive_buffer=0, key="http.listen"))

    async def carry_out(self, plan: HttpPlan) -> None:
        """Listen there and nowhere else."""
        if plan.where == self._where:
            return
        if plan.where is None or plan.fresh is None:
            self.close()
            log.info("http_closed")
            return
        # in a thread: importing aiohttp takes half a second, and SIP requests must not wait
        server_class, pages = await asyncio.to_thread(self._load)
        self.close()
        self._where = plan.where
        url = bound_url(ListenUrl("tcp", plan.where.host, 0), plan.fresh)
        self._server = server_class(pages, self.counters, self.loop, plan.fresh)
        log.info("http_listening", where=f"http{str(url).removeprefix('tcp')}")

    def _load(self) -> "tuple[type[HttpServer], Pages]":
        from chatredirect.http.http_server import HttpServer  # noqa: PLC0415  not before it is needed

        return HttpServer, self.make_pages()

    def close(self) -> None:
        """Listen nowhere, and end all connections."""
        self._where = None
        if self._server is not None:
            self._server.close()
            self._server = None
