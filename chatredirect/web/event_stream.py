"""Server-sent events (HTML §9.2): bounded in number, and dropped if their reader is slow."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from aiohttp import web

from chatredirect.control.protocol import UNREAD_SECONDS, ConversationGone, Json
from chatredirect.http.http_server import begin_stream
from chatredirect.log.audit import Origin

STREAMS = 16
"""Streams at a time, traces among them."""
WAITING = 256 * 1024
"""Octets that a reader may leave unread; more, and it is waited for."""


class NoRoom(Exception):
    """There are `STREAMS` streams already."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            f"{STREAMS} pages are being refreshed or traces shown already: close one of them"
        )


class EventStream:
    """One stream of events.

    Attributes:
        closed: set when its reader has gone, or doesn't read.
        origin: who reads it.
    """

    __slots__ = ("_response", "_transport", "closed", "origin")

    def __init__(self, response: web.StreamResponse, request: web.Request, origin: Origin) -> None:
        """See `begin`."""
        self.closed = asyncio.Event()
        self.origin = origin
        self._response = response
        self._transport = request.transport

    @classmethod
    async def begin(cls, request: web.Request, origin: Origin) -> "EventStream":
        """Answer a request with a stream.

        Raises:
            NoRoom: there are too many.
        """
        if not begin_stream(request):
            raise NoRoom
        headers = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=WAITING)
        return cls(response, request, origin)

    async def send(self, name: str, fields: Mapping[str, Json]) -> None:
        """Send an event.

        Raises:
            ConversationGone: nobody reads it.
        """
        data = json.dumps(fields, separators=(",", ":"))  # one line: JSON escapes line breaks
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await self._response.write(f"event: {name}\ndata: {data}\n\n".encode())
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
        except ConnectionError:
            pass
        else:
            return
        self.closed.set()
        raise ConversationGone

    async def end(self) -> web.StreamResponse:
        """End it; what handlers return."""
        with suppress(ConnectionError):
            await self._response.write_eof()
        return self._response
