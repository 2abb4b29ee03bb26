"""Requests for an endpoint: checked, and sent to the pool (RFC 3261 §16.3 to §16.6)."""

from dataclasses import dataclass

from chatredirect.endpoints.proxy_endpoint import ProxyEndpoint
from chatredirect.net.target import Target
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyDropped
from chatredirect.proxy.incoming_request import later, respond_stateless
from chatredirect.proxy.local_addresses import token_in
from chatredirect.proxy.outgoing_request import OutgoingRequest, Record
from chatredirect.proxy.response_context import ResponseContext, StatelessForward
from chatredirect.responses.planned import (
    MISCELLANEOUS,
    SIPS_NOT_ALLOWED,
    PlannedResponse,
    capabilities,
    unavailable,
    unsupported,
)
from chatredirect.sip import abnf
from chatredirect.sip.destination import destination
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.forwarding import HeaderEditor, Route, lay_out
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Peer, reply_port, stamp
from chatredirect.sip.transaction import matching
from chatredirect.sip.uri import SipUri, parse_uri

#: What makes no dialog and renews none, so that a Record-Route would be dead weight (§16.6 step 4).
_WITHOUT_RECORD_ROUTE = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"MESSAGE", b"OPTIONS", b"PRACK", b"PUBLISH", b"REGISTER",
))  # fmt: skip


MAX_OWN = 8
"""Entries of Route that name this server and no dialog, which are passed over: each is read."""


@dataclass(slots=True)
class RequestRefused(Exception):
    """A request that isn't forwarded.

    Attributes:
        refusal: what it gets.
        reason: why, as a constant for counting.
    """

    refusal: PlannedResponse
    reason: str


def check(core: ProxyCore, request: Request, draft: HeaderEditor, routes: list[Route]) -> bytes:
    """Look at Max-Forwards, Proxy-Require and loops, and count Max-Forwards down.

    Args:
        core: the proxy.
        request: the request to forward.
        draft: its header fields.
        routes: its Route, as it came.

    Returns:
        The loop mark that its branch will carry (§16.6 step 8).

    Raises:
        RequestRefused: it isn't forwarded.
        SipError: Max-Forwards can't be read.
    """
    hops = draft.hops()
    if hops == 0:
        if request.method == b"OPTIONS":  # §16.3 step 3
            raise RequestRefused(PlannedResponse(200, capabilities(None)), "max_forwards")
        raise RequestRefused(PlannedResponse(483), "max_forwards")
    known = core.settings.proxy_require
    unknown = [tag for tag in draft.required() if tag.lower() not in known]
    if unknown:
        raise RequestRefused(unsupported(unknown), "proxy_require")
    identity = (request.uri, request.call_id, request.from_, request.to, request.cseq)
    same = b"\n".join(part or b"" for part in identity).rpartition(b" ")[0]  # without the method
    if routes:
        same += b"".join(b"\n" + route.raw for route in routes)
    loop = core.settings.loops(same)
    if any(loop in via for via in request.vias):
        raise RequestRefused(PlannedResponse(482), "loop")
    draft.count_down(hops)
    return loop


def pack(
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    draft: HeaderEditor,
    uri: bytes,
    loop: bytes,
    record: Record | None,
) -> tuple[OutgoingRequest, bytes]:
    """Build the request to forward, and the stamped Via for our own responses."""
    via = stamp(request.vias[0], envelope.via, source)
    draft.stamp(via)
    start_line = b"%b %b SIP/2.0" % (request.method, uri)
    return OutgoingRequest(request.method, start_line, draft.rest(request.body), loop, record), via


def records(method: bytes) -> bool:
    """Whether a request of this method gets our Record-Route."""
    return method not in _WITHOUT_RECORD_ROUTE


def secure(uri: bytes) -> bool:
    """Whether every hop of a request with this Request-URI must use TLS (RFC 3261 §26.2.2)."""
    return uri[:5].lower() == b"sips:"


