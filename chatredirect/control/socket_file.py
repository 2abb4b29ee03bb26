"""The control socket's file.

A socket that a crash has left behind refuses connections, and the daemon takes it over. One that
answers belongs to a running daemon: two daemons with one control socket are a mistake, and the
second doesn't start. The folder is locked between the check and bind(2), so that of two that start
at the same time only one takes over.
"""

import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from chatredirect.runtime.wording import error_text

_MODE = 0o660
_BACKLOG = 64
_PATIENCE = 1.0  # seconds for a lock that is held for less than one thousandth
_CREDENTIALS = struct.Struct("3i")  # unix(7): struct ucred


class ControlSocketError(Exception):
    """The control socket can't be opened; the text says why, and what to do."""

    def __init__(self, path: str, why: str) -> None:
        """Name the file and the reason."""
        super().__init__(f"can't open the control socket {path}: {why}")


@dataclass(slots=True)
class ControlSocketFile:
    """A listening control socket, non-blocking, and its file."""

    path: str
    sock: socket.socket
    _identity: tuple[int, int]

    def leave(self) -> None:
        """Remove the file, unless another has put its own there. The socket isn't closed."""
        with suppress(OSError):  # the folder has gone, as systemd removes it: nothing is left
            if _identity(self.path) == self._identity:
                os.unlink(self.path)


def take_socket(path: str) -> ControlSocketFile:
    """Listen on a path.

    Raises:
        ControlSocketError: another daemon has it, another file is there, or it isn't permitted.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with _locked(os.path.dirname(path) or "."):
            _clear(path)
            sock.bind(path)
            os.chmod(path, _MODE)  # before it listens: until then nobody gets in
            sock.listen(_BACKLOG)
        return ControlSocketFile(path, sock, _identity(path))
    except OSError as error:
        sock.close()
        raise ControlSocketError(path, _why(path, error)) from None
    except BaseException:
        sock.close()
        raise


def peer_of(sock: socket.socket) -> tuple[int, int, int]:
    """Process, user and group at the other end (SO_PEERCRED)."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, group = _CREDENTIALS.unpack(raw)
    return process, user, group


def _clear(path: str) -> None:
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ControlSocketError(
            path,
            "there is a file of that name which is no socket; remove it, or set control.socket",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # left over from a crash
            return
        except BlockingIOError:  # it listens, and its queue is full
            owner = ""
        else:
            owner = f" (process {peer_of(probe)[0]})"
    raise ControlSocketError(
        path,
        f"another chatredirect{owner} answers there: two daemons on one configuration? "
        "Stop that one, or give this one a control.socket of its own",
    )


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # in a folder that everybody may lock, somebody may hold it for ever
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _why(path: str, error: OSError) -> str:
    folder = os.path.dirname(path) or "."
    match error:
        case FileNotFoundError():
            return f"there is no folder {folder}; make it, or set control.socket"
        case PermissionError():
            return (
                f"user {os.geteuid()} isn't permitted to write to {folder}; "
                "change its owner, or set control.socket"
            )
    if error.errno is None:  # bind: the path doesn't fit into an address
        return "a socket's path has at most 107 octets; set control.socket to a shorter one"
    return error_text(error)
