"""The token that lets people and scripts see the page: a file that the service's group may read."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress

from chatredirect.config.http_section import HttpSettings
from chatredirect.config.secret_files import is_exposed
from chatredirect.runtime.regular_file import opened

_OCTETS = 32
_SHORTEST = 16  # characters: a longer one can't be guessed
_LARGEST = 1024
_MODE = 0o640


class TokenFault(Exception):
    """The token can't be used; the text says which file is wrong, why, and what to do."""


def read_token(path: str | None) -> str:
    """The token in a file.

    Raises:
        TokenFault: there is none, or every user of this machine could know it.
    """
    if path is None:
        raise TokenFault(
            "the page's token has no place: set http.token_file, or StateDirectory=chatredirect in "
            "the service's unit"
        )
    try:
        with opened(path, _LARGEST) as descriptor:
            if is_exposed(descriptor):
                raise TokenFault(f"{path}: every user can read or write it: chmod o= {path}")
            token = os.read(descriptor, _LARGEST).decode("ascii").strip()
    except UnicodeDecodeError:
        raise TokenFault(f"{path}: it isn't ASCII: remove it, and reload") from None
    except FileNotFoundError:
        raise TokenFault(
            f"{path}: there is no such file: the daemon makes it when it starts, and at a reload"
        ) from None
    except OSError as error:
        raise TokenFault(f"{path}: {error.strerror or error}") from None
    if len(token) < _SHORTEST or not token.isprintable() or " " in token:
        raise TokenFault(
            f"{path}: a token has at least {_SHORTEST} characters and no blank: write another one, "
            "or remove the file, and reload"
        )
    return token


def ensure_token(http: HttpSettings, environment: Mapping[str, str]) -> None:
    """Make the file where there is none, if a page is to be served. `environment`: the process's.

    Raises:
        TokenFault: as `read_token`, or it can't be made.
    """
    if http.page_listen is None:
        return
    path = http.token_path(environment.get("STATE_DIRECTORY"))
    if path is not None and not os.path.lexists(path):
        try:
            _make(path)
        except OSError as error:
            remedy = "let the service's user write the folder, or set http.token_file"
            raise TokenFault(f"{path}: {error.strerror or error}: {remedy}") from None
    read_token(path)


def _make(path: str) -> None:
    new = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(descriptor, _MODE)  # whatever the umask leaves
            stream.write(secrets.token_urlsafe(_OCTETS).encode() + b"\n")
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was quicker
            os.link(new, path)
    finally:
        os.unlink(new)
