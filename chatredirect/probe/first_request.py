"""The request that a probe begins with: what an old Group Chat client would send."""

from dataclasses import dataclass, field

from chatredirect import __version__
from chatredirect.client.own_requests import new_call_id, new_tag
from chatredirect.probe.sip_exchange import SipExchange
from chatredirect.sip.client_request import ClientRequest
from chatredirect.sip.uri import parse_uri


@dataclass(slots=True)
class Caller:
    """The caller: the same From, To and Call-ID in every request (RFC 3261 §8.1.3.4).

    Attributes:
        method: `INVITE`, `SUBSCRIBE` or `OPTIONS`.
        uri: the called URI, the first Request-URI.
        from_uri: the caller's own URI; None until the first request: then our own address.
    """

    method: bytes
    uri: bytes
    from_uri: bytes | None = None
    _tag: bytes = field(default_factory=new_tag)
    _call_id: bytes = field(default_factory=new_call_id)
    _number: int = 0

    def request(self, uri: bytes, exchange: SipExchange) -> ClientRequest:
        """The next request, with this Request-URI, to go out on this exchange's wire."""
        self._number += 1
        local = exchange.local
        if self.from_uri is None:
            self.from_uri = b"sip:probe@" + local.rpartition(b":")[0]
        transport = exchange.target.transport.encode("ascii")
        contact = b"<sip:probe@%b;transport=%b>" % (local, transport)
        if (
            parse_uri(uri).scheme == b"sips"
        ):  # our Contact must then be sips: too (RFC 3261 §8.1.1.8)
            contact = b"<sips:probe@%b>" % local
        fields = [
            (b"Contact", contact),
            (b"User-Agent", b"chatredirect/" + __version__.encode("ascii")),
            *_FIELDS[self.method],
        ]
        body = b""
        if self.method == b"INVITE":
            body = _session(local.rpartition(b":")[0])
        return ClientRequest(
            self.method,
            uri.removesuffix(parse_uri(uri).headers),  # header fields never go along (§19.1.1)
            exchange.new_via(),
            b"<%b>;tag=%b" % (self.from_uri, self._tag),
            b"<%b>" % _address(self.uri),
            self._call_id,
            self._number,
            fields=tuple(fields),
            body=body,
        )


_FIELDS: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {
    b"INVITE": (
        (b"Allow", b"INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY"),
        (b"Content-Type", b"application/sdp"),
    ),
    # Expires 0 asks once and leaves no subscription behind (RFC 6665 §4.4.3)
    b"SUBSCRIBE": (
        (b"Event", b"presence"),
        (b"Accept", b"application/pidf+xml"),
        (b"Expires", b"0"),
    ),
    b"OPTIONS": ((b"Accept", b"application/sdp"),),
}


def _address(uri: bytes) -> bytes:
    """A URI as it may stand in To: without port and parameters (RFC 3261 §19.1.1, table 1)."""
    parts = parse_uri(uri)
    user = b"" if parts.user is None else parts.user + b"@"
    return b"%b:%b%b" % (parts.scheme, user, parts.host)


def _session(host: bytes) -> bytes:
    """The session that Office Communicator's clients offer: text messages over SIP."""
    address = host.strip(b"[]")
    family = b"IP6" if b":" in address else b"IP4"
    return (
        b"v=0\r\no=- 0 0 IN %b %b\r\ns=session\r\nc=IN %b %b\r\nt=0 0\r\n"
        b"m=message 5060 sip null\r\na=accept-types:text/plain\r\n"
    ) % (family, address, family, address)
