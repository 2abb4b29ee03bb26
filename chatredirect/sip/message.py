"""Bytes to messages, as lazily as can be.

A redirect looks at the Request-URI and at five header fields, so that is all that is cut out
here, and nothing of it is taken apart: the header lines are split, the names of the few
that matter are known by their spelling, their values stay the bytes that came (an answer copies
them byte for byte). `chatredirect.sip.headers` takes a value apart when somebody asks.

A message that is wrong is still a message as long as it can be told apart: `Request.fault` holds
the first thing that is wrong with it, since an answer of 400 needs the Via and the rest just the
same, and since an ACK gets no answer, however wrong it is. Only what can't be answered raises.
"""

from dataclasses import dataclass

from chatredirect.sip import abnf
from chatredirect.sip.errors import (
    BadContentLength,
    BadHeaderLine,
    BadStartLine,
    BadStatusLine,
    BareLineBreak,
    HeaderLineTooLong,
    NotSip,
    RepeatedHeader,
    SipError,
    TooManyHeaders,
    TooManyVias,
    UriTooLong,
)
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.limits import Limits

HEAD_END = b"\r\n\r\n"
#: Lines that header fields may take on average, when they are as many as the limit allows.
LINES_PER_HEADER = 4

# The header fields that are cut out of every message. Their numbers are positions in a list.
_SLOTS = range(7)
_OTHER, _VIA, _FROM, _TO, _CALL_ID, _CSEQ, _CONTENT_LENGTH = _SLOTS

_LENGTH_DIGITS = 15
_MORE_THAN_ANY_LIMIT = 1_000_000_000_000_000

_NAMES = {  # §7.3.3 and §20: long form, compact form
    _VIA: (b"Via", b"v"),
    _FROM: (b"From", b"f"),
    _TO: (b"To", b"t"),
    _CALL_ID: (b"Call-ID", b"i"),
    _CSEQ: (b"CSeq", b""),
    _CONTENT_LENGTH: (b"Content-Length", b"l"),
}
_SLOT_BY_LOWER_NAME = {
    name.lower(): slot for slot, names in _NAMES.items() for name in names if name
}

#: Long forms of the compact ones (§7.3.3, RFC 6665 §8.2.1).
_LONG = dict(
    zip(
        b"m e c o s k v f t i l".split(),
        b"contact content-encoding content-type event subject supported via from to call-id"
        b" content-length".split(),
        strict=True,
    )
)

# Names as they are usually spelled, so that one dictionary look-up settles most lines. A name
# that isn't here is looked at properly, and isn't remembered: a peer could fill the memory.
USUAL_OTHERS = (
    b"Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authorization"
    b" Contact Content-Disposition Content-Encoding Content-Language Content-Type Date Event"
    b" EndPoints Expires In-Reply-To Max-Forwards MIME-Version Min-SE ms-keep-alive"
    b" P-Asserted-Identity P-Preferred-Identity Priority Privacy Proxy-Authorization"
    b" Proxy-Require Record-Route Referred-By Reply-To Require Roster-Manager Route Server"
    b" Session-Expires Subject Subscription-State Supported Timestamp User-Agent Warning"
    b" m c e k o s"
).split()
#: The methods of RFC 3261, RFC 6665, RFC 3428 and RFC 6086, which need no look at their letters.
_METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER SUBSCRIBE NOTIFY MESSAGE INFO".split()
)
_SLOT_BY_SPELLING = {
    spelling: slot
    for slot, names in (*_NAMES.items(), *((_OTHER, (name,)) for name in USUAL_OTHERS))
    for name in names
    if name
    for spelling in (name, name.lower(), name.upper(), name.title())
}


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
        envelope: what the values hold, where it has been read already; it is good, whatever
            the fault is.
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
    envelope: MandatoryHeaders | None = None
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


