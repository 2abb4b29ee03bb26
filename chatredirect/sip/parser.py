"""Octets to messages, as lazily as possible.

The header lines are split; the few header fields that every message needs are recognised by their
spelling and cut out; nothing is taken apart.

A malformed message is still a message as long as it can be recognised: `Request.fault` holds the
first thing that is wrong with it, since a 400 needs the Via and the other fields just the same, and
since an ACK gets no response, however malformed. Only what can't be answered raises.

`read_head` tries the fast path first. Most heads are alike: each field once, in its usual spelling,
nothing folded, nothing quoted but a name. One expression reads such a head in half the time of the
general parser. `read_plain` returns what `parse_head` and `read_mandatory_headers` return for the
same octets, or leaves a head that is unusual in any way, or over a limit, to them. The tests
compare the two.
"""

from collections.abc import Iterable, Mapping

from chatredirect.sip import abnf, errors
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import MandatoryHeaders, Via, param
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Request, Response, is_folded

#: Lines that header fields may take on average, when they are as many as the limit allows.
LINES_PER_HEADER = 4

# The header fields that are cut out of every message: their positions in a list.
_SLOTS = range(7)
_OTHER, _VIA, _FROM, _TO, _CALL_ID, _CSEQ, _CONTENT_LENGTH = _SLOTS

# octets: to look for `b" "` takes ten times as long, since bytes try it as a number first
_LF, _CR, _SPACE, _BRACKET = b"\n\r <"
_LENGTH_DIGITS = 15
_MORE_THAN_ANY_LIMIT = 1_000_000_000_000_000

_NAMES: dict[int, tuple[bytes, ...]] = {  # §7.3.3 and §20: long form, compact form
    _VIA: (b"Via", b"v"),
    _FROM: (b"From", b"f"),
    _TO: (b"To", b"t"),
    _CALL_ID: (b"Call-ID", b"i"),
    _CSEQ: (b"CSeq",),
    _CONTENT_LENGTH: (b"Content-Length", b"l"),
}
_SLOT_BY_LOWER_NAME = {name.lower(): slot for slot, names in _NAMES.items() for name in names}

USUAL_OTHERS = (
    b"Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authorization"
    b" Contact Content-Disposition Content-Encoding Content-Language Content-Type Date Event"
    b" EndPoints Expires In-Reply-To Max-Forwards MIME-Version Min-SE ms-keep-alive"
    b" P-Asserted-Identity P-Preferred-Identity Priority Privacy Proxy-Authorization"
    b" Proxy-Require Record-Route Referred-By Reply-To Require Roster-Manager Route Server"
    b" Session-Expires Subject Subscription-State Supported Timestamp User-Agent Warning"
    b" m c e k o s"
).split()
#: The methods of RFC 3261, RFC 6665, RFC 3428 and RFC 6086, known to be tokens.
_METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER SUBSCRIBE NOTIFY MESSAGE INFO".split()
)


def by_spelling(names: Mapping[int, Iterable[bytes]]) -> dict[bytes, int]:
    """The keys of header field names in their usual spellings; of a repeated name the last.

    One lookup settles most lines. Other spellings aren't cached: a peer could fill the memory.
    """
    return {
        spelling: key
        for key, spelled in names.items()
        for name in spelled
        for spelling in (name, name.lower(), name.upper(), name.title())
    }


_SLOT_BY_SPELLING = by_spelling({**_NAMES, _OTHER: USUAL_OTHERS})


def read_head(head: bytes, limits: Limits) -> Message:
    """Read a start-line and header fields, by the fast path if possible.

    The head is all octets before the empty line, without the final CRLF. If it exceeds a limit, the
    message has a fault.

    Raises:
        Unanswerable: the first line is no start-line.
    """
    return read_plain(head, limits) or parse_head(head, limits)


