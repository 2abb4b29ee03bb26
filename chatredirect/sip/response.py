"""A server's answer to a request: what is in it, and where it goes.

An answer is that of a UAS without state (RFC 3261 §8.2.7): Via, From, To, Call-ID and CSeq come
back byte for byte, and the To tag is a keyed hash of what identifies the request, so that a
retransmission gets the same answer from any worker and any instance that shares the key.
"""

from dataclasses import dataclass
from hashlib import blake2b

from chatredirect.sip import abnf, headers
from chatredirect.sip.message import Request
from chatredirect.sip.uri import DEFAULT_PORT, canonical_host

_TAG_OCTETS = 8  # §19.3 asks for 32 bits of randomness at least; this is 64, in hexadecimal


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came from, as the socket says.

    Attributes:
        host: the IP address as text, without brackets; a v4-mapped address is an IPv4 address.
        port: the port.
        trusted: whether the peer is one that is trusted; who that is, others decide.
        names: the names that its certificate has proved, in lower case; empty without one.
    """

    host: bytes
    port: int
    trusted: bool = False
    names: tuple[str, ...] = ()

    def is_same_peer(self, other: "Peer") -> bool:
        """Whether both are one peer: one address, or a name that both have proved."""
        return self.host == other.host or not set(self.names).isdisjoint(other.names)


class TagMaker:
    """Makes the To tags of one key (RFC 3261 §8.2.6.2, §19.3)."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self._keyed = blake2b(key=blake2b(key).digest(), digest_size=_TAG_OCTETS)

    def tag(self, request: Request, number: int) -> bytes:
        """The tag for an answer to this request, the same for every retransmission of it.

        A CANCEL gets the tag of the request that it cancels (§9.2): both have the same topmost
        Via, Call-ID, From and CSeq number.

        Args:
            request: it has a Via, a From and a Call-ID.
            number: the CSeq's sequence number, 0 if it can't be read.
        """
        keyed = self._keyed.copy()
        from_, call_id = request.from_ or b"", request.call_id or b""
        keyed.update(b"%b\r\n%b\r\n%b\r\n%d" % (request.vias[0], from_, call_id, number))
        return keyed.hexdigest().encode()


def respond(
    request: Request, status_line: bytes, via: bytes, tag: bytes, fields: bytes = b""
) -> bytes:
    """Write an answer without a body.

    Args:
        request: whose Via, From, To, Call-ID and CSeq are repeated, as far as they are there.
        status_line: `SIP/2.0`, status code and reason phrase, without CRLF.
        via: the topmost Via value, as `stamp` made it.
        tag: the To tag to add, `b""` to leave the To as it is.
        fields: further header fields, each with its CRLF.
    """
    if len(request.vias) > 1:
        via = b"\r\nVia: ".join((via, *request.vias[1:]))
    from_, to, call_id, cseq = request.from_, request.to, request.call_id, request.cseq
    if from_ is None or to is None or call_id is None or cseq is None:
        return _respond_in_part(request, status_line, via, fields)
    if tag:
        to = b"%b;tag=%b" % (to, tag)
    return (
        b"%b\r\nVia: %b\r\nFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: %b\r\n%b"
        b"Content-Length: 0\r\n\r\n" % (status_line, via, from_, to, call_id, cseq, fields)
    )


def with_body(answer: bytes, content_type: bytes, body: bytes) -> bytes:
    """An answer that `respond` wrote, with a body.

    Args:
        answer: it.
        content_type: the value of Content-Type.
        body: what follows the header fields.
    """
    head = answer.removesuffix(b"Content-Length: 0\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return b"%bContent-Type: %b\r\n%b\r\n\r\n%b" % (head, content_type, length, body)


def _respond_in_part(request: Request, status_line: bytes, via: bytes, fields: bytes) -> bytes:
    """A 400 to a request that hasn't even got all that an answer repeats."""
    lines = [status_line, b"Via: " + via]
    repeated = (
        (b"From", request.from_),
        (b"To", request.to),
        (b"Call-ID", request.call_id),
        (b"CSeq", request.cseq),
    )
    lines += [b"%b: %b" % (name, value) for name, value in repeated if value is not None]
    return b"%b\r\n%bContent-Length: 0\r\n\r\n" % (b"\r\n".join(lines), fields)


def stamp(value: bytes, via: headers.Via, source: Peer) -> bytes:
    """The topmost Via value with where the request really came from.

    `received` is added when sent-by names another host (RFC 3261 §18.2.1), `rport` is filled in
    and `received` added with it when the client asks for that (RFC 3581 §4). What a client wrote
    there itself is replaced: an answer is never steered by a forged `received`.

    Args:
        value: the Via value as it came, with further via-parms behind the first, if any.
        via: its first via-parm.
        source: where the request came from.
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
    # sent-by has IPv6 addresses in brackets, an address of a socket has none; a mapped one is IPv4
    if not host.startswith(b"["):
        return False
    return canonical_host(host) == (b"[%b]" % source if b":" in source else source)


def _restamp(value: bytes, via: headers.Via, source: Peer) -> bytes:
    """The general case: parameters are gone through one by one, the others stay as they are."""
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
    """The UDP port at the source's address that an answer goes to.

    The source port if the client asked for it with `rport` (RFC 3581 §4), else sent-by's, else the
    default (RFC 3261 §18.2.2). `maddr` is ignored: it would let a request steer its answer to
    somebody else.
    """
    if via.params and (
        via.params.endswith(b";rport") or headers.param(via.params, b"rport") is not None
    ):
        return source.port
    return via.port or DEFAULT_PORT
