"""aiohttp applications behind limits of ours on connections, time and octets.

aiohttp reads requests and writes responses. It limits neither the number of connections nor the
time that a request's head may take, and an attacker would use both. So a connection serves one
request of few octets within a few seconds, and the number of connections is limited. A handler may
ask that its connection outlives these seconds, for a stream of events; those are limited, too.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import cast

import structlog
from aiohttp import web

from chatredirect.http.pages import HttpCounters
from chatredirect.runtime.rate_limiter import RepeatLimiter
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.peer_identity import Security

CONNECTIONS = 32
"""Open connections; one more is closed at once."""
SECONDS = 10.0
"""From a connection's first moment to its last."""
OCTETS = 16_384
"""What a client may send in all: a request's head and little else."""
LINE = 4096
"""Octets of the request line, and of a header field."""
GONE_SECONDS = 30
"""After which a peer that acknowledges nothing is gone (tcp(7), TCP_USER_TIMEOUT)."""

_BACKLOG = 64
_QUIET = 10.0  # seconds between two log lines about a fault of one page
_HEAD_END = b"\r\n\r\n"
_OTHER = "other"

log = structlog.get_logger()

# aiohttp's log of its clients' mistakes is of no use here; faults of ours are logged below.
_quiet = logging.Logger("aiohttp")
_quiet.disabled = True


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """Limits of one listener's connections; `streams` is how many may outlive `seconds`."""

    connections: int = CONNECTIONS
    seconds: float = SECONDS
    octets: int = OCTETS
    streams: int = 0


@dataclass(slots=True)
class HttpServer:
    """Serves an application on a bound socket, from `start` to `close`.

    Attributes:
        faults: which of them are logged.
        security: TLS of new connections, whose certificates are renewed; None for plain HTTP.
    """

    app: web.Application
    counters: HttpCounters
    loop: asyncio.AbstractEventLoop
    sock: socket.socket
    bounds: HttpBounds = HttpBounds()
    security: Security | None = None
    streams: int = 0
    faults: RepeatLimiter = field(default_factory=lambda: RepeatLimiter(_QUIET, monotonic))
    _open: set["_Connection"] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _runner: web.AppRunner = field(init=False)
    _acceptor: Acceptor | None = None

    async def start(self) -> None:
        """Accept connections."""
        self.app.on_response_prepare.append(self._complete)
        # a handler ends with its connection: a stream of events would wait for its next one
        self._runner = web.AppRunner(
            self.app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        self._acceptor = Acceptor(self.sock, self._accept, self.loop, _BACKLOG)

    async def close(self) -> None:
        """Close the socket, and end all connections."""
        if self._acceptor is not None:
            self._acceptor.close()
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._open):
            connection.abort()
        await self._runner.cleanup()

    def gone(self, connection: "_Connection") -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    def _accept(self, sock: socket.socket, _address: object) -> None:
        if len(self._open) >= self.bounds.connections or self._runner.server is None:
            self.counters.busy += 1
            sock.close()
            return
        connection = _Connection(self, _RequestHandler(self, self._runner.server))
        self._open.add(connection)
        task = self.loop.create_task(self._begin(connection, sock))
        self._tasks.add(task)
        task.add_done_callback(partial(self._begun, connection, sock))

    async def _begin(self, connection: "_Connection", sock: socket.socket) -> None:
        with suppress(OSError):  # it was gone before it began
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000)
            security = self.security
            if security is None:
                await self.loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self.loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=security.context,
                    ssl_handshake_timeout=self.bounds.seconds,
                    ssl_shutdown_timeout=1.0,
                )

    def _begun(
        self, connection: "_Connection", sock: socket.socket, task: asyncio.Task[None]
    ) -> None:
        """Clean up a connection that never began: a task may be cancelled before it starts."""
        self._tasks.discard(task)
        if not connection.begun:
            sock.close()
            connection.abort()
            self.gone(connection)

    async def _complete(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Count a response, and add to it what all have."""
        response.headers["Server"] = "chatredirect"
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Connection"] = "close"
        response.force_close()
        self.counters.requests[page_of(request), response.status] += 1

    def unreadable(self, status: int) -> web.Response:
        """The response to what isn't a request."""
        self.counters.requests[_OTHER, status] += 1
        headers = {"Server": "chatredirect", "Cache-Control": "no-store"}
        response = web.Response(status=status, text="this is no HTTP request\n", headers=headers)
        response.force_close()
        return response


def page_of(request: web.BaseRequest) -> str:
    """The path of the route that a request has found; `other` if it has found none."""
    match = request.match_info if isinstance(request, web.Request) else None
    resource = None if match is None else match.route.resource
    return _OTHER if resource is None else resource.canonical


def begin_stream(request: web.Request) -> bool:
    """Let a request's connection outlive the seconds of its server, if there is room for that."""
    handler = request.protocol
    return isinstance(handler, _RequestHandler) and handler.connection.begin_stream()


class _RequestHandler(web.RequestHandler):
    """aiohttp's, which would answer an unreadable request with its version, and log nothing."""

    connection: "_Connection"

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
        self._http = server

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an unreadable request, or for a handler that has failed.

        Raises:
            ConnectionError: a response has begun already.
        """
        if status >= 500:  # a fault of ours: logged here, not shown to the client
            page = page_of(request)
            suppressed = self._http.faults.hit(page)
            if suppressed is not None:
                log.exception("http_failed", page=page, suppressed=suppressed)
        super().handle_error(request, status, exc, message)
        if status < 500:
            return self._http.unreadable(status)
        return web.Response(status=500, text="a fault of chatredirect; its log says more\n")


@dataclass(slots=True, eq=False, repr=False)
class _Connection(asyncio.Protocol):
    """One connection: passes events to aiohttp, within the limits of time and octets."""

    server: HttpServer
    handler: _RequestHandler
    begun: bool = False
    _octets: int = 0
    _tail: bytes = b""
    _asked: bool = False  # the end of a request's head, or what looks like one, has come
    _streaming: bool = False
    _secure: bool = False
    _transport: asyncio.Transport | None = None
    _timer: asyncio.TimerHandle = field(init=False)

    def __post_init__(self) -> None:
        self.handler.connection = self
        self._timer = self.server.loop.call_later(self.server.bounds.seconds, self._too_long)

    def begin_stream(self) -> bool:
        if self.server.streams >= self.server.bounds.streams:
            return False
        self.server.streams += 1
        self._streaming = True
        self._timer.cancel()
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.begun = True
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._transport = cast(asyncio.Transport, transport)
        self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._octets += len(data)
        if self._octets > self.server.bounds.octets:
            self._too_long()
            return
        tail = self._tail + data
        self._asked = self._asked or _HEAD_END in tail
        self._tail = tail[-len(_HEAD_END) + 1 :]
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        self.handler.eof_received()
        # a client that half closes after its request still gets the response; TLS can't do that
        return self._asked and not self._streaming and not self._secure

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._transport = None
        self.server.streams -= self._streaming
        self.server.gone(self)
        self.handler.connection_lost(exc)

    def abort(self) -> None:
        self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _too_long(self) -> None:
        self.server.counters.slow += 1
        self.abort()
