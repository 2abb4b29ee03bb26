"""An acceptor without any file descriptor left, not even the one in reserve."""

import asyncio
import errno
import socket

import pytest

from chatredirect.transport import acceptor
from tests.service.daemon import PATIENCE

Accepted = tuple[socket.socket, object]


class Exhausted:
    """A listening socket of a process, or a machine, that has no descriptors for a while."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self.over = False
        self.tries = 0

    def accept(self) -> Accepted:
        self.tries += 1
        if not self.over:
            raise OSError(errno.ENFILE, "Too many open files in system")
        return self._sock.accept()

    def listen(self, backlog: int) -> None:
        self._sock.listen(backlog)

    def fileno(self) -> int:
        return self._sock.fileno()

    def getsockname(self) -> tuple[str, int]:
        name: tuple[str, int] = self._sock.getsockname()
        return name

    def close(self) -> None:
        self._sock.close()


async def test_without_a_reserve_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the connection in the backlog and doesn't try without end; then it accepts it."""
    monkeypatch.setattr(acceptor, "_reserve", lambda: -1)
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[socket.socket] = loop.create_future()
    sock = Exhausted(socket.create_server(("127.0.0.1", 0)))
    listening = acceptor.Acceptor(
        sock,  # type: ignore[arg-type]  # as much of a socket as an acceptor needs
        lambda connection, address: accepted.set_result(connection),
        loop,
        backlog=5,
    )
    try:
        with socket.create_connection(sock.getsockname()):
            await asyncio.sleep(0.3)
            assert 0 < sock.tries < 50  # without a pause there would be thousands
            sock.over = True
            (await asyncio.wait_for(accepted, PATIENCE)).close()
    finally:
        listening.close()
