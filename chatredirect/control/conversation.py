"""What a command's handler talks to: whoever asked, over the control socket or over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from chatredirect.control.protocol import UNREAD_SECONDS, ConversationGone, Json, encode
from chatredirect.log.audit import Origin


class Conversation(Protocol):
    """The connection of a request, for its handler. `ConversationGone` says that the client left.

    Attributes:
        closed: set when the client has closed its side.
        origin: who asks; known when a handler is called.
    """

    closed: asyncio.Event
    origin: Origin

    async def event(self, fields: Mapping[str, Json]) -> None:
        """Send something before the answer; wait for a slow reader, within limits."""


Handler: TypeAlias = Callable[[Mapping[str, Json], Conversation], Awaitable[Mapping[str, Json]]]
"""Carries out a request, whose fields it is given; raises `ControlRefusal` if it can't."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of clients."""

    connections: int = 32  # clients at a time
    request: int = 64 * 1024  # octets of a request's line
    request_seconds: float = 10.0  # in which a request must arrive
    unread: int = 256 * 1024  # octets that a client may leave unread; more, and it is waited for
    unread_seconds: float = UNREAD_SECONDS


class SocketConversation:
    """The conversation over a connection of the control socket.

    Attributes:
        unread: whether the client was dropped because it didn't read.
    """

    __slots__ = ("_bounds", "_writer", "closed", "origin", "unread")

    def __init__(self, writer: asyncio.StreamWriter, bounds: Bounds) -> None:
        """Answer the client at the other end of `writer`."""
        self.closed = asyncio.Event()
        self.unread = False
        self.origin = Origin("control_socket")
        self._writer = writer
        self._bounds = bounds
        writer.transport.set_write_buffer_limits(high=bounds.unread)

    async def event(self, fields: Mapping[str, Json]) -> None:
        """Send a line before the last one; wait for a slow reader, within limits."""
        if self.closed.is_set():
            raise ConversationGone
        await self.send({"event": fields})

    async def send(self, line: Mapping[str, Json]) -> None:
        """Send a line, also to a client that has closed its own side: it may still read."""
        if self._writer.is_closing():
            raise ConversationGone
        self._writer.write(encode(line))
        if self._writer.transport.get_write_buffer_size() <= self._bounds.unread:
            return  # a trace has many lines: setting up a time limit for each would cost more
        try:
            async with asyncio.timeout(self._bounds.unread_seconds):
                await self._writer.drain()
        except TimeoutError:
            self.unread = True
            self._writer.transport.abort()
            self.closed.set()
            raise ConversationGone from None
        except ConnectionError:
            self.closed.set()
            raise ConversationGone from None
