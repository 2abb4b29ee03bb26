"""Is this a request that can be dealt with? The five header fields that every one must have.

Nothing is asked here of what the request wants. The order of the questions is that of the table
in docs/answers.md: the first fault is the one that the sender hears of.
"""

from chatredirect.sip import abnf, headers
from chatredirect.sip.errors import (
    BadHeaderValue,
    BareLineBreak,
    CSeqMethodMismatch,
    MissingHeader,
    VersionNotSupported,
)
from chatredirect.sip.headers import Envelope, Via
from chatredirect.sip.message import Request


def read_envelope(request: Request, via: Via) -> Envelope:
    """Read From, To, Call-ID and CSeq, and find the first thing that is wrong with a request.

    Args:
        request: as it was parsed.
        via: the first via-parm of its topmost Via.

    Raises:
        SipError: the request is malformed.
    """
    if isinstance(request.fault, BareLineBreak):
        raise request.fault  # and not that the fields are missing that were withheld for it
    if request.from_ is None:
        raise MissingHeader(about="From")
    if request.to is None:
        raise MissingHeader(about="To")
    if request.call_id is None:
        raise MissingHeader(about="Call-ID")
    if request.cseq is None:
        raise MissingHeader(about="CSeq")
    headers.read_from_to(request.from_, "From")
    to = headers.read_from_to(request.to, "To")
    headers.check_call_id(request.call_id)
    number, method = headers.read_cseq(request.cseq)
    if not via.readable:
        raise BadHeaderValue(request.vias[0], "Via")
    version = request.version
    if version != b"SIP/2.0" and version.upper() != b"SIP/2.0" and _is_version(version):
        raise VersionNotSupported(version)
    if request.fault is not None:
        raise request.fault
    if method != request.method:
        raise CSeqMethodMismatch(request.cseq)
    return Envelope(via, request.from_, request.to, number, to.tag is not None)


def _is_version(text: bytes) -> bool:
    return abnf.SIP_VERSION.fullmatch(text) is not None
