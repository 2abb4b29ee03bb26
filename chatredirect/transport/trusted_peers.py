"""Who is a trusted peer: one notion, whatever the peer came on and whatever it wants.

A peer is trusted for the network that it comes from, or for a certificate that has proved one of
the `allowed_peers`. Over UDP an address proves little; that is for whoever lists it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from chatredirect.sip.response import Peer


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """The `trusted_peers` of a configuration."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    def source(self, host: str, port: int, verified: bool, names: tuple[str, ...] = ()) -> Peer:
        """Where a request comes from, and whether that is a trusted peer.

        Args:
            host: IP address without brackets; v4-mapped ones as IPv4.
            port: the port.
            verified: whether a certificate has proved one of the `allowed_peers`.
            names: what its certificate has proved.
        """
        return Peer(host.encode("ascii"), port, verified or self.lists(host), names)

    def source_of_datagrams(self, host: str, port: int) -> Peer:
        """The same for a datagram, which no certificate stands for."""
        return self.source(host, port, False)

    def lists(self, host: str) -> bool:
        """Whether an address is in one of the networks."""
        address = ip_address(host)
        return any(address in network for network in self.networks)
