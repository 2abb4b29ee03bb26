"""Listens for HTTP at the address that the configuration names.

Without such an address aiohttp isn't imported.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from chatredirect.config import HostPort, ListenUrl
from chatredirect.config.http_section import HttpSettings, page_url
from chatredirect.http.pages import HttpCounters
from chatredirect.transport.binding import BindError, bind, bound_url
from chatredirect.transport.peer_identity import Security

if TYPE_CHECKING:
    from aiohttp import web

    from chatredirect.http.http_server import HttpBounds, HttpServer

    #: Makes an application and its limits; called in a thread, where it may import aiohttp.
    MakeApplication = Callable[[], tuple[web.Application, HttpBounds]]

log = structlog.get_logger()


@dataclass(slots=True)
class HttpPlan:
    """Where HTTP is to be served.

    Attributes:
        where: None for nowhere.
        fresh: the socket that was bound for it; None if it stays as it is.
        security: TLS; None for plain HTTP.
    """

    where: HostPort | None
    fresh: socket.socket | None = None
    security: Security | None = None

    def give_up(self) -> None:
        """Close what was bound."""
        if self.fresh is not None:
            self.fresh.close()


@dataclass(slots=True)
class HttpListener:
    """HTTP at one address, or nowhere.

    Attributes:
        make: makes the application when it is needed.
        key: the configuration's for the address.
    """

    make: "MakeApplication"
    counters: HttpCounters
    loop: asyncio.AbstractEventLoop
    key: str = "http.listen"
    _where: HostPort | None = None
    _server: "HttpServer | None" = None

    def plan(self, where: HostPort | None, security: Security | None = None) -> HttpPlan:
        """Bind an address if it is a new one. Nothing changes before `carry_out`.

        Raises:
            BindError: the address can't be used.
        """
        if where is None:
            return HttpPlan(None)
        if where == self._where:
            return HttpPlan(where, security=security)
        url = ListenUrl("tcp", where.host, where.port or 0)
        return HttpPlan(where, bind(url, only_ipv6=False, receive_buffer=0, key=self.key), security)

    async def carry_out(self, plan: HttpPlan) -> None:
        """Listen there and nowhere else."""
        if plan.where is not None and plan.fresh is None:
            self._secure(plan.security)
            return
        if plan.where is None or plan.fresh is None:
            if self._server is not None:
                await self.close()
                log.info("http_closed", key=self.key)
            return
        # in a thread: importing aiohttp takes half a second, and SIP requests must not wait
        server_class, (app, bounds) = await asyncio.to_thread(self._load)
        await self.close()
        self._where = plan.where
        self._server = server_class(app, self.counters, self.loop, plan.fresh, bounds)
        self._secure(plan.security)
        await self._server.start()
        scheme = "http" if plan.security is None else "https"
        url = bound_url(ListenUrl("tcp", plan.where.host, 0), plan.fresh)
        log.info("http_listening", where=scheme + str(url).removeprefix("tcp"), key=self.key)

    def _secure(self, security: Security | None) -> None:
        """Speak TLS, or don't, with whoever connects from now on."""
        if self._server is not None:
            self._server.security = security

    def _load(self) -> "tuple[type[HttpServer], tuple[web.Application, HttpBounds]]":
        from chatredirect.http.http_server import HttpServer  # noqa: PLC0415  not before it is needed

        return HttpServer, self.make()

    async def close(self) -> None:
        """Listen nowhere, and end all connections."""
        self._where = None
        if self._server is not None:
            server, self._server = self._server, None
            await server.close()


@dataclass(slots=True)
class HttpPlans:
    """Where both are to be served."""

    metrics: HttpPlan
    page: HttpPlan

    def give_up(self) -> None:
        """Close what was bound."""
        self.metrics.give_up()
        self.page.give_up()


@dataclass(frozen=True, slots=True)
class HttpListeners:
    """The listener for metrics and health, and the page's."""

    metrics: HttpListener
    page: HttpListener

    def plan(self, http: HttpSettings, security: Mapping[ListenUrl, Security]) -> HttpPlans:
        """Bind what is new. Nothing changes before `carry_out`; `security` has the page's TLS.

        Raises:
            BindError: an address can't be used; nothing stays bound.
        """
        page, metrics = http.page_listen, self.metrics.plan(http.listen)
        try:
            if page is None:
                return HttpPlans(metrics, self.page.plan(None))
            where = HostPort(page.host, page.port)
            return HttpPlans(metrics, self.page.plan(where, security.get(page_url(page))))
        except BindError:
            metrics.give_up()
            raise

    async def carry_out(self, plans: HttpPlans) -> None:
        """Listen there and nowhere else."""
        await self.metrics.carry_out(plans.metrics)
        await self.page.carry_out(plans.page)

    async def close(self) -> None:
        """Listen nowhere, and end all connections."""
        await self.metrics.close()
        await self.page.close()
