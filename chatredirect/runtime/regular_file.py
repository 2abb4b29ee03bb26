"""Reads files that a configuration names: only regular files of bounded size.

Opening a FIFO waits for its writer, opening a device may have any effect, and reading neither need
end. So the type is checked before the file is opened, following symbolic links, and once more then.
"""

import asyncio
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

_PIECE = 65_536
PIPE_SECONDS = 10.0
"""Seconds in which the writer of a pipe must end."""

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnfitFileError(OSError):
    """A file has the wrong type or size; the text says why, and the remedy."""


def read_file(path: str | os.PathLike[str], largest: int, *, pipe: bool = False) -> bytes:
    """The content of a regular file.

    Args:
        path: its path; symbolic links are followed.
        largest: octets that it may have.
        pipe: whether it may be a pipe, whose writer must end within `PIPE_SECONDS`.

    Raises:
        UnfitFileError: it isn't a regular file, or too large.
        OSError: it can't be read.
        ValueError: the path contains NUL.
    """
    if pipe and stat.S_ISFIFO(os.stat(path).st_mode):
        return _read_pipe(path, largest)
    with opened(path, largest) as descriptor:
        # a file in /proc has size 0: read up to its end
        piece = max(os.fstat(descriptor).st_size + 1, _PIECE)
        content = bytearray()
        while data := os.read(descriptor, min(piece, largest + 1 - len(content))):
            content += data
            if len(content) > largest:
                raise _too_large(largest)
        return bytes(content)


def look_at(path: str | os.PathLike[str], largest: int) -> None:
    """Check a file before a library opens it by its path. Raises as `read_file`."""
    with opened(path, largest):
        pass


class FileFingerprint(NamedTuple):
    """What differs after a file was written, replaced, or linked elsewhere."""

    inode: int
    changed: int  # nanoseconds
    size: int


def fingerprint(path: str) -> FileFingerprint | None:
    """The fingerprint of a file; None if there is none."""
    try:
        status = os.stat(path)  # follows links: a renewal tool may only change where they point
    except OSError:
        return None
    return FileFingerprint(status.st_ino, status.st_mtime_ns, status.st_size)


@contextmanager
def opened(path: str | os.PathLike[str], largest: int) -> Iterator[int]:
    """A descriptor of a regular file of at most `largest` octets. Raises as `read_file`."""
    _refuse_others(os.stat(path), largest)  # before opening: that may affect a device
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_others(os.fstat(descriptor), largest)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_others(status: os.stat_result, largest: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for fits, name in _KINDS if fits(status.st_mode)), "something else")
        raise UnfitFileError(f"is {kind}, not a file: name a regular file, or a link to one")
    if status.st_size > largest:
        raise _too_large(largest)


def _too_large(largest: int) -> UnfitFileError:
    return UnfitFileError(f"is larger than {largest // 1024:,} KiB: name a smaller file")


def _read_pipe(path: str | os.PathLike[str], largest: int) -> bytes:
    end = time.monotonic() + PIPE_SECONDS
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    content, written = bytearray(), False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while time.monotonic() < end:
            try:
                data = os.read(descriptor, min(_PIECE, largest + 1 - len(content)))
            except BlockingIOError:
                data, written = b"", True
            else:
                if not data and written:
                    return bytes(content)
            if data:
                content += data
                written = True
                if len(content) > largest:
                    raise _too_large(largest)
            elif poll.poll(max(0.0, end - time.monotonic()) * 1000):
                written = True  # or the writer has opened and closed it
    finally:
        os.close(descriptor)
    raise UnfitFileError(
        f"is a pipe whose writer didn't end within {PIPE_SECONDS:g} s: write it to a file, and "
        "name that"
    )


_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread of its own. Cancelling stops only the waiting."""
    done: Future[_T] = Future()
    done.set_running_or_notify_cancel()  # from here on a cancelled waiter can't cancel it

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # raised in the caller
            done.set_exception(error)

    threading.Thread(target=run, name="files", daemon=True).start()
    return await asyncio.wrap_future(done)
