"""Requests and responses as they came: what `chatredirect.sip.parser` makes of octets.

A redirect needs the Request-URI and five header fields, so only these are cut out of a message;
their values stay the peer's bytes, since a response copies them byte for byte.
`read_mandatory_headers` takes them apart and checks them (RFC 3261 §8.1.1), and `values` finds any
other header field.
"""

from copy import copy
from dataclasses import dataclass

from chatredirect.codec import compiled
from chatredirect.sip import abnf, errors, headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import MandatoryHeaders, Via

compiled_index = None if compiled is None else compiled.index

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
    """A request as it was received (RFC 3261 §7.1). All values are the peer's bytes.

    Attributes:
        method: as written; methods are compared with case (§7.1).
        uri: the Request-URI, unparsed, without angle brackets if it had them.
        version: `SIP/2.0` in any case, or what the line has instead.
        head: start-line and header fields, without the empty line; see `values`. Truncated if it
            has far too many lines.
        vias: the values of the Via header fields from the top; each may hold several via-parms.
        from_: the value of the first From, None if there is none; so are to, call_id and cseq.
        content_length: None if there is no valid Content-Length, or if other header lines are so
            malformed that another parser might find another one.
        body: as many octets as Content-Length says, or the rest of the datagram (§18.3).
        fault: the first thing that is wrong, or None. The parser doesn't check the values.
        overlong: which of the topmost Via, From, To, Call-ID and CSeq exceed
            `limits.header_line`: a response repeats them, but nothing parses them.
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
    """A response as it was received (RFC 3261 §7.2); attributes as those of `Request`.

    Only Via, From, To, Call-ID, CSeq and Content-Length can make it faulty (§16.7). A value of
    these that exceeds `limits.header_line` is left out.

    Attributes:
        head: without lines that are no header fields.
        left_out: how many such lines there were.
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
    """All values of a header field, in order, not split at commas. The first call makes an index.

    The name is the long form in lower case; the compact form is found as well.
    """
    index = message.index
    if index is None or index[0] is not message.head:
        index = message.index = (message.head, index_of(message.head))
    return index[1].get(name, [])


def is_folded(head: bytes) -> bool:
    """Whether a header field goes on in another line (§7.3.1)."""
    # `in` would take ten times as long: bytes try everything as a number first
    return head.find(b"\r\n ") >= 0 or head.find(b"\r\n\t") >= 0


def index_of(head: bytes) -> dict[bytes, list[bytes]]:
    """The values of a head's header fields by their names, long and in lower case."""
    if compiled_index is not None:
        compiled_found = compiled_index(head)
        if compiled_found is not None:
            return compiled_found
    folded = is_folded(head)
    found: dict[bytes, list[bytes]] = {}
    for line in (abnf.FIELD_END.split(head) if folded else head.split(b"\r\n"))[1:]:
        field, _, value = line.partition(b":")
        name = field.rstrip(b" \t").lower()
        found.setdefault(_LONG.get(name, name), []).append(value.strip(b" \t\r\n"))
    return found


def mandatory_headers_of(request: Request) -> MandatoryHeaders:
    """A request's mandatory headers, read now unless they have been.

    Raises:
        SipError: the request is malformed.
    """
    return request.mandatory_headers or read_mandatory_headers(request, read_topmost_via(request))


def read_topmost_via(request: Request) -> Via | None:
    """The first via-parm of the topmost Via; None if it is missing, malformed or over the limit."""
    if not request.vias or "Via" in request.overlong:
        return None
    try:
        return headers.read_via(request.vias[0])
    except errors.BadHeaderValue:
        return None


def read_mandatory_headers(request: Request, via: Via | None) -> MandatoryHeaders:
    """Read From, To, Call-ID and CSeq of a request.

    Args:
        request: the request as it was parsed.
        via: what `read_topmost_via` returns for it.

    Raises:
        SipError: the first fault of the request, in the order of the table in docs/answers.md. A
            copy, since a traceback in `Request.fault` would hold the request: a cycle.
    """
    if isinstance(request.fault, (errors.BareLineBreak, errors.NoHeaderEnd)):
        raise copy(request.fault)  # not MissingHeader for fields that were withheld or cut off
    if request.from_ is None:
        raise errors.MissingHeader(about="From")
    if request.to is None:
        raise errors.MissingHeader(about="To")
    if request.call_id is None:
        raise errors.MissingHeader(about="Call-ID")
    if request.cseq is None:
        raise errors.MissingHeader(about="CSeq")
    if isinstance(request.fault, errors.MessageTooLarge):
        raise copy(request.fault)  # before parsing a value that may be as long as the message
    headers.read_tag(request.from_, "From")
    tag = headers.read_tag(request.to, "To")
    headers.check_call_id(request.call_id)
    number, method = headers.read_cseq(request.cseq)
    if via is None or not via.readable:
        raise errors.BadHeaderValue(request.vias[0] if request.vias else b"", "Via")
    if via.version != b"2.0":
        raise errors.VersionNotSupported(request.vias[0])
    version = request.version
    ours = version == b"SIP/2.0" or version.upper() == b"SIP/2.0"
    if not ours and abnf.SIP_VERSION.fullmatch(version):
        raise errors.VersionNotSupported(version)
    if request.fault is not None:
        raise copy(request.fault)
    if method != request.method:
        raise errors.CSeqMethodMismatch(request.cseq)
    return MandatoryHeaders(via, request.from_, request.to, number, tag is not None)
