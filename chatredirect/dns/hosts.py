"""Names that are never asked: those of `dns.hosts` and of the hosts file.

`dns.hosts` goes before the file. The file is read again when it has changed; what can't be read as
an address and names is passed over, as every resolver does it, and a file that isn't there has no
names.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from chatredirect.config.addresses import IPAddress
from chatredirect.dns.address import address_text
from chatredirect.oserror import words
from chatredirect.regular_file import read_file

MAX_OCTETS = 8 * 1024 * 1024
"""Of a hosts file; a larger one isn't read."""


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Read a hosts file (hosts(5)): names in lower case, without a final dot, to addresses."""
    addresses: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2:
            continue
        try:
            address = address_text(ip_address(fields[0]))
        except ValueError:
            continue
        for field in fields[1:]:
            name = field.lower().rstrip(".")
            known = addresses.get(name, ())
            if address not in known:
                addresses[name] = (*known, address)
    return addresses


@dataclass(frozen=True, slots=True)
class _Version:
    """What changes when a file does."""

    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: str) -> "_Version | None":
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the file found: `addresses` is None if it is as it was, or can't be read."""

    version: _Version | None
    addresses: dict[str, tuple[str, ...]] | None
    fault: str | None = None


class Hosts:
    """Addresses by name, from the configuration and a file.

    Attributes:
        fault: why the file can't be read; None if it can, or isn't there.
    """

    __slots__ = ("_configured", "_file", "_path", "_version", "fault")

    def __init__(self, configured: Mapping[str, Iterable[IPAddress]], path: str) -> None:
        """Read the file at `path`; an empty path is no file."""
        self._configured = {
            name.lower().rstrip("."): tuple(dict.fromkeys(map(address_text, addresses)))
            for name, addresses in configured.items()
        }
        self._path = path
        self._version: _Version | None = None
        self._file: dict[str, tuple[str, ...]] = {}
        self.fault: str | None = None
        self.reread()

    def get(self, name: str) -> tuple[str, ...] | None:
        """The addresses of `name` (lower case, no final dot); None if it has to be asked for."""
        return self._configured.get(name) or self._file.get(name)

    def reread(self) -> bool:
        """Read the file if it has changed; whether any name did."""
        return self.take(self.look())

    def look(self) -> _Look:
        """Read the file if it has changed, and leave everything as it is: for a thread."""
        version = _Version.of(self._path) if self._path else None
        if version == self._version and self.fault is None:
            return _Look(version, None)
        if version is None:
            return _Look(version, {})
        try:
            content = read_file(self._path, MAX_OCTETS)
        except OSError as error:
            return _Look(version, None, words(error))
        return _Look(version, parse_hosts(content.decode("utf-8", "replace")))

    def take(self, look: _Look) -> bool:
        """Go by what a look has found; whether any name is different."""
        self._version, self.fault = look.version, look.fault
        if look.addresses is None or look.addresses == self._file:
            return False  # names that were known are better than none
        self._file = look.addresses
        return True
