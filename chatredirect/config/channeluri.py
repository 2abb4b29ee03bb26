"""SIP URIs that are given out as they are written: of channel services, and of our own Contact."""

from dataclasses import dataclass

from chatredirect.config.addresses import TRANSPORTS, Transport, parse_pool_fqdn
from chatredirect.config.faults import quoted
from chatredirect.sip.errors import SipError
from chatredirect.sip.uri import SipUri, canonical_host, parse_uri


@dataclass(frozen=True, slots=True)
class ChannelUri:
    """The URI of a channel service.

    Attributes:
        text: as written.
        key: see `SipUri.canonical_key`.
        host: in lower case, IP addresses without brackets.
        port: None if there is none.
        transport: None if there is none; `tls` for a sips: URI.
    """

    text: str
    key: bytes
    host: str
    port: int | None
    transport: Transport | None

    def __str__(self) -> str:
        """As written."""
        return self.text


_TRANSPORTS: dict[str, Transport] = {each: each for each in TRANSPORTS}


def parse_channel_uri(text: str) -> ChannelUri:
    """Read `sip:gc-channel@pcpool.contoso.com`, with port and parameters if need be.

    Raises:
        ValueError: with what to write instead.
    """
    uri = _parse(text, "sip:gc-channel@pcpool.contoso.com")
    named = (uri.param(b"transport") or b"").lower().decode("ascii", "replace")
    if named and named not in _TRANSPORTS:
        raise ValueError(f"{quoted(text)}: transport {quoted(named)} is none of udp, tcp and tls")
    if uri.port == 0:
        raise ValueError(f"{quoted(text)}: a port is from 1 to 65535")
    return ChannelUri(
        text=text,
        key=uri.canonical_key(),
        host=parse_pool_fqdn(canonical_host(uri.host).decode("ascii")),
        port=uri.port,
        transport="tls" if uri.scheme == b"sips" else _TRANSPORTS.get(named),
    )


def parse_contact_uri(text: str) -> str:
    """Read the URI for our Contact, `sip:ocschat@contoso.com;gruu;opaque=srvr:chat`.

    Raises:
        ValueError: with what to write instead.
    """
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
