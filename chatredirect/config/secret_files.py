"""Files that hold one secret: of bounded size, one line, and for the service alone."""

import os
import stat

from chatredirect.runtime.regular_file import UnfitFileError, read_file

MAX_SECRET = 1024
"""Octets; OpenSSL takes no longer password (PEM_BUFSIZE)."""


def read_secret(path: str) -> str:
    """The secret in a file; one line end at the file's end isn't part of it.

    Raises:
        ValueError: the file can't be read or holds no secret; the message has the path, and nothing
            of the content.
    """
    try:
        content = read_file(path, MAX_SECRET + len("\r\n"))
    except UnfitFileError as error:
        raise ValueError(f"{path} {error}") from None
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except PermissionError:
        raise ValueError(f"user {os.geteuid()} isn't permitted to read {path}") from None
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} isn't text in UTF-8: write the secret as text") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError(f"{path} is empty: write the secret into it")
    if len(content) > MAX_SECRET + len(text) - len(secret):
        raise ValueError(f"{path} has more than {MAX_SECRET:,} octets")
    if "\n" in secret or "\0" in secret:
        raise ValueError(f"{path} has more than one line: the secret alone belongs into it")
    return secret


def is_exposed(file: str | int) -> bool:
    """Whether every user of this machine can read a secret's file, or write it; its group may.

    Who writes it puts a secret there that they know. `file`: its path, or an open descriptor.
    """
    try:
        return bool(os.stat(file).st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except (OSError, ValueError):  # ValueError: no path at all, which validation reports
        return False
