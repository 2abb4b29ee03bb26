"""Answers of a user agent: what a request is refused for, and what goes into an answer.

The checks are those of RFC 3261 §8.2 in its order: what the request requires, then its body.
"""

from chatredirect.responses import planned as refusals
from chatredirect.responses.planned import (
    NO_SUCH_MEDIA,
    PlannedResponse,
    described,
    unsupported,
    warning,
)
from chatredirect.sip import sdp
from chatredirect.sip.body import MULTIPARTS, BadMultipart, Body, body_of, find
from chatredirect.sip.client_request import one_line
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Peer, with_body

MAX_KEPT = 4096
"""Octets of a request that its dialog and its answer repeat, all together."""
METHODS = (b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"OPTIONS", b"UPDATE")
ALLOW = b"Allow: %b\r\n" % b", ".join(METHODS)
#: RFC 3261 §13.3.1.4 and §20.37: no extension is spoken.
_FIRST = 8  # values of Require
_OCTETS = 512  # of one; a 420 names fewer
#: What an offer comes in.
_OFFERS = b", ".join((sdp.TYPE, *MULTIPARTS))
CAPABILITIES = described(ALLOW, b"application/sdp, text/plain")


def accepted(contact: bytes) -> bytes:
    """The header fields of a 2xx to INVITE or UPDATE (RFC 3261 §13.3.1.4), Record-Route apart.

    Args:
        contact: the value of our Contact.
    """
    return b"Contact: %b\r\n%bSupported: \r\n" % (contact, ALLOW)


def too_large(request: Request) -> PlannedResponse | None:
    """513 if an answer and a dialog would repeat more of a request than may be kept."""
    listed = (b"contact", b"record-route")
    repeated = [*request.vias, *(value for name in listed for value in values(request, name))]
    single = (request.from_, request.to, request.call_id, request.cseq)
    octets = sum(len(value) for value in (*repeated, *single) if value)
    return PlannedResponse(513) if octets > MAX_KEPT else None


def required(request: Request) -> PlannedResponse | None:
    """420 if the request requires an extension: none is spoken (RFC 3261 §8.2.2.3)."""
    found = list(filter(None, values(request, b"require")))
    # who has required them knows them, so not all need to be named
    return unsupported([one_line(value[:_OCTETS]) for value in found[:_FIRST]]) if found else None


def session(
    request: Request, host: str, version: int, agent: bytes
) -> bytes | PlannedResponse | None:
    """Our session description for a request with an offer.

    Args:
        request: an INVITE or UPDATE.
        host: our own address.
        version: see `sdp.answer`.
        agent: our name in Warning header fields.

    Returns:
        The answer to its offer; None if it makes none.
    """
    if not request.body:
        return None
    whole = body_of(request)
    try:
        offer = find(whole, sdp.TYPE)
    except BadMultipart:
        return PlannedResponse(400, phrase="Bad Multipart Body")
    if offer is None:
        return not_understood(whole, _OFFERS)
    try:
        answer = sdp.answer(offer.octets, host, version)
    except sdp.BadSession:
        return PlannedResponse(400, phrase="Bad Session Description")
    if answer is None:  # RFC 3261 §21.4.26
        return PlannedResponse(
            488, warning(agent, NO_SUCH_MEDIA, "no m=message, no m=x-ms-message")
        )
    return answer


def not_understood(body: Body, accepted: bytes) -> PlannedResponse | None:
    """415 for a body that isn't understood; None if it may be ignored (RFC 3261 §8.2.3).

    Args:
        body: the body that isn't understood.
        accepted: the value of Accept.
    """
    if body.optional:
        return None
    if body.encoded:
        return PlannedResponse(415, b"Accept-Encoding: identity\r\n")
    return PlannedResponse(415, b"Accept: %b\r\n" % accepted)


def write(
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    refusal: PlannedResponse,
    tag: bytes,
    body: bytes = b"",
) -> bytes:
    """An answer; for the arguments see `refusal.write`.

    Args:
        body: a session description, if there is one.
    """
    answer = refusals.write(request, envelope, source, refusal, tag)
    return with_body(answer, sdp.TYPE, body) if body else answer
