"""Hosts, ports and transports: values that every room knows, written in one way."""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
)
from typing import Literal, NamedTuple, TypeAlias, get_args

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

Transport: TypeAlias = Literal["udp", "tcp", "tls"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

#: What a pool is looked for with: a transport, or `sips`: whichever is secure (RFC 3263 §4.1).
Wanted: TypeAlias = Transport | Literal["sips"]

DEFAULT_PORT = 5060
DEFAULT_TLS_PORT = 5061
DNS_PORT = 53
HTTP_PORT = 9464
"""What others who export metrics use as well: OpenTelemetry's default."""


@dataclass(frozen=True, slots=True)
class ListenUrl:
    """Where to listen: `host` is an IP address without brackets; port 0 lets the system choose."""

    transport: Transport
    host: str
    port: int

    def __str__(self) -> str:
        """The URL as it is written in a file."""
        return f"{self.transport}://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host (name, or IP address without brackets) and its port, None if none was given."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        """`host`, `host:port` or `[v6]:port`."""
        host = bracketed(self.host)
        return host if self.port is None else f"{host}:{self.port}"


class PoolAddress(NamedTuple):
    """What tells one pool from another, and decides where DNS leads for it (RFC 3263 §4).

    Attributes:
        fqdn: a host name in lower case, or an IP address.
        port: None to let DNS decide.
        transport: None to let DNS decide; `sips` for any secure one.
    """

    fqdn: str
    port: int | None = None
    transport: Wanted | None = None

    def __str__(self) -> str:
        """`pcpool.contoso.com:5061 over tls`, without what isn't given."""
        over = f" over {self.transport}" if self.transport else ""
        return f"{HostPort(self.fqdn, self.port)}{over}"


def default_port(transport: str | None) -> int:
    """The port that goes with a SIP transport: RFC 3261 §19.1.2."""
    return DEFAULT_TLS_PORT if transport in ("tls", "sips") else DEFAULT_PORT


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host
