"""Responses of a stateless UAS (RFC 3261 §8.2.7): their content, and where they are sent.

Via, From, To, Call-ID and CSeq are copied byte for byte. The To tag is a keyed hash of what
identifies the request, so a retransmission gets the same response from every instance with the key.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from chatredirect.sip import abnf, codec, headers
from chatredirect.sip.codec import answer as compiled_answer
from chatredirect.sip.message import Request
from chatredirect.sip.uri import DEFAULT_PORT, canonical_host

_TAG_OCTETS = 8  # §19.3 asks for 32 bits of randomness at least; this is 64, in hexadecimal

#: The reason phrases of RFC 3261 §21.
PHRASES = {
    100: "Trying",
    200: "OK",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    430: "Flow Failed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """The sender of a message, as the socket knows it.

    Attributes:
        host: the IP address as text, without brackets, v4-mapped ones as IPv4.
        trusted: whether it is a trusted peer; see `chatredirect.transport.peer_identity`.
        names: the names that its certificate has proved, in lower case; empty without one.
    """

    host: bytes
    port: int
    trusted: bool = False
    names: tuple[str, ...] = ()

    def is_same_peer(self, other: "Peer") -> bool:
        """Whether both are one peer: they share the address, or a name that both have proved."""
        return self.host == other.host or not set(self.names).isdisjoint(other.names)


class TagMaker:
    """Makes the To tags of one key (RFC 3261 §8.2.6.2, §19.3).

    Attributes:
        key: of the hash.
    """

    __slots__ = ("_keyed", "key")

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self.key = blake2b(key).digest()
        self._keyed = blake2b(key=self.key, digest_size=_TAG_OCTETS)

    def tag(self, request: Request, number: int) -> bytes:
        """The tag for a response to this request and to each retransmission of it.

        A CANCEL gets the tag of its request (§9.2): both have the same topmost Via, Call-ID, From
        and CSeq number, which is 0 if it can't be read.
        """
        keyed = self._keyed.copy()
        from_, call_id = request.from_ or b"", request.call_id or b""
        keyed.update(b"%b\r\n%b\r\n%b\r\n%d" % (request.vias[0], from_, call_id, number))
        return keyed.hexdigest().encode()

    def made(self, tag: bytes, request: Request, number: int) -> bool:
        """Whether a To tag is the one of a response to this request."""
        return len(tag) == 2 * _TAG_OCTETS and tag == self.tag(request, number)


def write_answer(
    request: Request,
    via: headers.Via | None,
    number: int,
    source: Peer,
    status_line: bytes,
    fields: bytes,
    tags: TagMaker | None,
) -> tuple[bytes, int]:
    """Write an answer without a body; with the UDP port that it goes to.

    Args:
        request: what is answered.
        via: the topmost Via's first via-parm; None if it can't be read.
        number: the CSeq's sequence number, 0 if it can't be read.
        source: where the request came from.
        status_line: see `respond`.
        fields: see `respond`.
        tags: makes the To tag; None to leave the To as it is.
    """
    if compiled_answer is not None and request.mandatory_headers is not None:
        key = None if tags is None else tags.key
        written = compiled_answer(request, source.host, source.port, status_line, fields, key)
        if written is not None:
            return written
    tag = b"" if tags is None else tags.tag(request, number)
    if via is None:
        return respond(request, status_line, request.vias[0], tag, fields), source.port
    stamped = stamp(request.vias[0], via, source)
    return respond(request, status_line, stamped, tag, fields), reply_port(via, source)


@lru_cache(maxsize=256)
def status_line(status: int, phrase: str | None = None) -> bytes:
    """A Status-Line without its CRLF (RFC 3261 §7.2); `phrase` replaces the RFC's own."""
    return f"SIP/2.0 {status} {phrase or PHRASES[status]}".encode("ascii")


def respond(
    request: Request, status_line: bytes, via: bytes, tag: bytes, fields: bytes = b""
) -> bytes:
    """Write a response without a body.

    Args:
        request: its Via, From, To, Call-ID and CSeq are copied if present.
        status_line: made by the function of that name.
        via: the topmost Via value, made by `stamp`.
        tag: the To tag to add; `b""` to keep the To unchanged.
        fields: further header fields, each with its CRLF.
    """
    if len(request.vias) > 1:
        via = b"\r\nVia: ".join((via, *request.vias[1:]))
    from_, to, call_id, cseq = request.from_, request.to, request.call_id, request.cseq
    if from_ is None or to is None or call_id is None or cseq is None:
        return _respond_in_part(request, status_line, via, fields)
    if tag:
        to = b"%b;tag=%b" % (to, tag)
    return b"".join((  # twice as fast as formatting
        status_line, b"\r\nVia: ", via, b"\r\nFrom: ", from_, b"\r\nTo: ", to, b"\r\nCall-ID: ",
        call_id, b"\r\nCSeq: ", cseq, b"\r\n", fields, b"Content-Length: 0\r\n\r\n",
    ))  # fmt: skip


