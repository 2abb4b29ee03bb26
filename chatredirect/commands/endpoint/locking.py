"""One command at a time changes a folder; the others wait.

The lock is the folder's own (flock(2)), so nothing is left of it, whatever becomes of a command.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from chatredirect.commands.endpoint.filing import HIDDEN, told

_PATIENCE = 120.0  # seconds; an import of 100,000 endpoints takes less
_POLL = 0.05


class BusyError(Exception):
    """Another command holds the folder for longer than anybody waits."""


@contextmanager
def locked(folder: str, like: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Have a folder for oneself among commands.

    Args:
        folder: it. One that isn't there is made, and goes again if it stays empty.
        like: a folder whose owner, group and permissions a new one gets.
        waiting: called once if another command has it.

    Raises:
        BusyError: another one doesn't give it back.
        FilingError: the folder can't be made or opened.
    """
    while True:
        made = _make(folder, like)
        with told(folder):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _wait_for(handle, waiting)
            if not _is_still(folder, handle):
                continue  # the one that we have waited for has taken its new folder away
            _clear(folder)
            yield
            return
        finally:
            if made:
                with suppress(OSError):  # it has files in it now
                    os.rmdir(folder)
            os.close(handle)


def _make(folder: str, like: str) -> bool:
    if os.path.lexists(folder):
        return False
    with told(folder):
        pattern = os.stat(like)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            return False
        try:
            if os.geteuid() == 0:
                os.chown(folder, pattern.st_uid, pattern.st_gid)
            os.chmod(folder, stat.S_IMODE(pattern.st_mode))
        except OSError:
            os.rmdir(folder)
            raise
    return True


def _is_still(folder: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(handle))
    except FileNotFoundError:
        return False


def _wait_for(handle: int, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PATIENCE
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError from None
            if not told:
                told = True
                waiting()
            time.sleep(_POLL)
        else:
            return


def _clear(folder: str) -> None:
    """Take away what killed commands have left; whoever has the lock knows that nobody needs it."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(HIDDEN):
                with suppress(OSError):
                    os.unlink(entry.path)