def parse_head(head: bytes, limits: Limits) -> Message:
    """Read a start-line and header fields.

    Args:
        head: the octets before the empty line, without the final CRLF.
        limits: the bounds that apply; over a bound the message has a fault.

    Raises:
        Unanswerable: the first line is no start-line.
    """
    if head[:4].upper() == b"SIP/":
        return _read_response(head, limits)
    fault: SipError | None = None
    most_lines = 1 + limits.headers * LINES_PER_HEADER
    lines = head.split(b"\r\n", most_lines)
    if len(lines) > most_lines:  # the others needn't be looked at to say so
        fault = TooManyHeaders()
        del lines[most_lines:]
        head = b"\r\n".join(lines)
    text = b"".join(lines)
    broken = b"\r" in text or b"\n" in text
    if broken:
        fault = BareLineBreak(head)
    try:
        message = _read_lines(head, lines, limits, fault)
    except _Folded:
        message = _read_lines(head, abnf.FIELD_END.split(head), limits, fault)
    if broken:
        _withhold_broken_values(message)
    return message


def _withhold_broken_values(message: Message) -> None:
    """An answer repeats no value with a bare CR or LF in it: some would see further lines there."""
    message.vias = [] if None in map(_unbroken, message.vias) else message.vias
    message.from_ = _unbroken(message.from_)
    message.to = _unbroken(message.to)
    message.call_id = _unbroken(message.call_id)
    message.cseq = _unbroken(message.cseq)


def _unbroken(value: bytes | None) -> bytes | None:
    return None if value is None or abnf.BARE_LINE_BREAK.search(value) else value


class _Folded(Exception):
    """A line goes on with the one before it (§7.3.1): rare, so only who does it pays for it."""


def _read_lines(head: bytes, lines: list[bytes], limits: Limits, fault: SipError | None) -> Message:
    """Make a message of its lines: the start-line and one element for each header field."""
    start_line = lines.pop(0)
    if len(lines) > limits.headers:
        if any(line[:1] in (b" ", b"\t") for line in lines):
            raise _Folded
        fault = fault or TooManyHeaders()
        del lines[limits.headers :]
    framed = fault is None
    overlong: list[str] = []
    may_be_long = len(head) > limits.header_line
    if may_be_long and len(longest := max(lines, key=len, default=b"")) > limits.header_line:
        fault = fault or HeaderLineTooLong(longest)

    vias: list[bytes] = []
    via_values = 0
    found: list[bytes | None] = [None] * len(_SLOTS)
    for line in lines:
        name, colon, value = line.partition(b":")
        slot = _SLOT_BY_SPELLING.get(name)
        if slot is None:
            if line[:1] in (b" ", b"\t"):
                raise _Folded
            slot = _slot_of(name)
        if slot is None or not colon:
            fault = fault or BadHeaderLine(line)
            framed = False
        elif slot:
            value = value.strip(b" \t\r\n")
            if may_be_long and len(line) > limits.header_line:
                if slot == _VIA:
                    overlong += [] if vias else ["Via"]
                elif found[slot] is None:
                    overlong.append(_NAMES[slot][0].decode())
            if slot == _VIA:
                vias.append(value)
                via_values += 1 + value.count(b",")
            elif found[slot] is None:
                found[slot] = value
            elif slot != _CONTENT_LENGTH:
                fault = fault or RepeatedHeader(line, _NAMES[slot][0].decode())
            elif value != found[slot]:
                fault = fault or BadContentLength(line)
                framed = False
    if via_values > limits.via_values:
        fault = fault or TooManyVias()

    length = None
    text = found[_CONTENT_LENGTH]
    if text is not None:
        length = _read_length(text)
        if length is None:
            fault = fault or BadContentLength(text)
        elif not framed:
            length = None

    method, _, rest = start_line.partition(b" ")
    if not rest or (method not in _METHODS and abnf.METHOD.fullmatch(method) is None):
        raise NotSip(start_line)
    uri, _, version = rest.rpartition(b" ")
    if version != b"SIP/2.0" or b" " in uri or uri[:1] in b"<":  # or there is none
        uri, version = _unusual_request_line(rest)
        if not uri or b" " in uri or abnf.SIP_VERSION.fullmatch(version) is None:
            fault = fault or BadStartLine(start_line)
    if len(uri) > limits.uri:
        fault = fault or UriTooLong(uri)
    return Request(
        method, uri, version, head, vias, found[_FROM], found[_TO], found[_CALL_ID],
        found[_CSEQ], length, b"", fault, None, tuple(overlong),
    )  # fmt: skip


