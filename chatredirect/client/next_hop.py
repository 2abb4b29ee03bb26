"""Where a request goes: by its SIP URI (RFC 3263 §4), or by what a person writes."""

import re
from typing import cast

from chatredirect.config.address_syntax import parse_advertise, parse_pool_fqdn
from chatredirect.config.faults import did_you_mean, quoted
from chatredirect.config.sip_addresses import parse_sip_address
from chatredirect.net.addresses import TRANSPORTS, Transport
from chatredirect.net.target import PoolAddress
from chatredirect.sip.errors import SipError
from chatredirect.sip.uri import SipUri, destination, parse_uri

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?!\d+$)")
_VIA = re.compile(r"([A-Za-z]+):(?://)?(.*)", re.DOTALL)


def parse_target_uri(text: str) -> bytes:
    """Read a SIP URI that a person writes; the scheme may be left out.

    Raises:
        ValueError: with what to write instead.
    """
    octets = text.encode("utf-8", "surrogateescape")
    if _SCHEME.match(text) is None:
        if "@" not in text:
            parse_sip_address(text)  # says what is missing: "ocschat" is no host
        octets = b"sip:" + octets
    try:
        uri = parse_uri(octets)
    except SipError:
        if text.isprintable():
            parse_sip_address(text)  # knows what people write instead, and says so
        raise ValueError(f"{quoted(text)} is no SIP URI") from None
    if uri.headers:
        raise ValueError(f"{quoted(text)} has header fields in it: leave out what follows the ?")
    return octets


def parse_via(text: str) -> PoolAddress:
    """Read `udp://127.0.0.1:5060`, `udp:HOST:PORT` and the like; the port may be left out.

    Raises:
        ValueError: with what to write instead.
    """
    match = _VIA.fullmatch(text)
    if match is None or match[1].lower() not in TRANSPORTS:
        hint = "" if match is None else did_you_mean(match[1], TRANSPORTS)
        raise ValueError(
            f"{quoted(text)} doesn't begin with a transport{hint}: write udp://HOST:PORT, "
            "tcp://HOST:PORT or tls://HOST:PORT"
        )
    transport, rest = cast(Transport, match[1].lower()), match[2].removesuffix("/")
    if not rest:
        raise ValueError(f"{quoted(text)} has no host: write {transport}://HOST:PORT")
    if rest.count(":") > 1 and not rest.startswith("["):
        raise ValueError(
            f"{quoted(text)} leaves open where the port begins: write "
            f"{transport}://[ADDRESS]:PORT for IPv6"
        )
    parsed = parse_advertise(rest)
    return PoolAddress(parse_pool_fqdn(parsed.host), parsed.port, transport)


def next_hop(uri: SipUri) -> PoolAddress:
    """Where a request with this Request-URI goes: its `maddr`, else its host (RFC 3263 §4).

    Raises:
        ValueError: nowhere, and why.
    """
    leads = destination(uri)
    wanted = leads.wanted()
    host = parse_pool_fqdn(leads.looked_up.decode("utf-8", "replace"))
    return PoolAddress(host, leads.port, "tls" if wanted == "sips" else wanted)