def with_body(response: bytes, content_type: bytes, body: bytes) -> bytes:
    """A response that `respond` has written, with a body."""
    head = response.removesuffix(b"Content-Length: 0\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return b"%bContent-Type: %b\r\n%b\r\n\r\n%b" % (head, content_type, length, body)


def _respond_in_part(request: Request, status_line: bytes, via: bytes, fields: bytes) -> bytes:
    """A 400 to a request that lacks a header field that a response copies."""
    lines = [status_line, b"Via: " + via]
    repeated = (
        (b"From", request.from_),
        (b"To", request.to),
        (b"Call-ID", request.call_id),
        (b"CSeq", request.cseq),
    )
    lines += [b"%b: %b" % (name, value) for name, value in repeated if value is not None]
    return b"%b\r\n%bContent-Length: 0\r\n\r\n" % (b"\r\n".join(lines), fields)


def stamped(
    request: Request, mandatory: headers.MandatoryHeaders, source: Peer
) -> tuple[bytes, int]:
    """The topmost Via value as `stamp` gives it, and the port that `reply_port` gives."""
    if codec.stamped is not None:
        found = codec.stamped(request, mandatory, source.host, source.port)
        if found is not None:
            return found
    via = mandatory.via
    return stamp(request.vias[0], via, source), reply_port(via, source)


def stamp(value: bytes, via: headers.Via, source: Peer) -> bytes:
    """The topmost Via value with the address that the request came from.

    `received` is added if sent-by names another host (RFC 3261 §18.2.1). If the client asks for it,
    `rport` is filled in and `received` added (RFC 3581 §4). A client's own values are replaced, so
    that a forged `received` steers no response.

    `via` is the first via-parm of the received value; others may follow.
    """
    params = via.params
    if params:
        asked = abnf.RPORT_OR_RECEIVED.search(params)
        if asked is not None:
            if asked[0] == b";rport" and asked.end() == len(params) and via.end == len(value):
                return b"%b=%d;received=%b" % (value, source.port, source.host)
            return _restamp(value, via, source)
    if via.host == source.host or not via.readable or _same_host(via.host, source.host):
        return value
    return b"%b;received=%b%b" % (value[: via.end], source.host, value[via.end :])


def _same_host(host: bytes, source: bytes) -> bool:
    # sent-by has IPv6 addresses in brackets, a socket's address doesn't; v4-mapped ones are IPv4
    if not host.startswith(b"["):
        return False
    return canonical_host(host) == (b"[%b]" % source if b":" in source else source)


def _restamp(value: bytes, via: headers.Via, source: Peer) -> bytes:
    """The general case: replace `rport` and `received`, and keep all other parameters."""
    params = via.params
    kept: list[bytes] = []
    end = 0
    wants_port = False
    claimed = False
    for match in abnf.PARAM_PAIR.finditer(params):
        name = match[1].lower()
        kept.append(params[end : match.start()])
        end = match.end()
        if name == b"rport":
            wants_port = True
            kept.append(b";rport=%d" % source.port)
        elif name == b"received":
            claimed = True
        else:
            kept.append(match[0])
    differs = via.host != source.host and not _same_host(via.host, source.host)
    if wants_port or claimed or differs:
        kept.append(b";received=%b" % source.host)
    start = value[: via.end].rindex(params)
    return value[:start] + b"".join(kept) + value[start + len(params) :]


def reply_port(via: headers.Via, source: Peer) -> int:
    """The UDP port at the peer's address that a response is sent to.

    It is the source port if the client asked for it with `rport` (RFC 3581 §4), else that of
    sent-by, else the default (RFC 3261 §18.2.2). `maddr` is ignored: it would send the response to
    a third party.
    """
    params = via.params
    if params and (params.endswith(b";rport") or headers.param(params, b"rport") is not None):
        return source.port
    return via.port or DEFAULT_PORT
