"""Changes files of a folder all together or not at all.

New content is written to hidden files in the folder and synchronized before any file is renamed: a
full disk or a missing permission is found while nothing has changed. rename(2) is atomic, so a
reader of the folder finds the old file or the new one, whole.
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

_HIDDEN = ".chatredirect-"
"""Prefix of hidden files, which no `include` pattern reads; a killed command may leave some."""
_ACCESS_LIST = "system.posix_acl_access"
_FSYNC_FILES = 16
"""Files to synchronize one by one; for more it is faster to synchronize the file system."""
_PATIENCE = 120.0  # seconds; an import of 100,000 endpoints takes less
_POLL = 0.05  # seconds
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FilingError(Exception):
    """The file or folder `path` can't be changed. `error` is the system's."""

    def __init__(self, path: str, error: OSError) -> None:
        """Keep the path and the system's error."""
        super().__init__(f"{path}: {error}")
        self.path = path
        self.error = error


@dataclass(slots=True)
class WrittenFiles:
    """Files that have been written, and can still be restored.

    Attributes:
        new: paths of files that weren't there before.
        kept: the path of the hidden copy of each replaced or removed file, by its own path.
    """

    folder: str
    new: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def undo(self) -> None:
        """Restore the files.

        Raises:
            FilingError: they can't be restored.
        """
        for path, old in self.kept.items():
            with _filing_errors(path):
                os.rename(old, path)
        for path in self.new:
            with _filing_errors(path), suppress(FileNotFoundError):
                os.unlink(path)
        _sync_folder(self.folder)

    def forget(self) -> None:
        """Remove the hidden copies."""
        for old in self.kept.values():
            with suppress(OSError):  # the next command removes it
                os.unlink(old)


def write_all(
    folder: str,
    contents: Mapping[str, bytes | None],
    like: str,
    wrote: Callable[[], None] = lambda: None,
) -> WrittenFiles:
    """Write or remove files, all or none; they are on the disk when this returns.

    Args:
        folder: the files' folder; it must be locked.
        contents: by path; None to remove a file.
        like: the file whose owner, group and permissions new files get.
        wrote: called for each file.

    Raises:
        FilingError: nothing has been changed.
    """
    filed = WrittenFiles(folder)
    written: dict[str, str] = {}
    try:
        for path, content in contents.items():
            if content is not None:
                pattern = path if os.path.lexists(path) else like
                written[path] = _write(folder, content, pattern)
            wrote()
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
    return filed


def _swap(
    filed: WrittenFiles, contents: Mapping[str, bytes | None], written: dict[str, str]
) -> None:
    for path, content in contents.items():
        with _filing_errors(path):
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
    """Give a file a second name, without a moment in which it is missing."""
    try:
        os.link(path, old, follow_symlinks=False)
    except OSError:  # a file system without hard links
        content = read_file(path, MAX_FILE)
        os.rename(_write(os.path.dirname(old), content, path), old)


def _hidden(folder: str) -> str:
    return os.path.join(folder, f"{_HIDDEN}{secrets.token_hex(8)}")


def _write(folder: str, content: bytes, like: str) -> str:
    """Write a hidden file with the owner, group and permissions of another one; its path."""
    path = _hidden(folder)
    with _filing_errors(folder):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with _filing_errors(folder):
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
    with suppress(OSError):  # most files have no access list, and some file systems know none
        os.setxattr(handle, _ACCESS_LIST, os.getxattr(like, _ACCESS_LIST))


def _sync_all(folder: str, paths: list[str]) -> None:
    if len(paths) <= _FSYNC_FILES:
        for path in paths:
            with _filing_errors(folder):
                _fsync(path, os.O_RDONLY | os.O_CLOEXEC)
        return
    with _filing_errors(folder):
        handle = os.open(folder, _FOLDER)
        try:
            # syncfs(2), which Python lacks: unlike sync(2) it reports write errors
            if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
        finally:
            os.close(handle)


def _sync_folder(folder: str) -> None:
    with _filing_errors(folder):
        _fsync(folder, _FOLDER)


def _fsync(path: str, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _filing_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FilingError(path, error) from error


class BusyError(Exception):
    """Another command holds the lock for too long."""


@contextmanager
def locked(folder: str, like: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Lock a folder against other commands.

    Args:
        folder: made if it is missing, and removed again if it stays empty.
        like: the folder whose owner, group and permissions a new one gets.
        waiting: called once if another command holds the lock.

    Raises:
        BusyError: another command holds the lock for too long.
        FilingError: the folder can't be made or opened.
    """
    while True:
        made = _make(folder, like)
        with _filing_errors(folder):
            handle = os.open(folder, _FOLDER)
        try:
            _wait_for(handle, waiting)
            if not _is_still(folder, handle):
                continue  # the command that we waited for has removed its new folder
            _clear(folder)
            yield
            return
        finally:
            if made:
                with suppress(OSError):  # it isn't empty
                    os.rmdir(folder)
            os.close(handle)


def _make(folder: str, like: str) -> bool:
    if os.path.lexists(folder):
        return False
    with _filing_errors(folder):
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
        else:
            return
        if not announced:
            announced = True
            waiting()
        time.sleep(_POLL)


def _clear(folder: str) -> None:
    """Remove hidden files of killed commands; nobody else has any while the folder is locked."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(_HIDDEN):
                with suppress(OSError):
                    os.unlink(entry.path)
