"""The open connections of a listener or of the outgoing side, and how they are closed together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from chatredirect.transport.connection import StreamConnection

GOODBYE = 1.0
"""Seconds that peers have to read what was written, and to close."""
_AT_ONCE = 100  # connections that are closed in one turn of the event loop


@dataclass(slots=True)
class OpenConnections:
    """A set of connections that can be closed together."""

    _open: set[StreamConnection] = field(default_factory=set)
    _leaving: set[StreamConnection] = field(default_factory=set)
    _all_gone: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[StreamConnection]:
        """A snapshot of the open connections."""
        return iter(tuple(self._open))

    def add(self, connection: StreamConnection) -> None:
        """Add one."""
        self._open.add(connection)

    def discard(self, connection: StreamConnection) -> None:
        """Remove one."""
        self._open.discard(connection)
        self._leaving.discard(connection)
        if self._all_gone is not None and not self._leaving and not self._all_gone.done():
            self._all_gone.set_result(None)

    async def close(self, patience: float = GOODBYE) -> int:
        """Close the connections that are open now, after what was written has been sent.

        Those that are left after `patience` seconds are aborted; returns how many.
        """
        self._leaving = leaving = set(self._open)
        async for connection in _in_slices(leaving):
            connection.hang_up("shutdown")
        if leaving:
            self._all_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._all_gone,), timeout=patience)
            self._all_gone = None
        late = len(leaving)
        async for connection in _in_slices(leaving):
            connection.abort("shutdown")
        return late


async def _in_slices(connections: set[StreamConnection]) -> AsyncIterator[StreamConnection]:
    """The connections that there are now, with other work after every `_AT_ONCE` of them."""
    for number, connection in enumerate(tuple(connections)):
        yield connection
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
