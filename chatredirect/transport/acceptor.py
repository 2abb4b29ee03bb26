"""Accepts connections, also when the process has no file descriptors left.

asyncio's own server then stops accepting for a second, and peers wait in the backlog. Here one
descriptor is kept in reserve and released to accept a connection and close it at once, so that the
peer can try another server. If another process takes that descriptor, connections wait in the
backlog for a moment.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable

import structlog

from chatredirect.runtime.rate_limiter import RepeatLimiter

log = structlog.get_logger()

#: Called with an accepted, non-blocking socket and the peer's address from the socket module.
OnAccept = Callable[[socket.socket, tuple[str | int, ...]], None]

_AT_ONCE = 64  # connections in one turn of the event loop
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_QUIET = 10.0  # seconds between two log lines
_PAUSE = 0.1  # seconds without accepting when there is no descriptor to refuse with


class Acceptor:
    """A listening socket on an event loop.

    Attributes:
        exhausted: connections that were refused without a file descriptor.
    """

    __slots__ = (
        "_farewell", "_loop", "_on_accept", "_paused", "_repeats", "_reserve", "_sock", "_where",
        "exhausted",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        on_accept: OnAccept,
        loop: asyncio.AbstractEventLoop,
        backlog: int,
        farewell: bytes = b"",
    ) -> None:
        """Listen and accept from now on.

        Args:
            sock: bound.
            on_accept: called for each connection.
            loop: the event loop.
            backlog: connections that may wait.
            farewell: octets for a peer that is refused without a file descriptor.
        """
        self._farewell = farewell
        self._sock = sock
        self._on_accept = on_accept
        self._loop = loop
        self._reserve = _reserve()
        self._paused: asyncio.TimerHandle | None = None
        self._repeats = RepeatLimiter(_QUIET, loop.time)
        name = sock.getsockname()
        self._where = name if isinstance(name, str) else "{}:{}".format(*name[:2])
        self.exhausted = 0
        sock.listen(backlog)
        self._accept_on()

    def close(self) -> None:
        """Close the listening socket."""
        if self._sock.fileno() < 0:
            return
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _accept_on(self) -> None:
        self._paused = None
        self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._refuse(error)
                    return
                continue  # an error of this connection only: accept(2)
            sock.setblocking(False)
            self._on_accept(sock, address)

    def _refuse(self, error: OSError) -> None:
        """Close one waiting connection with the reserved descriptor."""
        self.exhausted += 1
        if self._repeats.hit("no_file_descriptors") is not None:
            log.error(
                "no_file_descriptors",
                where=self._where,
                why=error.strerror,
                refused=self.exhausted,
                remedy="raise LimitNOFILE, or lower limits.connections",
            )
        if self._reserve >= 0:
            os.close(self._reserve)
            # the connection is gone, or another process took the descriptor
            with contextlib.suppress(OSError), self._sock.accept()[0] as refused:
                refused.setblocking(False)
                if self._farewell:
                    refused.send(self._farewell)
        self._reserve = _reserve()
        if self._reserve < 0:
            # the socket stays readable: polling it would take all the CPU
            self._loop.remove_reader(self._sock.fileno())
            self._paused = self._loop.call_later(_PAUSE, self._accept_on)


def _reserve() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # the next refused connection stays in the backlog
