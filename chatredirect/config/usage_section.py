"""The section `usage`: where uses are kept, for how long, and how callers are named."""

import os
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, StrictInt
from pydantic.dataclasses import dataclass

from chatredirect.config.faults import quoted
from chatredirect.config.fields import STRICT, SecretFile, or_off
from chatredirect.runtime.regular_file import read_file

DEFAULT_KEEP = 400
"""Days that uses are kept."""
QUIET_FOR = 30
"""Days without a use after which an endpoint may go, unless somebody asks for another number."""
STATE_DIRECTORY = "/var/lib/chatredirect"
"""What systemd makes for the service."""
FILE_NAME = "usage.db"
_MAX_URL = 1024
_MIN_KEY = 16
_MAX_KEY = 1024

Kind: TypeAlias = Literal["auto", "sqlite", "postgresql"]
Callers: TypeAlias = Literal["named", "pseudonyms", "off"]


@plain_dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where a ledger is.

    Attributes:
        kind: `auto` is a file in systemd's state directory, if the daemon has been given one.
        path: the file of SQLite; else empty.
        url: the address of PostgreSQL, with its password; else empty.
    """

    kind: Kind
    path: str = ""
    url: str = field(default="", repr=False)

    def __str__(self) -> str:
        """The address without what PostgreSQL is told beside host and database."""
        if self.kind == "auto":
            return "auto"
        if self.kind == "sqlite":
            return f"sqlite://{self.path}"
        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


AUTO = StoreAddress("auto")


def parse_store(text: str) -> StoreAddress:
    """The address of a store, as in `sqlite:///var/lib/chatredirect/usage.db`.

    Raises:
        ValueError: it is none; the message never holds a password.
    """
    if "\0" in text or len(text) > _MAX_URL:
        raise ValueError(f"must be at most {_MAX_URL} characters without NUL")
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite":
        if not rest.startswith("/") or rest.endswith("/"):
            raise ValueError(
                f"{quoted(text)} names no file by its absolute path: write it as in "
                f"sqlite://{STATE_DIRECTORY}/{FILE_NAME}"
            )
        return StoreAddress("sqlite", path=os.path.normpath("/" + rest.lstrip("/")))
    if scheme in ("postgresql", "postgres"):
        _check_server(f"postgresql://{rest}")
        return StoreAddress("postgresql", url=f"postgresql://{rest}")
    raise ValueError(
        "must begin with sqlite:// or postgresql://, as in "
        f"sqlite://{STATE_DIRECTORY}/{FILE_NAME}; or be off"
    )


def _check_server(url: str) -> None:
    example = "write it as in postgresql://chatredirect@db.contoso.com/chatredirect"
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"has no valid host and port: {example}") from None
    if port == 0 or not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise ValueError(f"names no database: {example}")
    if "#" in url or any(char.isspace() for char in url):
        raise ValueError(f"holds a # or white space, which must be written as %XX: {example}")


def _store(value: object) -> StoreAddress:
    if isinstance(value, StoreAddress):
        return value
    if value == "auto":
        return AUTO
    if not isinstance(value, str):
        raise ValueError("must be an address in text, auto or off")
    return parse_store(value)


def _off_is_text(value: object) -> object:
    return "off" if value is False else value  # as YAML reads a plain off


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class UsageSettings:
    """The ledger of uses.

    Attributes:
        store: None if no ledger is kept.
        callers: whether callers are kept by name, as keyed hashes, or not at all.
        keep: days.
        key_file: holds the key of the hashes, where instances share it; else it lies beside the
            store.
    """

    store: Annotated[StoreAddress | None, or_off(_store)] = AUTO
    callers: Annotated[Callers, BeforeValidator(_off_is_text)] = "named"
    keep: Annotated[StrictInt, Field(ge=1, le=3650)] = DEFAULT_KEEP
    key_file: SecretFile | None = None

    def address(self, state_directory: str | None) -> StoreAddress | None:
        """Where the ledger is, in a process that systemd has given `state_directory`, if any."""
        if self.store is None or self.store.kind != "auto":
            return self.store
        if not state_directory:
            return None
        first = state_directory.partition(":")[0]
        return StoreAddress("sqlite", path=os.path.join(first, FILE_NAME))


def read_key(path: str) -> bytes:
    """The key in a file, without white space around it.

    Raises:
        OSError: it can't be read.
        ValueError: it is too short.
    """
    key = read_file(path, _MAX_KEY).strip()
    if len(key) < _MIN_KEY:
        raise ValueError(
            f"{path} holds {len(key)} octets: a key of at least {_MIN_KEY} can't be guessed"
        )
    return key


def fault_of_key(path: str) -> str | None:
    """Why a file holds no key; None if it does, or if its name is a fault of its own."""
    if not os.path.isabs(path):
        return None
    try:
        read_key(path)
    except FileNotFoundError:
        return f"there is no file {quoted(path)}"
    except OSError as error:
        return f"{path} can't be read: {error.strerror or error}"
    except ValueError as error:
        return str(error)
    return None
