"""What a lookup's user agent server refuses and supports (RFC 3261 §8.2), and its SDP answers."""

from chatredirect.lookup.session import LookupSession
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
from chatredirect.sip.message import Request, values

MAX_KEPT = 4096
"""Octets of a request that its dialog and its response repeat, altogether."""
METHODS = (b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"OPTIONS", b"UPDATE")
ALLOW = b"Allow: %b\r\n" % b", ".join(METHODS)
_FIRST = 8  # values of Require that are read
_OCTETS = 512  # that are read of one; a 420 names fewer
#: Content types in which an offer is found.
_OFFERS = b", ".join((sdp.TYPE, *MULTIPARTS))
CAPABILITIES = described(ALLOW, b"application/sdp, text/plain")


def accepted(lookup: LookupSession) -> bytes:
    """The header fields of a 2xx to INVITE or UPDATE, Record-Route apart.

    Supported is empty, since we support no extension (RFC 3261 §13.3.1.4, §20.37).
    """
    contact = lookup.endpoint.contact(lookup.flow, lookup.sips)
    return b"Contact: %b\r\n%bSupported: \r\n" % (contact, ALLOW)


def too_large(request: Request) -> PlannedResponse | None:
    """513 if its dialog and its response would repeat more than `MAX_KEPT` of a request."""
    if len(request.head) <= MAX_KEPT:
        return None  # what they repeat is in it, once
    listed = (b"contact", b"record-route")
    repeated = [*request.vias, *(value for name in listed for value in values(request, name))]
    single = (request.from_, request.to, request.call_id, request.cseq)
    octets = sum(len(value) for value in (*repeated, *single) if value)
    return PlannedResponse(513) if octets > MAX_KEPT else None


def required(request: Request) -> PlannedResponse | None:
    """420 if the request requires an extension: we support none (RFC 3261 §8.2.2.3)."""
    if request.index is None and not request.body and request.head.lower().find(b"require") < 0:
        return None  # it is found without an index, and nothing else needs one
    listed = values(request, b"require")
    if not listed:
        return None
    found = list(filter(None, listed))
    # the peer that requires them knows them, so the 420 needn't name all
    return unsupported([one_line(value[:_OCTETS]) for value in found[:_FIRST]]) if found else None


def describe_session(
    request: Request, host: str, version: int, agent: bytes
) -> bytes | PlannedResponse | None:
    """The SDP answer to the offer in an INVITE or UPDATE, or a refusal; None if there is no offer.

    `agent` is our name in Warning header fields; for `host` and `version` see `sdp.answer`.
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
    """415 for a body of an unknown type; None if it may be ignored (RFC 3261 §8.2.3)."""
    if body.optional:
        return None
    if body.encoded:
        return PlannedResponse(415, b"Accept-Encoding: identity\r\n")
    return PlannedResponse(415, b"Accept: %b\r\n" % accepted)
