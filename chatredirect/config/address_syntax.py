"""Addresses as people write them: listeners, name servers, networks, host names.

Every parser raises ValueError with a sentence that says what to write instead. Listeners and name
servers are IP addresses only: to look up their names, DNS would have to work before the start.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from chatredirect.config.faults import did_you_mean, quoted
from chatredirect.net.addresses import (
    DNS_PORT,
    HTTP_PORT,
    PAGE_PORT,
    TRANSPORTS,
    HostPort,
    IPAddress,
    IPNetwork,
    ListenUrl,
    PageAddress,
    default_port,
)

_MAPPED = 96  # the prefix of v4-mapped addresses, ::ffff:0:0/96 (RFC 4291 §2.5.5.2)
_LISTEN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?(.*)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|[^0-9\]:]|$)")


def parse_listen(text: str) -> ListenUrl:
    """Read `udp://127.0.0.1:5060` or `"tcp://[::1]:5060"`; the port may be left out."""
    match = _LISTEN.fullmatch(text)
    if match is None or (match[2] is None and match[1].lower() not in TRANSPORTS):
        raise ValueError(
            f"{quoted(text)} is no URL: write udp://ADDRESS:PORT, with udp, tcp or tls"
        )
    scheme, slashes, rest = match[1].lower(), match[2], match[3].removesuffix("/")
    transport = TRANSPORTS.get(scheme)
    if transport is None:
        hint = did_you_mean(scheme, TRANSPORTS)
        raise ValueError(f"transport {quoted(scheme)} is unknown{hint}: write udp, tcp or tls")
    if slashes is None:
        raise ValueError(f"{quoted(text)} lacks the slashes: write {scheme}://{rest.lstrip('/')}")
    if re.search(r"[/?#@;\s]", rest):
        raise ValueError(
            f"{quoted(text)} says too much: write {scheme}://ADDRESS:PORT, nothing else"
        )
    host, port = _split(rest, f"{scheme}://")
    if host in ("", "*"):
        raise ValueError(
            f'{quoted(text)} lacks an address: write {scheme}://0.0.0.0 or "{scheme}://[::]" '
            "for all of this machine's"
        )
    address = _parse_ip(host)
    if address is None:
        raise ValueError(
            f"{quoted(host)} is no IP address: a listener needs one of this machine's "
            f'(or 0.0.0.0 or "[::]"), not a name'
        )
    return ListenUrl(transport, str(address), default_port(transport) if port is None else port)


def parse_nameserver(text: str) -> HostPort:
    """Read `192.0.2.53`, `127.0.0.1:5353` or `"[2001:db8::53]:53"`; the port is 53 unless given."""
    if _URL.match(text):
        raise ValueError(f"{quoted(text)}: write the IP address alone, with :PORT if it isn't 53")
    host, port = _split(text, "")
    address = _parse_ip(host)
    if address is None:
        raise ValueError(f"{quoted(text)} is no IP address: a name server can't be given by name")
    if port == 0:
        raise ValueError("a name server's port is from 1 to 65535")
    return HostPort(str(address), DNS_PORT if port is None else port)


def parse_advertise(text: str) -> HostPort:
    """Read `host[:port]`, the host a name or an IP address (IPv6 in brackets)."""
    if _URL.match(text):
        raise ValueError(f"{quoted(text)} is a URL: write host or host:port")
    host, port = _split(text, "")
    address = _parse_ip(host)
    if address is not None and address.is_unspecified:
        raise ValueError(f"{quoted(text)} is no address that others could send to")
    if port == 0:
        raise ValueError("a port that others can send to is from 1 to 65535")
    return HostPort(str(address) if address is not None else _parse_name(host), port)


def parse_http(value: object, default: int = HTTP_PORT) -> HostPort:
    """Read `127.0.0.1:9464`, `[::1]:9464`, or one of the two alone; a port alone is 127.0.0.1's."""
    if isinstance(value, HostPort):
        return value
    text = str(value) if type(value) is int else value  # a port alone is a number to YAML
    if not isinstance(text, str):
        raise ValueError("must be ADDRESS:PORT, or off")
    if _URL.match(text):
        raise ValueError(f"{quoted(text)} is a URL: write ADDRESS:PORT alone")
    host, port = ("", _parse_port(text)) if text.isdigit() else _split(text, "")
    address = _parse_ip(host or "127.0.0.1")
    if address is None:
        raise ValueError(f"{quoted(host)} is no IP address: write one of this machine's, and :PORT")
    return HostPort(str(address), default if port is None else port)


def parse_page(value: object) -> PageAddress:
    """Read `127.0.0.1:9465`, or a URL `http://…` or `https://ADDRESS:PORT`; `https` is TLS."""
    if isinstance(value, PageAddress):
        return value
    scheme, slashes, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if slashes and scheme not in ("http", "https"):
        raise ValueError(f"{quoted(scheme)}: write https://ADDRESS:PORT, or ADDRESS:PORT alone")
    address = parse_http(rest.removesuffix("/") if slashes else value, PAGE_PORT)
    return PageAddress(address.host, address.port or 0, scheme == "https")


