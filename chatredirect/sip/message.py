"""Requests and responses as they came: what `chatredirect.sip.parser` makes of octets.

A redirect needs the Request-URI and five header fields, so only these are cut out of a message;
their values stay the peer's bytes, since a response copies them byte for byte.
`chatredirect.sip.headers` takes a value apart when it is needed, and `values` finds any other
header field.
"""

from dataclasses import dataclass

from chatredirect.sip import abnf
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import MandatoryHeaders

HEAD_END = b"\r\n\r\n"

#: Long forms of the compact ones (§7.3.3, RFC 6665 §8.2.1).
_LONG = dict(
    zip(
        b"m e c o s k v f t i l".split(),
        b"contact content-encoding content-type event subject supported via from to call-id"
        b" content-length".split(),
        strict=True,
    )
)


@dataclass(slots=True)
class Request:
    """A request as it came (RFC 3261 §7.1). All values are the peer's bytes.

    Attributes:
        method: as written; methods are compared with case (§7.1).
        uri: the Request-URI, not looked into; without angle brackets, if it had some.
        version: `SIP/2.0` in whatever case, or what stood there instead.
        head: start-line and header fields, without the empty line; see `values`. Cut if there are
            far too many lines.
        vias: the values of the Via header fields from the top; each may hold several via-parms.
        from_: the value of From, None if there is none. Of a repeated one the first.
        to: the same of To.
        call_id: the same of Call-ID.
        cseq: the same of CSeq.
        content_length: octets, None if there is no Content-Length, if it can't be read, and if
            other header lines are so broken that somebody else might read another one.
        body: as many octets as Content-Length says, the rest of the datagram without one (§18.3).
        fault: the first thing that is wrong with it, or None. What the values hold isn't
            checked here.
        overlong: which of the topmost Via, From, To, Call-ID and CSeq are over
            `limits.header_line`: an answer repeats them, and nobody takes them apart.
        index: see `values`.
        mandatory_headers: what the values hold, if it has been read already; valid whatever `fault`
            says.
    """

    method: bytes
    uri: bytes
    version: bytes
    head: bytes
    vias: list[bytes]
    from_: bytes | None
    to: bytes | None
    call_id: bytes | None
    cseq: bytes | None
    content_length: int | None
    body: bytes
    fault: SipError | None
    mandatory_headers: MandatoryHeaders | None = None
    overlong: tuple[str, ...] = ()
    index: "Index | None" = None


@dataclass(slots=True)
class Response:
    """A response as it came (RFC 3261 §7.2): a status code and a reason, the rest as `Request`.

    What nobody needs of it isn't judged (§16.7): it has a fault only if Via, From, To, Call-ID,
    CSeq or Content-Length can't be told. Of one of these that is over `limits.header_line` the
    value is left out.

    Attributes:
        head: without the lines that are no header fields.
        left_out: how many lines those were.
    """

    status: int
    reason: bytes
    head: bytes
    vias: list[bytes]
    from_: bytes | None
    to: bytes | None
    call_id: bytes | None
    cseq: bytes | None
    content_length: int | None
    body: bytes
    fault: SipError | None
    index: "Index | None" = None
    left_out: int = 0


Message = Request | Response
#: A head, and the values of its header fields by their long names in lower case.
Index = tuple[bytes, dict[bytes, list[bytes]]]


def values(message: Message, name: bytes) -> list[bytes]:
    """All values of a header field, in order, not split at commas.

    The head is gone through once, by whoever asks first.

    Args:
        message: where to look.
        name: the header field's long form in lower case; its compact form is found as well.
    """
    index = message.index
    if index is None or index[0] is not message.head:
        index = message.index = (message.head, _index(message.head))
    return index[1].get(name, [])


def _index(head: bytes) -> dict[bytes, list[bytes]]:
    folded = b"\r\n " in head or b"\r\n\t" in head
    found: dict[bytes, list[bytes]] = {}
    for line in (abnf.FIELD_END.split(head) if folded else head.split(b"\r\n"))[1:]:
        field, _, value = line.partition(b":")
        name = field.rstrip(b" \t").lower()
        found.setdefault(_LONG.get(name, name), []).append(value.strip(b" \t\r\n"))
    return found
