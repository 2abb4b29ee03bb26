"""The open connections of one owner, and how all of them are ended."""

import asyncio
from collections.abc import Iterator

from chatredirect.transport.connection import StreamConnection


class OpenConnections:
    """A set that can be waited for until it is empty."""

    __slots__ = ("_all_gone", "_open")

    def __init__(self) -> None:
        """Begin with none."""
        self._open: set[StreamConnection] = set()
        self._all_gone: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[StreamConnection]:
        """Those that are open now, even if some end meanwhile."""
        return iter(tuple(self._open))

    def add(self, connection: StreamConnection) -> None:
        """Remember one."""
        self._open.add(connection)

    def discard(self, connection: StreamConnection) -> None:
        """Forget one."""
        self._open.discard(connection)
        if self._all_gone is not None and not self._open and not self._all_gone.done():
            self._all_gone.set_result(None)

    async def close(self, patience: float) -> None:
        """Close all; what has been written still reaches peers that read it in time.

        Args:
            patience: seconds until those that are left are cut off.
        """
        for connection in self:
            connection.hang_up("shutdown")
        if self._open:
            self._all_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._all_gone,), timeout=patience)
        for connection in self:
            connection.abort("shutdown")