def _read_response(head: bytes, limits: Limits) -> Response:
    """Read a response: the six header fields that a proxy needs, and nothing of the others."""
    folded = b"\r\n " in head or b"\r\n\t" in head
    start_line, *fields = abnf.FIELD_END.split(head) if folded else head.split(b"\r\n")
    match = abnf.STATUS_LINE.fullmatch(start_line)
    if match is None:
        raise BadStatusLine(start_line)
    fault: SipError | None = None
    vias: list[bytes] = []
    found: list[bytes | None] = [None] * len(_SLOTS)
    strange: list[int] = []
    for number, field in enumerate(fields):
        name, colon, value = field.partition(b":")
        slot = _SLOT_BY_SPELLING.get(name)
        if slot is None:
            slot = _slot_of(name)
        if slot is None or not colon:
            strange.append(number)
        elif slot:
            value = value.strip(b" \t\r\n")
            if len(field) > limits.header_line:
                fault = fault or HeaderLineTooLong(field)
            elif b"\0" in value or (
                (b"\n" in value or b"\r" in value) and abnf.BARE_LINE_BREAK.search(value)
            ):
                fault = fault or BareLineBreak(field)
            elif slot == _VIA:
                vias.append(value)
            elif found[slot] is not None:
                fault = fault or RepeatedHeader(field, _NAMES[slot][0].decode())
                if slot == _CONTENT_LENGTH and value != found[slot]:
                    found[slot] = b""  # nobody can tell
            else:
                found[slot] = value
                if slot == _CONTENT_LENGTH and folded and b"\n" in field:
                    fault = fault or BadContentLength(field)
    text = found[_CONTENT_LENGTH]
    length = None if text is None else _read_length(text)
    if text is not None and length is None:
        fault = fault or BadContentLength(text)
    if strange:
        left_out = set(strange)
        fields = [field for number, field in enumerate(fields) if number not in left_out]
        head = b"\r\n".join((start_line, *fields))
    return Response(
        int(match[1]), match[2] or b"", head, vias, found[_FROM], found[_TO], found[_CALL_ID],
        found[_CSEQ], length, b"", fault, None, len(strange),
    )  # fmt: skip


def _unusual_request_line(rest: bytes) -> tuple[bytes, bytes]:
    """Request-URI and version of a line that isn't as §7.1 has it, but may be plain all the same.

    More than one space between the parts and spaces at the end separate nothing, and angle brackets
    around a URI aren't part of it (RFC 4475 §3.1.2.7, §3.1.2.9, §3.1.2.10; docs/leniency.md).
    """
    uri, _, version = rest.strip(b" ").rpartition(b" ")
    uri = uri.rstrip(b" ")
    if uri[:1] == b"<" and uri[-1:] == b">":
        uri = uri[1:-1]
    return uri, version


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


def _slot_of(name: bytes) -> int | None:
    """The slot of a header name in an unusual spelling; None if it is no header name."""
    match = abnf.HEADER_NAME.fullmatch(name)
    return None if match is None else _SLOT_BY_LOWER_NAME.get(match[1].lower(), _OTHER)


def _read_length(text: bytes) -> int | None:
    if not text.isdigit():  # of bytes: ASCII digits and nothing else, at least one
        return None
    if len(text) > _LENGTH_DIGITS:
        text = text.lstrip(b"0") or b"0"
        if len(text) > _LENGTH_DIGITS:  # over every limit; int() would take its time over it
            return _MORE_THAN_ANY_LIMIT
    return int(text)
