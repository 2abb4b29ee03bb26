"""Trusted peers.

A peer is trusted if its address is in one of `trusted_peers`, or if its certificate has proved one
of the `allowed_peers`. A UDP source address can be forged; listing it is the operator's decision.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from chatredirect.sip.response import Peer


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """The `trusted_peers` of a configuration."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    def source(self, host: str, port: int, verified: bool, names: tuple[str, ...] = ()) -> Peer:
        """Make a peer, trusted or not.

        Args:
            host: IP address without brackets; v4-mapped ones as IPv4.
            port: the port.
            verified: whether a certificate has proved one of the `allowed_peers`.
            names: the names that its certificate has proved.
        """
        return Peer(host.encode("ascii"), port, verified or self.lists(host), names)

    def source_of_datagrams(self, host: str, port: int) -> Peer:
        """Make the peer of a datagram, which has no certificate."""
        return self.source(host, port, False)

    def lists(self, host: str) -> bool:
        """Whether an address is in one of the networks."""
        address = ip_address(host)
        return any(address in network for network in self.networks)
