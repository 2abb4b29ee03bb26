"""Hosts, ports and transports, and how they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, TypeAlias, get_args

from chatredirect.sip.uri import DEFAULT_PORT, DEFAULT_TLS_PORT

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network
Transport: TypeAlias = Literal["udp", "tcp", "tls"]
TRANSPORTS: Mapping[str, Transport] = {each: each for each in get_args(Transport)}

DNS_PORT = 53
HTTP_PORT = 9464  # OpenTelemetry's default for metrics
PAGE_PORT = 9465


@dataclass(frozen=True, slots=True)
class ListenUrl:
    """An address to listen on: an IP address without brackets; port 0 lets the system choose."""

    transport: Transport
    host: str
    port: int

    def __str__(self) -> str:
        """The URL as it is written in the configuration."""
        return f"{self.transport}://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host name, or an IP address without brackets, and a port; None if there is none."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        """`host`, `host:port` or `[v6]:port`."""
        host = bracketed(self.host)
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where the page is served: an IP address without brackets, a port, and whether with TLS."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        """The URL as it is written in the configuration."""
        return f"{'https' if self.tls else 'http'}://{bracketed(self.host)}:{self.port}"


def default_port(transport: str | None) -> int:
    """The default port of a SIP transport (RFC 3261 §19.1.2)."""
    return DEFAULT_TLS_PORT if transport in ("tls", "sips") else DEFAULT_PORT


def is_address(text: str) -> bool:
    """Whether `text` is an IP address rather than a name."""
    if not (":" in text or text[-1:].isdigit()):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def bracketed(host: str) -> str:
    """A host as it is written before a port: IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host
