"""IP addresses as targets have them, and which of them nothing can be sent to."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from chatredirect.config.addresses import IPAddress

#: What DNS64 makes of IPv4 addresses in networks without IPv4 (RFC 6052 §2.1, RFC 8215); Python
#: counts the first of them as reserved.
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


def address_text(address: IPAddress) -> str:
    """An address as text, a v4-mapped one as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(address if mapped is None else mapped)


def is_address(text: str) -> bool:
    """Whether `text` is an IP address rather than a name."""
    if not (":" in text or text[-1:].isdigit()):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
    """An address as targets have it: a v4-mapped one as IPv4."""
    return address_text(ip_address(address)) if ":" in address else address
