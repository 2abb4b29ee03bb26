"""Where log lines go: a bounded queue that a thread of its own empties.

A pipe that nobody reads blocks whoever writes to it. Here that is the writer thread, never the
event loop: while it is blocked, lines wait in the queue; when that is full, they are dropped and
counted, and the count is told as soon as writing goes on. The writer uses the file descriptor
itself, for a lock of `sys.stderr` held by a blocked thread would stall the exit.
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
"""Takes some lines to where they belong. Raises OSError or ValueError if nobody takes them."""
MAX_LINES = 8192
"""Lines that may wait for the writer."""
_BATCH = 256


class Stream(Protocol):
    """What a sink needs of a stream; a descriptor is used directly if it has one."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Write it out."""


class LogSink:
    """Takes events from any thread without ever blocking, and writes them in order.

    Attributes:
        requests: whether requests are logged. Look at this before you gather what to say of one;
            false when `log.requests` is off or the level is above info.
        dropped: lines that were lost since the start, told or not.
    """

    def __init__(
        self,
        render: Renderer,
        write: Writer,
        *,
        clock: Callable[[], float] = time.time,
        max_lines: int = MAX_LINES,
    ) -> None:
        """Start the writer thread.

        Args:
            render: makes a line of an event.
            write: takes lines to where they belong, and may block.
            clock: gives seconds since the epoch.
            max_lines: how many may wait.
        """
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
        """Queue an event, or count it as dropped. Never blocks, never raises for a value."""
        if self._closed or self._queue.qsize() >= self._max_lines:
            self._drop(1)
            return
        self._queue.put(self._render(self._clock(), level, event, fields))

    def close(self, timeout: float = 2.0) -> bool:
        """Write what waits, for `timeout` seconds at most; later events are dropped.

        Returns:
            Whether everything was written.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _drop(self, count: int) -> None:
        with self._lock:  # only held for this line, by anybody
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
            # the reader is gone or the stream is closed: there is nobody to tell, unless it returns
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
    """Writes lines to a stream, by its descriptor if it has one."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]  # asked, not assumed
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
        except BlockingIOError:  # somebody shares it with us and made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
