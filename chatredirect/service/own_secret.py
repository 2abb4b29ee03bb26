"""A secret where none is configured: made once, and kept in the service's state directory.

It signs what the mode `proxy` writes into Record-Route, so dialogs outlive a restart only if the
secret does. systemd names the directory in `$STATE_DIRECTORY` (systemd.exec(5), StateDirectory=).
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from stat import S_IMODE, S_ISREG

import structlog

from chatredirect.runtime.wording import error_text

log = structlog.get_logger()

FILE = "secret"
_OCTETS = 32
_SHORTEST = 16  # characters, as in the configuration
_LARGEST = 1024


@dataclass(frozen=True, slots=True)
class OwnSecret:
    """A secret of our own.

    Attributes:
        file: where it is kept, or should be; None where there is no state directory.
        fault: why it isn't kept, for people; None if it is.
    """

    key: bytes
    file: str | None = None
    fault: str | None = None

    def log_unless_kept(self) -> None:
        """Log that it isn't kept: then every dialog ends with this process."""
        what = "requests in dialogs of the mode proxy get 481 after a restart"
        if self.file is None:
            log.info(
                "secret_not_kept",
                why="there is no state directory",
                what=what,
                remedy="set secret, or StateDirectory=chatredirect in the service's unit",
            )
        elif self.fault is not None:
            log.warning("secret_not_kept", file=self.file, why=self.fault, what=what)


def own_secret(environment: Mapping[str, str]) -> OwnSecret:
    """The kept secret, or a new one; reads and writes files. `environment`: the process's."""
    folder = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder.startswith("/"):
        return OwnSecret(secrets.token_bytes(_OCTETS))
    file = os.path.join(folder, FILE)
    try:
        with suppress(FileNotFoundError):
            return OwnSecret(_read(file), file)
        _make(file)
        return OwnSecret(_read(file), file)
    except OSError as error:
        fault = error_text(error)
    except ValueError as error:
        fault = str(error)
    return OwnSecret(secrets.token_bytes(_OCTETS), file, fault)


def _read(file: str) -> bytes:
    """Raises OSError, and ValueError if the file isn't as we make it."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise ValueError("it is no regular file: remove it, and a new one is made")
        if S_IMODE(status.st_mode) & 0o077:
            raise ValueError("others may read it: remove it, and a new one is made")
        text = os.read(descriptor, _LARGEST + 1).strip()
    finally:
        os.close(descriptor)
    if not _SHORTEST <= len(text) <= _LARGEST:
        raise ValueError(
            f"it has {len(text)} octets, not {_SHORTEST} to {_LARGEST}: remove it, and a new one "
            "is made"
        )
    return text


def _make(file: str) -> None:
    """Make a file with a new secret, whole or not at all; one that is there stays."""
    new = f"{file}.{secrets.token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o600)  # whatever the umask leaves
            stream.write(secrets.token_hex(_OCTETS).encode() + b"\n")
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        os.unlink(new)
    folder = os.open(os.path.dirname(file), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
