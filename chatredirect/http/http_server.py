"""aiohttp behind limits of ours on connections, time and octets.

aiohttp reads requests and writes responses. It limits neither the number of connections nor the
time that a request's head may take, and an attacker would use both. So a connection serves one
request of few octets within a few seconds, and the number of connections is limited.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import structlog
from aiohttp import web

from chatredirect.http.pages import HttpCounters, Page, Pages
from chatredirect.transport.acceptor import Acceptor

CONNECTIONS = 32
"""Open connections; one more is closed at once."""
SECONDS = 10.0
"""From a connection's first moment to its last."""
OCTETS = 16_384
"""What a client may send in all: a request's head and nothing else."""
LINE = 4096
"""Octets of the request line, and of a header field."""

_BACKLOG = 64
_HEAD_END = b"\r\n\r\n"
_METHODS = ("GET", "HEAD")
_OTHER = "other"
_HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "Server": "chatredirect"}

log = structlog.get_logger()

# aiohttp's log of its clients' mistakes is of no use here; faults of ours are logged below.
_quiet = logging.Logger("aiohttp")
_quiet.disabled = True


@dataclass(slots=True)
class HttpServer:
    """Serves pages on a bound socket as soon as the object is made."""

    pages: Pages
    counters: HttpCounters
    loop: asyncio.AbstractEventLoop
    sock: socket.socket
    _open: set["_Connection"] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: web.Server = field(init=False)
    _acceptor: Acceptor = field(init=False)

    def __post_init__(self) -> None:
        """Accept connections."""
        self._server = web.Server(self._answer)
        self._acceptor = Acceptor(self.sock, self._accept, self.loop, _BACKLOG)

    def _accept(self, sock: socket.socket, _address: object) -> None:
        if len(self._open) >= CONNECTIONS:
            self.counters.busy += 1
            sock.close()
            return
        handler = _RequestHandler(self, self._server)
        connection = _Connection(self, handler)
        self._open.add(connection)
        task = self.loop.create_task(self._begin(connection, sock))
        self._tasks.add(task)
        task.add_done_callback(partial(self._begun, connection, sock))

    def close(self) -> None:
        """Close the socket, and end all connections."""
        self._acceptor.close()
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._open):
            connection.abort()

    def gone(self, connection: "_Connection") -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    async def _begin(self, connection: "_Connection", sock: socket.socket) -> None:
        with suppress(OSError):  # it was gone before it began
            await self.loop.connect_accepted_socket(lambda: connection, sock)

    def _begun(
        self, connection: "_Connection", sock: socket.socket, task: asyncio.Task[None]
    ) -> None:
        """Clean up a connection that never began: a task may be cancelled before it starts."""
        self._tasks.discard(task)
        if not connection.begun:
            sock.close()
            connection.abort()
            self.gone(connection)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        make = self.pages.get(request.path)
        name = _OTHER if make is None else request.path
        headers = _HEADERS
        if make is None:
            page = Page.text(404, "not found; there is " + ", ".join(self.pages))
        elif request.method not in _METHODS:
            page = Page.text(405, "GET or HEAD")
            headers = {**headers, "Allow": ", ".join(_METHODS)}
        else:
            try:
                page = await make()
            except Exception:  # a fault of ours: logged here, not shown to the client
                log.exception("http_failed", page=name)
                page = Page.text(500, "a fault of chatredirect; its log says more")
        return self._response(name, page, headers)

    def unreadable(self, status: int) -> web.Response:
        """The response to what isn't a request."""
        return self._response(_OTHER, Page.text(status, "this is no HTTP request"), _HEADERS)

    def _response(self, name: str, page: Page, headers: Mapping[str, str]) -> web.Response:
        self.counters.requests[name, page.status] += 1
        response = web.Response(
            status=page.status,
            body=page.body,
            headers={**headers, "Content-Type": page.content_type},
        )
        response.force_close()
        return response


class _RequestHandler(web.RequestHandler):
    """aiohttp's, which would answer an unreadable request with its version, and log nothing."""

    def __init__(self, server: HttpServer, manager: web.Server) -> None:
        super().__init__(
            manager,
            loop=server.loop,
            access_log=_quiet,
            logger=_quiet,
            lingering_time=0,
            max_line_size=LINE,
            max_field_size=LINE,
        )
        self._server = server

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an unreadable request.

        Raises:
            ConnectionError: a response has begun already.
        """
        super().handle_error(request, status, exc, message)
        return self._server.unreadable(status)


@dataclass(slots=True, eq=False, repr=False)
class _Connection(asyncio.Protocol):
    """One connection: passes events to aiohttp, within the limits of time and octets."""

    server: HttpServer
    handler: web.RequestHandler
    begun: bool = False
    _octets: int = 0
    _tail: bytes = b""
    _asked: bool = False  # the end of a request's head, or what looks like one, has come
    _transport: asyncio.Transport | None = None
    _timer: asyncio.TimerHandle = field(init=False)

    def __post_init__(self) -> None:
        self._timer = self.server.loop.call_later(SECONDS, self._too_long)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.begun = True
        self._transport = cast(asyncio.Transport, transport)
        self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._octets += len(data)
        if self._octets > OCTETS:
            self._too_long()
            return
        tail = self._tail + data
        self._asked = self._asked or _HEAD_END in tail
        self._tail = tail[-len(_HEAD_END) + 1 :]
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        self.handler.eof_received()
        return self._asked  # a client that half closes after its request still gets the response

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._transport = None
        self.server.gone(self)
        self.handler.connection_lost(exc)

    def abort(self) -> None:
        self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _too_long(self) -> None:
        self.server.counters.slow += 1
        self.abort()
