"""Whether a request may be forwarded at all (RFC 3261 §16.3), and what it becomes on the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatredirect.roles.proxy.parcel import Parcel, Record
from chatredirect.roles.proxy.sides import token_in
from chatredirect.roles.refusal import Refusal, unsupported
from chatredirect.roles.unavailable import SIPS_NOT_ALLOWED, unavailable
from chatredirect.roles.verdict import capabilities
from chatredirect.sip import abnf
from chatredirect.sip.destination import destination
from chatredirect.sip.errors import SipError
from chatredirect.sip.forwarding import Draft, Route
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Source, stamp
from chatredirect.sip.uri import parse_uri

if TYPE_CHECKING:
    from chatredirect.roles.proxy.core import Core

#: What makes no dialog and renews none, so that a Record-Route would be dead weight (§16.6 step 4).
_WITHOUT_RECORD_ROUTE = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"MESSAGE", b"OPTIONS", b"PRACK", b"PUBLISH", b"REGISTER",
))  # fmt: skip


MAX_OWN = 8
"""Entries of Route that name this server and no dialog, which are passed over: each is read."""


@dataclass(slots=True)
class Refused(Exception):
    """A request that isn't forwarded.

    Attributes:
        refusal: what it gets.
        reason: why, as a constant for counting.
    """

    refusal: Refusal
    reason: str


def check(core: "Core", request: Request, draft: Draft, routes: list[Route]) -> bytes:
    """Look at Max-Forwards, Proxy-Require and loops, and count Max-Forwards down.

    Args:
        core: the proxy.
        request: it.
        draft: its header fields.
        routes: its Route, as it came.

    Returns:
        What it is known by should it come again unchanged.

    Raises:
        Refused: it isn't forwarded.
        SipError: Max-Forwards can't be read.
    """
    hops = draft.hops()
    if hops == 0:
        if request.method == b"OPTIONS":  # §16.3 step 3
            raise Refused(Refusal(200, capabilities(None)), "max_forwards")
        raise Refused(Refusal(483), "max_forwards")
    known = core.rules.proxy_require
    unknown = [tag for tag in draft.required() if tag.lower() not in known]
    if unknown:
        raise Refused(unsupported(unknown), "proxy_require")
    identity = (request.uri, request.call_id, request.from_, request.to, request.cseq)
    same = b"\n".join(part or b"" for part in identity).rpartition(b" ")[0]  # without the method
    if routes:
        same += b"".join(b"\n" + route.raw for route in routes)
    loop = core.rules.loops(same)
    if any(loop in via for via in request.vias):
        raise Refused(Refusal(482), "loop")
    draft.count_down(hops)
    return loop


def pack(
    request: Request,
    envelope: Envelope,
    source: Source,
    draft: Draft,
    uri: bytes,
    loop: bytes,
    record: Record | None,
) -> tuple[Parcel, bytes]:
    """What is sent on, and the stamped Via for answers of our own."""
    via = stamp(request.vias[0], envelope.via, source)
    draft.stamp(via)
    start_line = b"%b %b SIP/2.0" % (request.method, uri)
    return Parcel(request.method, start_line, draft.rest(request.body), loop, record), via


def records(method: bytes) -> bool:
    """Whether a request of this method gets our Record-Route."""
    return method not in _WITHOUT_RECORD_ROUTE


def secure(uri: bytes) -> bool:
    """Whether every hop of a request with this Request-URI must use TLS (RFC 3261 §26.2.2)."""
    return uri[:5].lower() == b"sips:"


def no_tls(core: "Core") -> Refused:
    """Why a request that must go over TLS isn't forwarded: its target has none (RFC 5630 §6.2)."""
    rules = core.rules
    fields = unavailable(rules.retry_after, rules.agent, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
    return Refused(Refusal(480, fields), "sips")


def way_back(request: Request) -> bytes:
    """The next hop on the way to a request's sender, in canonical form; `b""` for himself.

    It is the topmost Record-Route, since a request to him will have it in its Route below ours.
    """
    recorded = values(request, b"record-route")
    match = abnf.LISTED_ADDRESS.match(recorded[0]) if recorded else None
    if match is None:
        return b""
    try:
        return destination(parse_uri(match[1] or match[2])).canonical
    except SipError:
        return b""  # nobody could be sent there


def plainly_ours(core: "Core", route: bytes) -> bool:
    """Whether a Route's URI names this server, and no dialog: an outbound proxy's (§16.4)."""
    try:
        return token_in(route) is None and core.rules.names.names(parse_uri(route))
    except SipError:
        return False
