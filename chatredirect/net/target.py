"""Where a request can be sent: a pool as it is configured, and a target as it was resolved."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from chatredirect.net.addresses import HostPort, Transport, bracketed
from chatredirect.sip.uri import Wanted


class PoolAddress(NamedTuple):
    """A pool, or another next hop to be resolved (RFC 3263 §4).

    The name is in lower case, or an IP address without brackets. Where port or transport is None,
    DNS decides.
    """

    fqdn: str
    port: int | None = None
    transport: Wanted | None = None

    def __str__(self) -> str:
        """`pcpool.contoso.com:5061 over tls`, without what isn't given."""
        over = f" over {self.transport}" if self.transport else ""
        return f"{HostPort(self.fqdn, self.port)}{over}"


#: What identifies a server that is pinged or connected to: transport, IP address, port,
#: and over TLS the name that its certificate has to carry.
TargetAddress: TypeAlias = tuple[Transport, str, int, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One transport, address and port of a pool (RFC 3263 §4).

    Attributes:
        address: an IP address, IPv6 without brackets, v4-mapped ones as IPv4.
        host: the name that the address belongs to: an SRV target, or the pool's own name.
        priority: the SRV record's (RFC 2782); lower is tried first. 0 without SRV.
        weight: the SRV record's share among those of its priority. 0 without SRV.
        domain: the name that was resolved. A certificate must carry it, not an SRV record's
            target, which can be forged (RFC 5922 §4).
    """

    transport: Transport
    address: str
    port: int
    host: str
    priority: int = 0
    weight: int = 0
    domain: str = ""

    @property
    def key(self) -> TargetAddress:
        """Its transport, address and port; targets of several pools may share it."""
        domain = self.domain if self.transport == "tls" else ""
        return (self.transport, self.address, self.port, domain)

    def __str__(self) -> str:
        """The target as a URL: `tcp://192.0.2.1:5060`."""
        return f"{self.transport}://{bracketed(self.address)}:{self.port}"
