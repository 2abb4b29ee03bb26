"""Files that a configuration names: regular ones of bounded size, nothing that waits.

To open a FIFO waits for whoever writes to it, a device does what it likes when it is opened, and
neither ever ends. So what a path leads to is looked at first, symbolic links followed, and again
once it is open.
"""

import asyncio
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

_PIECE = 65_536
PIPE_SECONDS = 10.0
"""How long whoever writes to a pipe that a user names may take in all."""

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnfitFileError(OSError):
    """A file isn't of the kind or size that is read; the text says what it is, and what to do."""


def read_file(path: str | os.PathLike[str], largest: int, *, pipe: bool = False) -> bytes:
    """The content of a regular file.

    Args:
        path: symbolic links are followed.
        largest: octets that it may have.
        pipe: whether a FIFO or pipe will do as well, whose writer has `PIPE_SECONDS` to end.

    Raises:
        UnfitFileError: it is no regular file, or larger.
        OSError: it can't be read.
        ValueError: there is a NUL in the path.
    """
    if pipe and stat.S_ISFIFO(os.stat(path).st_mode):
        return _read_pipe(path, largest)
    with opened(path, largest) as descriptor:
        # A file of /proc has no size: its end tells.
        return _read_all(descriptor, largest, max(os.fstat(descriptor).st_size + 1, _PIECE))


def look_at(path: str | os.PathLike[str], largest: int) -> None:
    """See that a file can be read, for a library that opens it by its path.

    Raises:
        UnfitFileError: it is no regular file, or larger.
        OSError: it can't be read.
    """
    with opened(path, largest):
        pass


class FileFingerprint(NamedTuple):
    """What changes when a file is written, replaced, or linked elsewhere.

    Attributes:
        inode: its inode.
        changed: when its content last changed, in nanoseconds.
        size: octets.
    """

    inode: int
    changed: int
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
    """A descriptor to read a regular file of at most `largest` octets. Raises as `read_file`."""
    _refuse_others(os.stat(path), largest)  # a device may do something when it is opened
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


def _read_all(descriptor: int, largest: int, piece: int) -> bytes:
    """All up to the end. Raises UnfitFileError when it is more than allowed."""
    content = bytearray()
    while data := os.read(descriptor, min(piece, largest + 1 - len(content))):
        content += data
        if len(content) > largest:
            raise _too_large(largest)
    return bytes(content)


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
                written = True  # or its writer has come and gone
    finally:
        os.close(descriptor)
    raise UnfitFileError(
        f"is a pipe whose writer didn't end within {PIPE_SECONDS:g} s: write it to a file, and "
        "name that"
    )


_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """What `work` gives, or raises. To be cancelled here is to give up waiting for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T) -> None:
        if not done.done():
            done.set_result(result)

    def fail(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            try:
                result = work()
            except Exception as error:  # whatever it is, it is the caller's
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="files", daemon=True).start()
    return await done
