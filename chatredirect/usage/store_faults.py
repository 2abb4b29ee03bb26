"""Why a ledger can't be read or written, in words, with what to do."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chatredirect.config.usage_section import StoreAddress
from chatredirect.log.escape import MAX_TEXT, escape
from chatredirect.usage.schema import UnfitSchema

_NO_SPACE = "make room on its file system"
_NO_RIGHT = (
    "let the service's user write the file and its folder; a command that changes it needs root"
)
_BROKEN = "move the file away, and the daemon begins a new one; its backup can be read with --store"

#: SQLite's primary result codes (sqlite3.h) -> why and what to do.
_OF_SQLITE = {
    sqlite3.SQLITE_BUSY: ("another program holds it locked", "end what has it open"),
    sqlite3.SQLITE_LOCKED: ("another program holds it locked", "end what has it open"),
    sqlite3.SQLITE_READONLY: ("it may not be written", _NO_RIGHT),
    sqlite3.SQLITE_FULL: ("no space is left for it", _NO_SPACE),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _BROKEN),
    sqlite3.SQLITE_NOTADB: ("it is no SQLite database", _BROKEN),
    sqlite3.SQLITE_CANTOPEN: ("it can't be opened", _NO_RIGHT),
}


class StoreFault(Exception):
    """A ledger can't be read or written.

    Attributes:
        address: printable, without a password.
        why: printable, one line.
        remedy: what to do.
    """

    def __init__(self, address: StoreAddress, why: str, remedy: str) -> None:
        """Write the sentence."""
        self.address = escape(str(address))
        self.why = escape(why)[:MAX_TEXT]
        self.remedy = remedy
        super().__init__(f"{self.address}: {self.why}: {remedy}")


@contextmanager
def told(address: StoreAddress) -> Iterator[None]:
    """What goes wrong with a ledger is raised as a StoreFault."""
    try:
        yield
    except UnfitSchema as error:
        raise StoreFault(address, str(error), "install that version here, too") from error
    except DBAPIError as error:
        raise StoreFault(address, *_of_driver(error)) from error
    except OSError as error:
        raise StoreFault(address, *_of_system(error, address)) from error
    except ModuleNotFoundError as error:
        remedy = "make install EXTRAS=postgresql, or pip install 'chatredirect[postgresql]'"
        raise StoreFault(address, "its driver isn't installed", remedy) from error
    except (SQLAlchemyError, ValueError) as error:
        # the address may hold a password: say the kind of fault alone
        why = f"it can't be used ({type(error).__name__})"
        raise StoreFault(address, why, "see usage.store in the configuration") from error


def _of_driver(error: DBAPIError) -> tuple[str, str]:
    driver = error.orig
    if isinstance(driver, sqlite3.Error):
        code = getattr(driver, "sqlite_errorcode", 0) & 0xFF
        if code in _OF_SQLITE:
            return _OF_SQLITE[code]
        return f"SQLite says: {driver}", "see its file and its file system"
    lines = str(driver).strip().splitlines()
    return (
        f"PostgreSQL says: {lines[0] if lines else type(driver).__name__}",
        "see that it runs, and that it lets chatredirect's user in",
    )


def _of_system(error: OSError, address: StoreAddress) -> tuple[str, str]:
    folder = os.path.dirname(address.path)
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return f"there is no folder {folder}", "make it, for the service's user to write"
        case PermissionError():
            return "it can't be made", f"let the service's user write in {folder}"
    if error.errno == errno.ENOSPC:
        return "no space is left for it", _NO_SPACE
    return f"{error.strerror}", "see its file and its file system"
