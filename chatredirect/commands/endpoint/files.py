"""Files in a folder change all together or not at all.

What is new is written beside its place under a hidden name, and is on the disk before anything gets
its name: a full disk or a missing right shows while nothing has changed. A rename needs neither
space nor time, and who reads the folder meanwhile finds the old file or the new one, whole.
"""

import ctypes
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from chatredirect.config.document import MAX_FILE
from chatredirect.runtime.regular_file import read_file

HIDDEN = ".chatredirect-"
"""Beginning of names that no pattern with a star reads, and that a killed command may leave."""
_ACCESS_LIST = "system.posix_acl_access"


class FilingError(Exception):
    """Nothing could be changed.

    Attributes:
        path: what it was about.
        error: what the system said.
    """

    def __init__(self, path: str, error: OSError) -> None:
        """Keep both."""
        super().__init__(f"{path}: {error}")
        self.path = path
        self.error = error


@dataclass(slots=True)
class Filed:
    """A change that has been made, and can still be taken back.

    Attributes:
        new: files that weren't there before.
        kept: what was in a place before, by place, under a hidden name.
    """

    folder: str
    new: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def undo(self) -> None:
        """Let everything be as it was.

        Raises:
            FilingError: that isn't possible.
        """
        for path, old in self.kept.items():
            with filing_errors(path):
                os.rename(old, path)
        for path in self.new:
            with filing_errors(path), suppress(FileNotFoundError):
                os.unlink(path)
        _sync_folder(self.folder)

    def forget(self) -> None:
        """Let nothing of what was before be left."""
        for old in self.kept.values():
            with suppress(OSError):  # the next command clears it away
                os.unlink(old)


def file_all(
    folder: str, contents: Mapping[str, bytes | None], like: str, *, keep: bool = False
) -> Filed:
    """Give files their content, or take them away, all or none; on the disk when this returns.

    Args:
        folder: that they are in, locked.
        contents: by path; None for a file that is to go.
        like: the file whose owner, group and permissions new ones get.
        keep: whether it shall be possible to take it back.

    Raises:
        FilingError: nothing has been changed.
    """
    filed = Filed(folder)
    written: dict[str, str] = {}
    try:
        for path, content in contents.items():
            if content is not None:
                pattern = path if os.path.lexists(path) else like
                written[path] = _write(folder, content, pattern)
        _sync_all(folder, list(written.values()))
        _swap(filed, contents, written)
    except BaseException:
        for temporary in written.values():
            with suppress(OSError):
                os.unlink(temporary)
        with suppress(FilingError):
            filed.undo()
        raise
    _sync_folder(folder)
    if not keep:
        filed.forget()
    return filed


def _swap(filed: Filed, contents: Mapping[str, bytes | None], written: dict[str, str]) -> None:
    for path, content in contents.items():
        with filing_errors(path):
            if os.path.lexists(path):
                old = _hidden(filed.folder)
                if content is None:
                    os.rename(path, old)
                else:
                    _keep(path, old)
                filed.kept[path] = old
            else:
                filed.new.append(path)
            if content is not None:
                os.rename(written[path], path)
                del written[path]


def _keep(path: str, old: str) -> None:
    """Have what is in a place under another name too, while the place is never empty."""
    try:
        os.link(path, old, follow_symlinks=False)
    except OSError:  # a file system without hard links
        content = read_file(path, MAX_FILE)
        os.rename(_write(os.path.dirname(old), content, path), old)


def _hidden(folder: str) -> str:
    return os.path.join(folder, f"{HIDDEN}{secrets.token_hex(8)}")


def _write(folder: str, content: bytes, like: str) -> str:
    """A file under a hidden name that has the owner, group and permissions of another one."""
    path = _hidden(folder)
    with filing_errors(folder):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with filing_errors(folder):
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
            _look_like(handle, like)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(handle)
    return path


def _look_like(handle: int, like: str) -> None:
    pattern, made = os.stat(like), os.fstat(handle)
    if os.geteuid() == 0 and pattern.st_uid != made.st_uid:
        os.fchown(handle, pattern.st_uid, -1)
    if pattern.st_gid != made.st_gid:
        os.fchown(handle, -1, pattern.st_gid)
    os.fchmod(handle, stat.S_IMODE(pattern.st_mode) & 0o666)
    with suppress(OSError):  # most files have no access list, and not every file system knows them
        os.setxattr(handle, _ACCESS_LIST, os.getxattr(like, _ACCESS_LIST))


_ONE_BY_ONE = 16
"""Files that are synchronized one by one; for more the whole file system is, which is quicker."""


def _sync_all(folder: str, paths: list[str]) -> None:
    if len(paths) > _ONE_BY_ONE:
        _sync_file_system(folder)
        return
    for path in paths:
        with filing_errors(folder):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _sync_file_system(folder: str) -> None:
    """syncfs(2), which Python hasn't got: it tells of what couldn't be written, unlike sync(2)."""
    with filing_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
        finally:
            os.close(handle)


def _sync_folder(folder: str) -> None:
    with filing_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def filing_errors(path: str) -> Iterator[None]:
    """Make a FilingError about a path of what the system says."""
    try:
        yield
    except OSError as error:
        raise FilingError(path, error) from error


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
        with filing_errors(folder):
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
    with filing_errors(folder):
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
    announced = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError from None
            if not announced:
                announced = True
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