def read_plain(head: bytes, limits: Limits) -> Request | None:
    """Read a usual request; None if it is unusual, which doesn't mean that it is malformed."""
    # no line of a head is longer than the head
    if len(head) > limits.header_line or limits.headers < abnf.PLAIN_FIELDS:
        return None
    match = abnf.PLAIN_HEAD.match(head)
    if match is None:
        return None
    method, uri, via, host, port, params, from_, to, call_id, cseq, number, size = match.groups()
    if not (via and from_ and to and call_id and cseq and size) or len(uri) > limits.uri:
        return None
    sent_by_port = None if port is None else int(port)
    if sent_by_port is not None and sent_by_port > abnf.MAX_PORT:
        return None
    top = Via(host, sent_by_port, params, len(via))
    # no parameter of PLAIN_HEAD's has an angle bracket in it
    in_dialog = to[-1:] != b">" and param(to.rpartition(b">")[2], b"tag") is not None
    headers = MandatoryHeaders(top, from_, to, int(number), in_dialog)
    return Request(
        method, uri, b"SIP/2.0", head, [via], from_, to, call_id, cseq, int(size), b"", None,
        headers,
    )  # fmt: skip


def parse_head(head: bytes, limits: Limits) -> Message:
    """Read a start-line and header fields by the general parser; see `read_head`."""
    if head[:4].upper() == b"SIP/":
        return _read_response(head, limits)
    lines, head, fault = _first_lines(head, limits)
    text = b"".join(lines)
    broken = _CR in text or _LF in text
    if broken:
        fault = errors.BareLineBreak(head)
    try:
        message = _read_lines(head, lines, limits, fault)
    except _Folded:
        message = _read_lines(head, abnf.FIELD_END.split(head), limits, fault)
    if broken:
        _withhold_broken_values(message)
    return message


def _first_lines(head: bytes, limits: Limits) -> tuple[list[bytes], bytes, SipError | None]:
    """As many lines of a head as are read, the head as far as that, and the fault of the rest.

    What a line costs doesn't depend on its length, so the lines are what has to be bounded.
    """
    most = 1 + limits.headers * LINES_PER_HEADER
    lines = head.split(b"\r\n", most)
    if len(lines) <= most:
        return lines, head, None
    del lines[most:]
    return lines, b"\r\n".join(lines), errors.TooManyHeaders()


def _has_many_line_breaks(head: bytes, limits: Limits) -> bool:
    """Whether CRs and LFs by themselves make more lines of a head than it may have."""
    return head.count(b"\r") + head.count(b"\n") > 2 * limits.headers * LINES_PER_HEADER


def _withhold_broken_values(message: Message) -> None:
    """Drop values with a bare CR or LF: a response would repeat them, and some see lines there."""
    message.vias = [] if None in map(_unbroken, message.vias) else message.vias
    message.from_ = _unbroken(message.from_)
    message.to = _unbroken(message.to)
    message.call_id = _unbroken(message.call_id)
    message.cseq = _unbroken(message.cseq)


def _unbroken(value: bytes | None) -> bytes | None:
    return None if value is None or abnf.BARE_LINE_BREAK.search(value) else value


class _Folded(Exception):
    """A header field has folded lines (§7.3.1): rare, so such a head is split a second time."""


def _read_lines(head: bytes, lines: list[bytes], limits: Limits, fault: SipError | None) -> Message:
    """Read a request's lines: the start-line and one element for each header field."""
    start_line = lines.pop(0)
    if len(lines) > limits.headers:
        if any(line[:1] in (b" ", b"\t") for line in lines):
            raise _Folded
        fault = fault or errors.TooManyHeaders()
        del lines[limits.headers :]
    framed = fault is None
    overlong: list[str] = []
    may_be_long = len(head) > limits.header_line
    if may_be_long and len(longest := max(lines, key=len, default=b"")) > limits.header_line:
        fault = fault or errors.HeaderLineTooLong(longest)

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
            fault = fault or errors.BadHeaderLine(line)
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
                fault = fault or errors.RepeatedHeader(line, _NAMES[slot][0].decode())
            elif value != found[slot]:
                fault = fault or errors.BadContentLength(line)
                framed = False
    if via_values > limits.via_values:
        fault = fault or errors.TooManyVias()

    length = None
    text = found[_CONTENT_LENGTH]
    if text is not None:
        length = _read_length(text)
        if length is None:
            fault = fault or errors.BadContentLength(text)
        elif not framed:
            length = None

    method, _, rest = start_line.partition(b" ")
    if not rest or (method not in _METHODS and abnf.METHOD.fullmatch(method) is None):
        raise errors.NotSip(start_line)
    uri, _, version = rest.rpartition(b" ")
    if version != b"SIP/2.0" or _SPACE in uri or not uri or uri[0] == _BRACKET:
        uri, version = _unusual_request_line(rest)
        if not uri or _SPACE in uri or abnf.SIP_VERSION.fullmatch(version) is None:
            fault = fault or errors.BadStartLine(start_line)
    if len(uri) > limits.uri:
        fault = fault or errors.UriTooLong(uri)
    return Request(
        method, uri, version, head, vias, found[_FROM], found[_TO], found[_CALL_ID],
        found[_CSEQ], length, b"", fault, None, tuple(overlong),
    )  # fmt: skip


