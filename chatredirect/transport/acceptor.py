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
from dataclasses import dataclass, field

import structlog

from chatredirect.runtime.rate_limiter import RepeatLimiter

log = structlog.get_logger()

_AT_ONCE = 64  # connections in one turn of the event loop
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_QUIET = 10.0  # seconds between two log lines
_PAUSE = 0.1  # seconds without accepting when there is no descriptor to refuse with


def _reserve() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # the next refused connection stays in the backlog


@dataclass(slots=True)
class Acceptor:
    """Listens on a bound socket and accepts connections, as soon as the object is made.

    Attributes:
        on_accept: called with a non-blocking socket and its peer's address.
        farewell: octets for a peer that is refused without a file descriptor.
        exhausted: connections that were refused without a file descriptor.
    """

    sock: socket.socket
    on_accept: Callable[[socket.socket, tuple[str | int, ...]], None]
    loop: asyncio.AbstractEventLoop
    backlog: int
    farewell: bytes = b""
    exhausted: int = 0
    _reserve: int = field(init=False)
    _paused: asyncio.TimerHandle | None = None
    _repeats: RepeatLimiter = field(init=False)

    def __post_init__(self) -> None:
        """Listen."""
        self._reserve = _reserve()
        self._repeats = RepeatLimiter(_QUIET, self.loop.time)
        self.sock.listen(self.backlog)
        self._accept_on()

    def close(self) -> None:
        """Close the listening socket."""
        if self.sock.fileno() < 0:
            return
        if self._paused is not None:
            self._paused.cancel()
        self.loop.remove_reader(self.sock.fileno())
        self.sock.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _accept_on(self) -> None:
        self._paused = None
        self.loop.add_reader(self.sock.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = self.sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._refuse(error)
                    return
                continue  # an error of this connection only: accept(2)
            sock.setblocking(False)
            self.on_accept(sock, address)

    def _refuse(self, error: OSError) -> None:
        """Close one waiting connection with the reserved descriptor."""
        self.exhausted += 1
        if self._repeats.hit("no_file_descriptors") is not None:
            name = self.sock.getsockname()
            log.error(
                "no_file_descriptors",
                where=name if isinstance(name, str) else "{}:{}".format(*name[:2]),
                why=error.strerror,
                refused=self.exhausted,
                remedy="raise LimitNOFILE, or lower limits.connections",
            )
        if self._reserve >= 0:
            os.close(self._reserve)
            # the connection is gone, or another process took the descriptor
            with contextlib.suppress(OSError), self.sock.accept()[0] as refused:
                refused.setblocking(False)
                if self.farewell:
                    refused.send(self.farewell)
        self._reserve = _reserve()
        if self._reserve < 0:
            # the socket stays readable: polling it would take all the CPU
            self.loop.remove_reader(self.sock.fileno())
            self._paused = self.loop.call_later(_PAUSE, self._accept_on)
