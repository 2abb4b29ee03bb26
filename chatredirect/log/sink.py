"""The sink of log lines: a bounded queue and a thread that writes.

A pipe that nobody reads blocks the writer thread, not the event loop. Meanwhile lines wait in the
queue; when it is full, they are dropped and counted, and the count is logged as soon as writing
goes on. The thread uses the file descriptor: the lock of `sys.stderr`, held by a blocked thread,
would block the exit.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from chatredirect.log.render import Renderer

Writer: TypeAlias = Callable[[list[str]], None]
"""Writes lines. Raises OSError or ValueError if that is impossible."""
MAX_LINES = 8192
"""Lines that may wait for the writer."""
_BATCH = 256


class Stream(Protocol):
    """What a sink needs of a stream."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Write it out."""


class LogSink:
    """Takes events from any thread without blocking, and writes them in order.

    Attributes:
        requests: whether requests are logged: false if `log.requests` is off or the level is above
            info. Check it before collecting the fields of a request.
        dropped: lines that were lost since the start.
    """

    def __init__(
        self,
        render: Renderer,
        write: Writer,
        *,
        clock: Callable[[], float] = time.time,
        max_lines: int = MAX_LINES,
    ) -> None:
        """Start the writer thread; `clock` returns seconds since the epoch."""
        self.requests = True
        self._render = render
        self._clock = clock
        self._max_lines = max_lines
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.dropped = 0
        self._unreported = 0
        self._closed = False
        self._write = write
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Queue an event, or count it as dropped. Never blocks, nor raises for any value."""
        if self._closed or self._queue.qsize() >= self._max_lines:
            self._drop(1)
            return
        self._queue.put(self._render(self._clock(), level, event, fields))

    def close(self, timeout: float = 2.0) -> bool:
        """Write waiting lines for at most `timeout` seconds; later events are dropped.

        Returns:
            Whether everything was written.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _drop(self, count: int) -> None:
        with self._lock:  # never held for long
            self.dropped += count
            self._unreported += count

    def _run(self) -> None:
        going_on = True
        while going_on:
            lines = [self._queue.get()]
            try:
                while len(lines) < _BATCH:
                    lines.append(self._queue.get_nowait())
            except Empty:
                pass
            going_on = None not in lines
            self._put([line for line in lines if line is not None])

    def _put(self, lines: list[str]) -> None:
        try:
            if lines:
                self._write(lines)
            self._log_dropped()
        except (OSError, ValueError):
            # the reader is gone, or the stream is closed
            self._drop(len(lines))

    def _log_dropped(self) -> None:
        with self._lock:
            count, self._unreported = self._unreported, 0
        if count:
            line = self._render(self._clock(), "warning", "log_dropped", {"count": count})
            try:
                self._write([line])
            except (OSError, ValueError):
                with self._lock:
                    self._unreported += count


def stream_writer(stream: Stream) -> Writer:
    """A writer to a stream, by its descriptor if it has one."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]  # may be missing
    except (AttributeError, OSError, ValueError):
        return lambda lines: _write_stream(stream, _text(lines))
    return lambda lines: _write_descriptor(descriptor, _text(lines).encode())


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _write_stream(stream: Stream, text: str) -> None:
    stream.write(text)
    stream.flush()


def _write_descriptor(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # another process that shares it made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
