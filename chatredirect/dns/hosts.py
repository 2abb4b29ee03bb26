"""Fixed names: those of `dns.hosts` and of the hosts file. DNS isn't asked for them.

`dns.hosts` has precedence over the file. The file is read again when it has changed; unreadable
lines are ignored, as in every resolver, and a missing file has no names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from chatredirect.net.addresses import IPAddress
from chatredirect.runtime.regular_file import FileFingerprint, fingerprint, read_file
from chatredirect.runtime.wording import error_text

#: Prefixes of IPv4 addresses that DNS64 translates (RFC 6052 §2.1, RFC 8215); Python
#: counts the first of them as reserved.
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))

MAX_OCTETS = 8 * 1024 * 1024
"""Octets of a hosts file; a larger one isn't read."""


def address_text(address: IPAddress) -> str:
    """An address as text, a v4-mapped one as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(address if mapped is None else mapped)


@lru_cache(maxsize=1024)
def unfit(address: str) -> str | None:
    """Why nothing can be sent to an address; None if it can. Private and loopback ones are fine."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    if ip.is_unspecified:
        return "the unspecified address"
    if ip.is_multicast:
        return "a multicast address"
    if ip.is_link_local:
        return "a link-local address, which means another machine on every link"
    translated = ip.version == 6 and any(ip in network for network in _TRANSLATED)
    if ip.is_reserved and not ip.is_loopback and not translated:
        return "a reserved address"
    return None


def plain(address: str) -> str:
    """An address as in targets: a v4-mapped one as IPv4."""
    return address_text(ip_address(address)) if ":" in address else address


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
class _Look:
    """The content of the file; `addresses` is None if it is unchanged or unreadable."""

    version: FileFingerprint | None
    addresses: dict[str, tuple[str, ...]] | None
    fault: str | None = None


class Hosts:
    """Addresses by name, from the configuration and a file.

    Attributes:
        fault: why the file can't be read; None if it can, or doesn't exist.
    """

    __slots__ = ("_configured", "_file", "_path", "_version", "fault")

    def __init__(self, configured: Mapping[str, Iterable[IPAddress]], path: str) -> None:
        """Read the file at `path`; an empty path means no file."""
        self._configured = {
            name.lower().rstrip("."): tuple(dict.fromkeys(map(address_text, addresses)))
            for name, addresses in configured.items()
        }
        self._path = path
        self._version: FileFingerprint | None = None
        self._file: dict[str, tuple[str, ...]] = {}
        self.fault: str | None = None
        self.reread()

    def get(self, name: str) -> tuple[str, ...] | None:
        """The addresses of `name` (lower case, no final dot); None if DNS has to be asked."""
        return self._configured.get(name) or self._file.get(name)

    def reread(self) -> bool:
        """Read the file if it has changed; returns whether any name did."""
        return self.take(self.look())

    def look(self) -> _Look:
        """Read the file if it has changed, for `take`; changes nothing, so a thread can do it."""
        version = fingerprint(self._path) if self._path else None
        if version == self._version and self.fault is None:
            return _Look(version, None)
        if version is None:
            return _Look(version, {})
        try:
            content = read_file(self._path, MAX_OCTETS)
        except OSError as error:
            return _Look(version, None, error_text(error))
        return _Look(version, parse_hosts(content.decode("utf-8", "replace")))

    def take(self, look: _Look) -> bool:
        """Use the result of `look`; returns whether any name changed."""
        self._version, self.fault = look.version, look.fault
        if look.addresses is None or look.addresses == self._file:
            return False  # unreadable or unchanged: the known names stay
        self._file = look.addresses
        return True
