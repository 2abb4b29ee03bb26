"""How callers are named in a ledger: by address, by a keyed hash of it, or all alike.

Without the key a hash can't be made of a guessed address; who has it can, and so `usage forget` can
find one person's uses.
"""

import hmac
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from chatredirect.config.usage_section import StoreAddress, UsageSettings, read_key
from chatredirect.usage.identity import canonical_caller

UNNAMED = "unnamed"
"""Every caller, where none is kept."""
KEY_NAME = "usage.key"
_KEY_MODE = 0o600  # the group may read the ledger, and not who the pseudonyms are
_DIGITS = 20  # 80 bits: among a million callers two alike are one in 10**12


def naming(settings: UsageSettings, address: StoreAddress) -> Callable[[bytes], str]:
    """What names a caller by a From URI; reads the key, or makes one. Blocks.

    Raises:
        OSError: the key can't be read or made.
        ValueError: it is too short.
    """
    if settings.callers == "named":
        return canonical_caller
    if settings.callers == "off":
        return unnamed
    key = read_key(settings.key_file) if settings.key_file else _own_key(address)
    return lambda uri: pseudonym(canonical_caller(uri), key)


def unnamed(_uri: bytes) -> str:
    """The name of every caller where none is kept."""
    return UNNAMED


def pseudonym(caller: str, key: bytes) -> str:
    """The name of a caller in a ledger of pseudonyms."""
    digest = hmac.digest(key, caller.encode("utf-8", "backslashreplace"), "sha256")
    return f"pseudonym:{digest.hex()[:_DIGITS]}"


def pseudonyms_of(
    caller: str, settings: UsageSettings, stores: Iterable[StoreAddress]
) -> Iterator[str]:
    """The pseudonyms that a caller can have, by `key_file` or by the keys beside some stores.

    Makes no key. Where pseudonyms aren't what is written now, they may be what was written before.

    Raises:
        OSError: callers are pseudonyms, and there is no key that can be read.
        ValueError: the same, and it is too short.
    """
    beside = [_key_beside(each) for each in stores if each.kind == "sqlite"]
    fault: OSError | ValueError | None = None
    found = False
    for path in dict.fromkeys([settings.key_file] if settings.key_file else beside):
        try:
            yield pseudonym(caller, read_key(path))
            found = True
        except (OSError, ValueError) as error:
            fault = error
    if fault is not None and not found and settings.callers == "pseudonyms":
        raise fault


def _key_beside(address: StoreAddress) -> str:
    return os.path.join(os.path.dirname(address.path), KEY_NAME)


def _own_key(address: StoreAddress) -> bytes:
    path = _key_beside(address)
    with suppress(FileNotFoundError):
        return read_key(path)
    new = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _KEY_MODE)
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(descriptor, _KEY_MODE)
            stream.write(secrets.token_hex(32).encode() + b"\n")
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was quicker: its key counts
            os.link(new, path)
    finally:
        os.unlink(new)
    return read_key(path)