def no_tls(core: ProxyCore) -> RequestRefused:
    """Why a request that must go over TLS isn't forwarded: its target has none (RFC 5630 §6.2)."""
    settings = core.settings
    fields = unavailable(settings.retry_after, settings.agent, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
    return RequestRefused(PlannedResponse(480, fields), "sips")


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


def plainly_ours(core: ProxyCore, route: bytes) -> bool:
    """Whether a Route's URI names this server, and no dialog: an outbound proxy's (§16.4)."""
    try:
        return token_in(route) is None and core.settings.names.names(parse_uri(route))
    except SipError:
        return False


def arrive(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    uri: SipUri | None,
    endpoint: ProxyEndpoint,
    now: float,
    epoch: float,
) -> None:
    """Deal with a request for an endpoint, from a trusted peer.

    Args:
        core: the proxy.
        request: neither ACK nor CANCEL.
        envelope: its mandatory header fields.
        source: where it came from.
        reach: makes the way back.
        uri: its Request-URI; None if that names the server, so that the To URI has decided.
        endpoint: the endpoint that it is for.
        now: seconds on the clock of all calls.
        epoch: seconds since the epoch.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    key = matching.server_key(request, envelope)
    flow = reach.flow(reply_port(envelope.via, source))
    try:
        if repeated(core, key, envelope, source, reach, now):
            return
        if not core.room_for(source):
            raise RequestRefused(later(core), "overload")
        if core.draining and not envelope.in_dialog:
            raise RequestRefused(later(core), "draining")
        outgoing, via = _prepare(core, request, envelope, source, flow, uri, endpoint, epoch)
        targets = _targets(core, envelope, endpoint, secure(request.uri), now)
    except RequestRefused as refused:
        address = endpoint.address
        respond_stateless(
            core, request, envelope, source, flow, refused.refusal, refused.reason, address
        )
        return
    context = ResponseContext.of(
        core, request, envelope, source, via, outgoing, targets, now, endpoint=endpoint.address
    )
    core.counters.sent_on("dialog" if envelope.in_dialog else "new")
    core.begin(context, key, flow, now)


def run(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    uri: SipUri | None,
    endpoint: ProxyEndpoint,
    now: float,
    epoch: float,
) -> None:
    """Send on what has no transaction and no answer: an ACK of a 2xx, or BENOTIFY.

    Args: as those of `arrive`.
    """
    flow = reach.flow(reply_port(envelope.via, source))
    try:
        outgoing, _ = _prepare(core, request, envelope, source, flow, uri, endpoint, epoch)
        targets = _targets(core, envelope, endpoint, secure(request.uri), now)
    except (RequestRefused, SipError):
        core.events.append(ProxyDropped(request.call_id, "not_forwarded"))
        reach.useless()
        return
    core.run(StatelessForward(outgoing, targets[0], request.call_id), None, now)


def repeated(
    core: ProxyCore,
    key: bytes,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    now: float,
) -> bool:
    """Deal with a request that has come before; whether it has.

    Raises:
        RequestRefused: it has come from another peer, who alone gets the answer.
    """
    transaction = core.transactions.server(key)
    if transaction is None:
        return False
    if core.transactions.server_of(key, source) is None:
        raise RequestRefused(PlannedResponse(482), "other_peer")
    core.counters.retransmissions += 1
    core.transactions.repeated(transaction, reach.flow(reply_port(envelope.via, source)), now)
    return True


def _prepare(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    flow: Flow,
    uri: SipUri | None,
    endpoint: ProxyEndpoint,
    epoch: float,
) -> tuple[OutgoingRequest, bytes]:
    """Check it, take our own Route away, and write what is sent on.

    Raises:
        RequestRefused: it isn't forwarded.
        SipError: it can't be read.
    """
    draft = lay_out(request.head)
    routes = draft.route_set() if draft.routes else []
    loop = check(core, request, draft, routes)
    if routes:
        if len(routes) > MAX_OWN or not all(plainly_ours(core, route.uri) for route in routes):
            # whoever asks for an endpoint gets to its pool, and by no other way
            raise RequestRefused(PlannedResponse(403, phrase="Route Leads Elsewhere"), "route")
        draft.keep_routes([])
    if uri is None:
        next_uri = endpoint.rewritten(parse_uri(endpoint.uri)) or endpoint.uri
    else:
        next_uri = endpoint.rewritten(uri) or request.uri
    record = None
    if records(request.method):
        record = Record(
            inside=core.local_addresses.of(flow),
            secure=secure(request.uri),
            flow=core.names.name(flow),
            behind=way_back(request),
            made=int(epoch),
            call_id=request.call_id or b"",
            tag=matching.tag_of(envelope.from_, "From"),
        )
    return pack(request, envelope, source, draft, next_uri, loop, record)


def _targets(
    core: ProxyCore, envelope: MandatoryHeaders, endpoint: ProxyEndpoint, secure: bool, now: float
) -> list[Target]:
    """The target set, the first to be tried first (§16.5).

    Raises:
        RequestRefused: there is none.
    """
    pool = endpoint.pool
    settings = core.settings
    targets = pool.order(envelope.caller) if pool.usable or endpoint.serve else ()
    if not targets:
        if pool.want is not None:
            pool.want(pool)
        fields = unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, pool.reason)
        raise RequestRefused(PlannedResponse(480, fields), "no_target")
    if secure:
        targets = tuple(target for target in targets if target.transport == "tls")
        if not targets:
            raise no_tls(core)
    return core.blocklist.sort(targets, now)
