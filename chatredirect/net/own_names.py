"""The hosts and ports of this server itself.

A Request-URI that names the server doesn't name a contact object, so the To URI decides. A pool
that resolves to one of our own listeners would be a redirect loop.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import ifaddr

from chatredirect.net.addresses import HostPort, ListenUrl, Transport, bracketed
from chatredirect.net.target import Target
from chatredirect.sip.uri import SipUri, canonical_host, destination, without_maddr


@dataclass(frozen=True, slots=True)
class OwnNames:
    """The names under which this server can be reached.

    Attributes:
        hosts: canonical host names and addresses, IPv6 in brackets.
        listeners: transport, address (no brackets) and port of each listener.
        advertised: names that are written with a port, each with its port.
    """

    hosts: frozenset[bytes]
    listeners: frozenset[tuple[Transport, str, int]]
    advertised: frozenset[tuple[bytes, int]] = frozenset()

    def names(self, uri: SipUri) -> bool:
        """Whether a URI leads to this server, by its maddr if it has one."""
        host, port = destination(uri).looked_up, uri.port
        if host not in self.hosts:
            return False
        if port is None or (host, port) in self.advertised:
            return True
        return any(port == each for _, _, each in self.listeners)

    def freed(self, uri: SipUri) -> bytes | None:
        """A URI without its maddr if that names this server (RFC 3261 §16.4); else None."""
        if uri.params.lower().find(b"maddr") < 0 or uri.param(b"maddr") is None:
            return None
        return without_maddr(uri) if self.names(uri) else None

    def listens_on(self, target: Target) -> bool:
        """Whether a target is one of our own listeners."""
        if (target.transport, target.address, target.port) in self.listeners:
            return True
        # a loopback interface lists one address of 127.0.0.0/8 and receives for all of them
        wildcard = (target.transport, "0.0.0.0", target.port)  # noqa: S104  # compared, not bound
        either = (target.transport, "::", target.port)
        return target.address.startswith("127.") and bool({wildcard, either} & self.listeners)


def own_names(
    bound: Iterable[ListenUrl], configured: Iterable[HostPort], local_addresses: Iterable[str]
) -> OwnNames:
    """Our own names: those of the bound listeners, and the configured ones.

    A wildcard listener listens on all `local_addresses`.
    """
    local = tuple(local_addresses)
    listeners = {
        (url.transport, address, url.port)
        for url in bound
        for address in ((*local, url.host) if ip_address(url.host).is_unspecified else (url.host,))
    }
    hosts = {_canonical(address) for _, address, _ in listeners}
    advertised: set[tuple[bytes, int]] = set()
    for each in configured:
        name = _canonical(each.host)
        hosts.add(name)
        if each.port is not None:  # a forwarder in front of us may listen on another port
            advertised.add((name, each.port))
    return OwnNames(frozenset(hosts), frozenset(listeners), frozenset(advertised))


def local_addresses() -> list[str]:
    """All IP addresses of this machine's interfaces, without brackets and scope."""
    addresses = (each.ip for adapter in ifaddr.get_adapters() for each in adapter.ips)
    return [ip if isinstance(ip, str) else ip[0].partition("%")[0] for ip in addresses]


def _canonical(host: str) -> bytes:
    return canonical_host(bracketed(host).encode("ascii"))
