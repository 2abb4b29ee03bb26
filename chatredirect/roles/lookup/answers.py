"""Answers of a user agent: what a request is refused for, and what goes into an answer.

The checks are those of RFC 3261 §8.2 in its order: what the request requires, then its body.
"""

from chatredirect.roles import refusal as refusals
from chatredirect.roles.refusal import Refusal, unsupported
from chatredirect.sip import sdp
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request, values
from chatredirect.sip.request import one_line
from chatredirect.sip.response import Source, with_body

METHODS = (b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"OPTIONS", b"UPDATE")
ALLOW = b"Allow: %b\r\n" % b", ".join(METHODS)
#: RFC 3261 §13.3.1.4 and §20.37: no extension is spoken.
CAPABILITIES = ALLOW + b"Accept: application/sdp, text/plain\r\nSupported: \r\n"


def required(request: Request) -> Refusal | None:
    """420 if the request requires an extension: none is spoken (RFC 3261 §8.2.2.3)."""
    tags = [one_line(value) for value in values(request, b"require") if value]
    return unsupported(tags) if tags else None


def content_type(request: Request) -> bytes:
    """The media type of its body in lower case, without parameters."""
    found = values(request, b"content-type")
    return found[0].partition(b";")[0].strip(b" \t\r\n").lower() if found else b""


def encoded(request: Request) -> bool:
    """Whether its body is in some encoding (RFC 3261 §20.12); none is understood."""
    return any(value.lower() != b"identity" for value in values(request, b"content-encoding"))


def session(request: Request, host: str, version: int) -> bytes | Refusal | None:
    """Our session description for a request with an offer.

    Args:
        request: an INVITE or UPDATE.
        host: our own address.
        version: see `sdp.answer`.

    Returns:
        The answer to its offer; None if it makes none.
    """
    if not request.body:
        return None
    if encoded(request):
        return Refusal(415, b"Accept-Encoding: identity\r\n")
    if content_type(request) != sdp.TYPE:
        return Refusal(415, b"Accept: application/sdp\r\n")
    try:
        answer = sdp.answer(request.body, host, version)
    except sdp.BadSession:
        return Refusal(400, phrase="Bad Session Description")
    return Refusal(488) if answer is None else answer


def write(
    request: Request,
    envelope: Envelope,
    source: Source,
    refusal: Refusal,
    tag: bytes,
    body: bytes = b"",
) -> bytes:
    """An answer; for the arguments see `refusal.write`.

    Args:
        body: a session description, if there is one.
    """
    answer = refusals.write(request, envelope, source, refusal, tag)
    return with_body(answer, sdp.TYPE, body) if body else answer
