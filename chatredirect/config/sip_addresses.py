"""SIP URIs in a configuration: the address of an endpoint, channel services, our Contact.

Every parser raises ValueError with a sentence that says what to write instead.
"""

import re
import sys
from dataclasses import dataclass

from chatredirect.config.address_syntax import parse_pool_fqdn
from chatredirect.config.faults import quoted
from chatredirect.net.addresses import TRANSPORTS, Transport
from chatredirect.sip.errors import SipError
from chatredirect.sip.uri import SipUri, canonical_host, parse_uri

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d+$)")


@dataclass(frozen=True, slots=True)
class SipAddress:
    """The URI of a contact object, `sip:ocschat@contoso.com`.

    Its parts are as written, IPv6 addresses in brackets. `key` is the same for all spellings of one
    URI; see `SipUri.canonical_key`.
    """

    text: str
    scheme: str
    user: str
    host: str
    port: int | None
    key: bytes

    def __str__(self) -> str:
        """The URI with its scheme."""
        return self.text if _SCHEME.match(self.text) else f"{self.scheme}:{self.text}"


def parse_sip_address(text: str) -> SipAddress:
    """Read `sip:ocschat@contoso.com`; the scheme may be left out."""
    fault = _plain_mistake(text)
    if fault is not None:
        raise ValueError(f"{quoted(text)} {fault}")
    full = text if _SCHEME.match(text) else f"sip:{text}"
    try:
        uri = parse_uri(full.encode())
    except SipError:
        raise ValueError(
            f"{quoted(text)} is no SIP URI: write it as in sip:ocschat@contoso.com, "
            "with special characters escaped as in RFC 3261 §25.1 (a space is %20)"
        ) from None
    if uri.user is None or not uri.host:
        raise ValueError(f"{quoted(text)} has no user or no domain: write user@domain")
    if uri.password is not None:
        raise ValueError(f"{quoted(text)} has a password in it: write user@domain without it")
    if uri.params or uri.headers:
        bare = full.partition(";")[0].partition("?")[0]
        raise ValueError(f"{quoted(text)} has parameters: write {bare}; parameters never count")
    return SipAddress(
        text=text,
        scheme=sys.intern(uri.scheme.decode("ascii")),
        user=uri.user.decode(),
        host=sys.intern(uri.host.decode("ascii")),  # a hundred thousand endpoints, one domain
        port=uri.port,
        key=uri.canonical_key(),
    )


def _plain_mistake(text: str) -> str | None:
    """Describe a frequent mistake; checked before the grammar."""
    if "<" in text or ">" in text or '"' in text:
        inner = re.search(r"<([^<>]*)>", text)
        write = f"write {inner[1]}" if inner else "write the URI alone"
        return f"has a display name or brackets: {write}, and the name in display_name"
    if text[:4].lower() == "tel:":  # with nothing but digits after it, it looks like a port
        return "is a telephone number: write sip:NUMBER@DOMAIN"
    scheme = _SCHEME.match(text)
    if scheme is not None and "@" not in text[: scheme.end()]:
        name = scheme[1].lower()
        if name not in ("sip", "sips"):
            return f"has the scheme {name}: write sip:USER@DOMAIN"
        if text[scheme.end() :].startswith("//"):
            return f"has slashes in it: write {name}:{text[scheme.end() :].lstrip('/')}"
    if "@" not in text:
        user = text[scheme.end() :] if scheme else text
        if "." in user:
            return f"has no user: write sip:USER@{user}"
        return f"has no domain: write sip:{user or 'ocschat'}@DOMAIN"
    if text.endswith("@"):
        return f"has no domain after the @: write {text}DOMAIN"
    user, _, domain = text.rpartition("@")
    if "*" in domain:
        return "is a wildcard: each endpoint is one URI"
    if "*" in user:  # RFC 3261 §25.1 allows it, and who writes it means something else
        literally = f"{user.replace('*', '%2A')}@{domain}"
        return f"is a wildcard: each endpoint is one URI; write {literally} if it has a star in it"
    if "@." in text or ".." in domain:
        return "has a dot too many in its domain"
    return None


@dataclass(frozen=True, slots=True)
class ChannelUri:
    """The URI of a channel service; `key` is its `SipUri.canonical_key`.

    The host is in lower case, an IP address without brackets. The transport of a sips: URI is tls.
    """

    text: str
    key: bytes
    host: str
    port: int | None
    transport: Transport | None

    def __str__(self) -> str:
        """As written."""
        return self.text


def parse_channel_uri(text: str) -> ChannelUri:
    """Read `sip:gc-channel@pcpool.contoso.com`, with port and parameters if need be."""
    uri = _parse(text, "sip:gc-channel@pcpool.contoso.com")
    named = (uri.param(b"transport") or b"").lower().decode("ascii", "replace")
    if named and named not in TRANSPORTS:
        raise ValueError(f"{quoted(text)}: transport {quoted(named)} is none of udp, tcp and tls")
    if uri.port == 0:
        raise ValueError(f"{quoted(text)}: a port is from 1 to 65535")
    return ChannelUri(
        text=text,
        key=uri.canonical_key(),
        host=parse_pool_fqdn(canonical_host(uri.host).decode("ascii")),
        port=uri.port,
        transport="tls" if uri.scheme == b"sips" else TRANSPORTS.get(named),
    )


def parse_contact_uri(text: str) -> str:
    """Read the URI for our Contact, `sip:ocschat@contoso.com;gruu;opaque=srvr:chat`."""
    _parse(text, "sip:ocschat@chatredirect.contoso.com")
    return text


def _parse(text: str, example: str) -> SipUri:
    if not text.isascii() or not text.isprintable() or set(text) & set('<>" '):
        raise ValueError(f"{quoted(text)} has something else than a URI in it: write {example}")
    try:
        uri = parse_uri(text.encode("ascii"))
    except SipError:
        raise ValueError(f"{quoted(text)} is no SIP URI: write it as in {example}") from None
    if uri.user is None:
        raise ValueError(f"{quoted(text)} has no user: write it as in {example}")
    if uri.headers:
        raise ValueError(f"{quoted(text)} has header fields in it: leave out what follows the ?")
    return uri