def parse_address(text: str) -> IPAddress:
    """Read one IP address, IPv6 with or without brackets."""
    address = _parse_ip(text)
    if address is None:
        raise ValueError(f"{quoted(text)} is no IP address")
    return address


def parse_network(text: str) -> IPNetwork:
    """Read `192.0.2.0/24`, `2001:db8::/32`, or one address, which is a network of one."""
    bare = text.replace("[", "").replace("]", "")
    try:
        network = ip_network(bare, strict=False)
    except ValueError:
        raise ValueError(
            f"{quoted(text)} is no network: write 192.0.2.0/24, 2001:db8::/32 or one IP address"
        ) from None
    if ip_address(bare.partition("/")[0]) != network.network_address:
        raise ValueError(f"{quoted(text)} has bits set after the prefix: did you mean {network}?")
    mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped
    if mapped and network.prefixlen >= _MAPPED:  # its peers appear as IPv4
        return IPv4Network((mapped, network.prefixlen - _MAPPED))
    return network


@lru_cache(maxsize=4096)
def parse_pool_fqdn(text: str) -> str:
    """Read a pool's name (or IP address); lower case, without brackets and final dot.

    Cached, since many endpoints share a pool.
    """
    if _URL.match(text):
        host = re.sub(r"^[A-Za-z0-9+.-]*:(//)?([^@/]*@)?", "", text)
        host = re.split(r"[/?;:]", host, maxsplit=1)[0]
        instead = f": write {host}" if _is_name(host) else ""
        raise ValueError(f"{quoted(text)} is a URI; a pool is given by its host name{instead}")
    address = _parse_ip(text)
    if address is not None:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{quoted(text)} is no address that a request could be sent to")
        return str(address)
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (_is_name(host) or _parse_ip(host) is not None):
        raise ValueError(
            f"{quoted(text)} has a port in it: write pool_fqdn: {host} and port: {port}"
        )
    if "@" in text:
        raise ValueError(f"{quoted(text)} has a user in it: write the host name alone")
    return _parse_name(text).lower()


def parse_host_name(text: str) -> str:
    """Read a host name; lower case, without a final dot. IP addresses are refused."""
    if _parse_ip(text) is not None:
        raise ValueError(f"{quoted(text)} is an IP address; a host name belongs here")
    return _parse_name(text).lower()


def parse_peer_name(text: str) -> str:
    """Read a host name, or `*.domain` for any name one label longer; lower case."""
    if text.startswith("*."):
        return f"*.{parse_host_name(text[2:])}"
    return parse_host_name(text)


def _split(text: str, prefix: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address."""
    if text.startswith("["):
        host, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise ValueError(f'{quoted(text)}: write "{prefix}[ADDRESS]:PORT" for IPv6')
        if ":" not in host or _parse_ip(host) is None:
            raise ValueError(f"{quoted(host)} is no IPv6 address; only those stand in brackets")
        return host, _parse_port(after[1:]) if after else None
    if text.count(":") > 1:
        if prefix or _parse_ip(text) is None:  # in a URL nobody can tell the port from the address
            raise ValueError(f'{quoted(text)}: write "{prefix}[ADDRESS]:PORT" for IPv6, in quotes')
        return text, None
    host, colon, port = text.partition(":")
    return host, _parse_port(port) if colon else None


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"{quoted(text)} is no port: write a number from 0 to 65535")
    return int(text)


def _parse_ip(text: str) -> IPAddress | None:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        if ":" not in text:
            return None
    try:
        address = ip_address(text.replace("%25", "%"))
    except ValueError:
        return None
    # a v4-mapped peer appears as IPv4 everywhere, so does a v4-mapped address in a file
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _is_name(text: str) -> bool:
    try:
        _parse_name(text)
    except ValueError:
        return False
    return True


def _parse_name(text: str) -> str:
    """A host name (RFC 1123 §2.1) without its final dot."""
    name = text.removesuffix(".")
    if not name:
        raise ValueError("the host name is empty")
    if "*" in name:
        raise ValueError(f"{quoted(text)} is a wildcard; a host name belongs here")
    if not name.isascii():
        raise ValueError(f"{quoted(text)} isn't ASCII{_punycode(name)}")
    labels = name.split(".")
    if labels[0].startswith("_"):
        raise ValueError(
            f"{quoted(text)} looks like an SRV record's name: write the host or domain name; "
            "its SRV records are looked up where RFC 3263 says so"
        )
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"{quoted(text)} is no host name: labels of letters, digits and inner hyphens, "
                "up to 63 characters, with dots between them"
            )
    if len(name) > 253:
        raise ValueError(f"{quoted(text)} is longer than the 253 characters of a host name")
    if labels[-1].isdigit():
        # RFC 3261 §25.1: the top label begins with a letter, else it would be an IPv4 address
        raise ValueError(f"{quoted(text)} is no host name and no IPv4 address")
    return name


def _punycode(name: str) -> str:
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return f": write {ascii_name}" if _is_name(ascii_name) else ""
