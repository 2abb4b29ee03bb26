"""Checks the five header fields that every request must have (RFC 3261 §8.1.1).

The order of the checks is that of the table in docs/answers.md: the first fault is the one in the
response.
"""

from chatredirect.sip import abnf, headers
from chatredirect.sip.errors import (
    BadHeaderValue,
    BareLineBreak,
    CSeqMethodMismatch,
    MessageTooLarge,
    MissingHeader,
    NoHeaderEnd,
    VersionNotSupported,
)
from chatredirect.sip.headers import MandatoryHeaders, Via
from chatredirect.sip.message import Request


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
    except BadHeaderValue:
        return None


def read_mandatory_headers(request: Request, via: Via | None) -> MandatoryHeaders:
    """Read From, To, Call-ID and CSeq, or raise the first fault of a request.

    Args:
        request: the request as it was parsed.
        via: the first via-parm of its topmost Via; None if it can't be read.

    Raises:
        SipError: the request is malformed.
    """
    if isinstance(request.fault, BareLineBreak | NoHeaderEnd):
        raise request.fault  # not MissingHeader for fields that were withheld or cut off
    if request.from_ is None:
        raise MissingHeader(about="From")
    if request.to is None:
        raise MissingHeader(about="To")
    if request.call_id is None:
        raise MissingHeader(about="Call-ID")
    if request.cseq is None:
        raise MissingHeader(about="CSeq")
    if isinstance(request.fault, MessageTooLarge):
        raise request.fault  # before parsing a value that may be as long as the message
    headers.read_tag(request.from_, "From")
    tag = headers.read_tag(request.to, "To")
    headers.check_call_id(request.call_id)
    number, method = headers.read_cseq(request.cseq)
    if via is None or not via.readable:
        raise BadHeaderValue(request.vias[0] if request.vias else b"", "Via")
    if via.version != b"2.0":
        raise VersionNotSupported(request.vias[0])
    version = request.version
    if version != b"SIP/2.0" and version.upper() != b"SIP/2.0" and _is_version(version):
        raise VersionNotSupported(version)
    if request.fault is not None:
        raise request.fault
    if method != request.method:
        raise CSeqMethodMismatch(request.cseq)
    return MandatoryHeaders(via, request.from_, request.to, number, tag is not None)


def _is_version(text: bytes) -> bool:
    return abnf.SIP_VERSION.fullmatch(text) is not None
