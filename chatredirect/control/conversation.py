"""One connection of the control socket, from the side of whoever answers."""

import asyncio
from collections.abc import Mapping

from chatredirect.control.protocol import UNREAD, UNREAD_SECONDS, Gone, Json, encode


class StreamConversation:
    """A `Conversation` over a stream.

    Attributes:
        closed: set when the client has closed its side.
        unread: whether it was dropped because it didn't read.
    """

    __slots__ = ("_most", "_seconds", "_writer", "closed", "unread")

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        *,
        unread: int = UNREAD,
        unread_seconds: float = UNREAD_SECONDS,
    ) -> None:
        """Talk to whoever reads what `writer` writes."""
        self.closed = asyncio.Event()
        self.unread = False
        self._writer = writer
        self._most = unread
        self._seconds = unread_seconds
        writer.transport.set_write_buffer_limits(high=unread)

    async def event(self, fields: Mapping[str, Json]) -> None:
        """Send a line before the last one.

        Raises:
            Gone: there is no reader any more.
        """
        if self.closed.is_set():
            raise Gone
        await self.send({"event": fields})

    async def send(self, line: Mapping[str, Json]) -> None:
        """Send a line, also to one that has closed its own side: it may still read.

        Raises:
            Gone: there is no reader any more.
        """
        if self._writer.is_closing():
            raise Gone
        self._writer.write(encode(line))
        if self._writer.transport.get_write_buffer_size() <= self._most:
            return  # a trace has many lines: setting up a time limit for each would cost more
        try:
            async with asyncio.timeout(self._seconds):
                await self._writer.drain()
        except TimeoutError:
            self.unread = True
            self._writer.transport.abort()
            self.closed.set()
            raise Gone from None
        except ConnectionError:
            self.closed.set()
            raise Gone from None