def _read_response(head: bytes, limits: Limits) -> Response:
    """Read a response: only the six header fields that a proxy needs."""
    lines, head, fault = _first_lines(head, limits)
    if len(head) > limits.header_line and _has_many_line_breaks(head, limits):
        fault = fault or errors.TooManyHeaders()
    folded = is_folded(head)
    start_line, *fields = abnf.FIELD_END.split(head) if folded else lines
    match = abnf.STATUS_LINE.fullmatch(start_line)
    if match is None:
        raise errors.BadStatusLine(start_line)
    incomplete = fault is not None
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
                fault = fault or errors.HeaderLineTooLong(field)
            elif 0 in value or (
                (_LF in value or _CR in value) and abnf.BARE_LINE_BREAK.search(value)
            ):
                fault = fault or errors.BareLineBreak(field)
            elif slot == _VIA:
                vias.append(value)
            elif found[slot] is not None:
                fault = fault or errors.RepeatedHeader(field, _NAMES[slot][0].decode())
                if slot == _CONTENT_LENGTH and value != found[slot]:
                    found[slot] = b""  # ambiguous
            else:
                found[slot] = value
                if slot == _CONTENT_LENGTH and folded and _LF in field:
                    fault = fault or errors.BadContentLength(field)
    text = found[_CONTENT_LENGTH]
    length = None if text is None else _read_length(text)
    if text is not None and length is None:
        fault = fault or errors.BadContentLength(text)
    if incomplete:
        length = None  # there may be another one behind the lines that were read
    if strange:
        left_out = set(strange)
        fields = [field for number, field in enumerate(fields) if number not in left_out]
        head = b"\r\n".join((start_line, *fields))
    return Response(
        int(match[1]), match[2] or b"", head, vias, found[_FROM], found[_TO], found[_CALL_ID],
        found[_CSEQ], length, b"", fault, None, len(strange),
    )  # fmt: skip


def _unusual_request_line(rest: bytes) -> tuple[bytes, bytes]:
    """Request-URI and version of a line that breaks §7.1, but may be unambiguous."""
    # Spaces that are repeated or at the end are ignored, as are angle brackets around the URI (RFC
    # 4475 §3.1.2.7, §3.1.2.9, §3.1.2.10; docs/leniency.md).
    uri, _, version = rest.strip(b" ").rpartition(b" ")
    uri = uri.rstrip(b" ")
    if uri[:1] == b"<" and uri[-1:] == b">":
        uri = uri[1:-1]
    return uri, version


def _slot_of(name: bytes) -> int | None:
    """The slot of a header name in an unusual spelling; None if it isn't a header name."""
    match = abnf.HEADER_NAME.fullmatch(name)
    return None if match is None else _SLOT_BY_LOWER_NAME.get(match[1].lower(), _OTHER)


def _read_length(text: bytes) -> int | None:
    if not text.isdigit():  # of bytes: at least one ASCII digit and nothing else
        return None
    if len(text) > _LENGTH_DIGITS:
        text = text.lstrip(b"0") or b"0"
        if len(text) > _LENGTH_DIGITS:  # over every limit, and int() of many digits is slow
            return _MORE_THAN_ANY_LIMIT
    return int(text)
