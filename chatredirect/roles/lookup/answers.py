"""Answers of a user agent: what a request is refused for, and what goes into an answer.

The checks are those of RFC 3261 §8.2 in its order: what the request requires, then its body.
"""

from dataclasses import dataclass

from chatredirect.sip import sdp
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Source, respond, stamp, with_body
from chatredirect.sip.status import status_line

METHODS = (b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"OPTIONS", b"UPDATE")
ALLOW = b"Allow: %b\r\n" % b", ".join(METHODS)
#: RFC 3261 §13.3.1.4 and §20.37: no extension is spoken.
CAPABILITIES = ALLOW + b"Accept: application/sdp, text/plain\r\nSupported: \r\n"

_MAX_TAGS = 256  # octets of unknown option tags that a 420 names


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request isn't done.

    Attributes:
        status: status code of the answer.
        fields: its further header fields, each with its CRLF.
        phrase: its reason phrase; None for the usual one.
    """

    status: int
    fields: bytes = b""
    phrase: str | None = None


def required(request: Request) -> Refusal | None:
    """420 if the request requires an extension: none is spoken (RFC 3261 §8.2.2.3)."""
    tags = b", ".join(b" ".join(value.split()) for value in values(request, b"require") if value)
    if not tags:
        return None
    # as they came, but for what doesn't fit: the client knows what it has required
    named = tags if len(tags) <= _MAX_TAGS else tags[:_MAX_TAGS].rpartition(b",")[0]
    return Refusal(420, b"Unsupported: %b\r\n" % named if named else b"")


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
    """An answer.

    Args:
        request: what it answers.
        envelope: its envelope.
        source: where it came from.
        refusal: status and header fields; a 200 will do.
        tag: our tag if its To has none, else `b""`.
        body: a session description, if there is one.
    """
    answer = respond(
        request,
        status_line(refusal.status, refusal.phrase),
        stamp(request.vias[0], envelope.via, source),
        tag,
        refusal.fields,
    )
    return with_body(answer, sdp.TYPE, body) if body else answer
