"""Raw socket addresses: struct sockaddr_in and sockaddr_in6, as system calls have them."""

import socket
import sys
from ipaddress import IPv6Address


def with_port(name: bytes, port: int) -> bytes:
    """A raw address with another port."""
    # sockaddr_in and sockaddr_in6 both have the port in octets 2 and 3, in network order
    return b"%b%b%b" % (name[:2], port.to_bytes(2, "big"), name[4:])


def raw_name(family: socket.AddressFamily, host: str, port: int) -> bytes:
    """The raw address of an IP address and a port, for a socket of this family."""
    start = family.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return start + socket.inet_pton(socket.AF_INET, host) + bytes(8)
    return start + bytes(4) + inet6(host) + bytes(4)  # flow information, address, scope


def inet6(host: str) -> bytes:
    """The octets of an IPv6 address, or of an IPv4 address as a v4-mapped one."""
    return socket.inet_pton(socket.AF_INET6, host if ":" in host else f"::ffff:{host}")


def host_and_port(name: bytes) -> tuple[str, int]:
    """The IP address and port of a raw address; a v4-mapped address becomes IPv4."""
    family = int.from_bytes(name[:2], sys.byteorder)
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    return plain_host(socket.inet_ntop(socket.AF_INET6, name[8:24])), port


def plain_host(host: str) -> str:
    """An IP address without its scope, v4-mapped ones as IPv4."""
    host = host.partition("%")[0]
    if host.startswith("::ffff:"):
        mapped = IPv6Address(host).ipv4_mapped
        return host if mapped is None else str(mapped)
    return host
