"""Requests within a dialog that came through here: their Route says so, and is signed.

Nothing is kept of a dialog. The token in our Record-Route comes back as the token in a Route, and
says where both ends are: the called side is a target, the caller is a flow (RFC 5626 §5.3). So a
caller behind whose Contact nothing listens is reached as long as its connection lives. When that is
gone, the request goes to its next Route, if that is the one that the dialog began with.
"""

from dataclasses import dataclass

from chatredirect.net.refusals import RefusalReason
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyDropped, ProxyRefusal
from chatredirect.proxy.incoming_request import (
    MAX_OWN_ROUTES,
    IncomingRequest,
    RequestRefused,
    names_us,
    needs_tls,
    no_tls,
    overload,
)
from chatredirect.proxy.outgoing_request import (
    IDENTITY_FIELDS,
    TOKEN_PARAM,
    OutgoingRequest,
    Record,
    token_in,
)
from chatredirect.proxy.record_route import DialogToken
from chatredirect.proxy.response_context import ResolveRequest, ResponseContext, StatelessForward
from chatredirect.responses.planned import PlannedResponse
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow
from chatredirect.sip.forwarded_head import ForwardedHead
from chatredirect.sip.forwarding import Route
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.uri import SipUri, destination, parse_uri

_CLOCK_TOLERANCE = 2 * 3600
"""Seconds by which the clock of an instance that has made a token may be ahead of ours."""


@dataclass(slots=True)
class _Routed:
    """A request whose Route leads here."""

    dialog: DialogToken | None  # None if its token isn't ours for this dialog
    head: ForwardedHead
    uri: bytes  # its Request-URI, which a strict router before us has moved to Route (§16.4)
    secure: bool
    came: list[Route]  # its Route as it came
    routes: list[Route]  # the same without our own entries


def may_lead_here(request: Request) -> bool:
    """Whether a Route may hold a token of ours: a quick test before any parsing."""
    return request.head.find(TOKEN_PARAM) >= 0  # `in` tries the octets as a number first


def forward(core: ProxyCore, incoming: IncomingRequest) -> bool:
    """Forward or refuse a request within a dialog; False if its Route doesn't lead here.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    try:
        routed = _route(core, incoming)
        if routed is None:
            return False
        key = matching.server_key(incoming.request, incoming.headers)
        if incoming.repeated(core, key):
            return True
        dialog = _live_dialog(core, routed, incoming)
        limit = core.limit_reached(incoming.peer)
        if limit is not None:
            raise overload(core, limit)
        outgoing, behind = _prepare(core, incoming, routed, dialog)
    except RequestRefused as refused:
        incoming.refuse(core, refused)
        return True
    core.counters.forwarded["dialog"] += 1
    targets = (dialog.target,) if dialog.downstream else ()
    context = incoming.admit(core, key, outgoing, targets, secure=routed.secure)
    try:
        core.open_context(context, incoming.now)
        if dialog.downstream:
            core.next_target(context, incoming.now)
        else:
            _send_to_caller(core, context, _flow_of(core, dialog, routed), behind, incoming.now)
    except Exception:  # nothing else would end the request
        core.abandon(context, incoming.now)
        raise
    return True


def forward_stateless(core: ProxyCore, incoming: IncomingRequest) -> bool:
    """Forward an ACK of a 2xx or a BENOTIFY; False if its Route doesn't lead here."""
    call_id = incoming.request.call_id
    try:
        routed = _route(core, incoming)
        if routed is None:
            return False
        dialog = _live_dialog(core, routed, incoming)
        outgoing, behind = _prepare(core, incoming, routed, dialog)
    except (RequestRefused, SipError) as error:
        reason = error.counter if isinstance(error, SipError) else error.reason
        if isinstance(error, RequestRefused):
            core.counters.refused[reason] += 1
            refusal = error.response.refusal
            if refusal is not None:
                transport = incoming.flow.transport
                core.events.append(ProxyRefusal(refusal, incoming.peer, transport))
        core.events.append(ProxyDropped(call_id, reason))
        incoming.return_path.useless()
        return True
    target = dialog.target if dialog.downstream else None
    stateless = StatelessForward(outgoing, target, call_id, behind, routed.secure)
    flow = None if dialog.downstream else _flow_of(core, dialog, routed)
    core.forward_stateless(stateless, flow)
    return True


def _route(core: ProxyCore, incoming: IncomingRequest) -> _Routed | None:
    """See whether a request's Route, or its Request-URI, is our Record-Route (§16.4).

    Entries on top that name this server and no dialog are an outbound proxy's, and passed over. The
    first token decides. Another token of ours behind it is for when the request comes here again.
    Raises RequestRefused if this peer may not send the request, SipError if Route can't be read.
    """
    request, headers = incoming.request, incoming.headers
    head = ForwardedHead(request.head)
    came = head.route_set()
    uri, routes = request.uri, came
    if not came:
        return None
    ours, token = uri, token_in(uri)
    if token is not None:  # a strict router took us for the next hop
        uri, routes = came[-1].uri, came[:-1]
    passed = 0
    while passed < len(routes):
        found = token_in(routes[passed].uri)
        if found is not None or passed == MAX_OWN_ROUTES or not names_us(core, routes[passed].uri):
            break
        passed += 1
    else:
        found = None
    if token is None:
        if found is None:
            return None
        token, ours = found, routes[passed].uri
        passed += 1
    routes = routes[passed:]
    dialog = core.settings.record_route.read(
        token,
        request.call_id or b"",
        matching.tag_of(headers.from_, "From"),
        matching.tag_of(headers.to, "To"),
    )
    trusted = _may_send(core, dialog, incoming.peer)
    if (dialog is None or not trusted) and not core.settings.names.names(parse_uri(ours)):
        return None  # another server's; an untrusted peer isn't told which token is good
    if not trusted:
        response = PlannedResponse(403, refusal=RefusalReason.NOT_TRUSTED)
        raise RequestRefused(response, "not_trusted")
    while routes and token_in(routes[0].uri) == token:  # our other address (RFC 5658 §4)
        routes = routes[1:]
    return _Routed(dialog, head, uri, needs_tls(uri), came, routes)


def _may_send(core: ProxyCore, dialog: DialogToken | None, peer: Peer) -> bool:
    """Whether this peer may send a request in a dialog; asked before it learns of any dialog.

    Towards the pool only trusted peers may. Towards the caller the pool may as well: a peer that is
    a target of any pool, or the one that the dialog went to.
    """
    if peer.trusted:
        return True
    if dialog is None:
        return core.settings.is_target(peer.host)
    return not dialog.downstream and (
        peer.host == dialog.target.address.encode("ascii") or core.settings.is_target(peer.host)
    )


def _live_dialog(core: ProxyCore, routed: _Routed, incoming: IncomingRequest) -> DialogToken:
    """The dialog, if it may go on; else RequestRefused with 481, which ends it (RFC 5057 §5.1)."""
    dialog = routed.dialog
    if dialog is None:
        raise _no_dialog("forged_route", RefusalReason.FORGED_ROUTE)
    age = incoming.epoch - dialog.made
    oldest = core.settings.dialog_age
    if age < -_CLOCK_TOLERANCE or (oldest is not None and age > oldest):
        raise _no_dialog("dialog_age", RefusalReason.DIALOG_AGE)
    if not core.served.has(dialog.target, incoming.now):
        raise _no_dialog("target_gone", RefusalReason.TARGET_GRACE)
    return dialog


def _no_dialog(reason: str, refusal: RefusalReason) -> RequestRefused:
    return RequestRefused(PlannedResponse(481, refusal=refusal), reason)


def _prepare(
    core: ProxyCore, incoming: IncomingRequest, routed: _Routed, dialog: DialogToken
) -> tuple[OutgoingRequest, SipUri | None]:
    """What is sent on, and the next hop behind the caller's flow; raises as `forward` does."""
    loop = incoming.check(core, routed.head, routed.came)
    behind = None
    if not dialog.downstream:
        behind = _hop_behind(core, dialog, routed.routes)
    elif routed.secure and dialog.target.transport != "tls":
        raise no_tls(core)
    uri, routes, last_route = _next_route(routed)
    record = None
    if incoming.gets_record_route():  # the same token again: the route set stays as it is (§12.2)
        inside = core.local_addresses.of(incoming.flow)
        record = Record(inside, routed.secure, dialog.token)
    outgoing = incoming.pack(
        routed.head,
        uri,
        routes,
        loop,
        record,
        last_route=last_route,
        # a peer that isn't trusted is a member of the pool, known by its address only
        left_out=None if incoming.peer.trusted else IDENTITY_FIELDS,
    )
    return outgoing, behind


def _hop_behind(core: ProxyCore, dialog: DialogToken, routes: list[Route]) -> SipUri | None:
    """The next hop between us and the caller, if there is one.

    Raises RequestRefused if it isn't the one that the dialog began with, which was trusted.
    """
    if not routes:
        return None
    uri = parse_uri(routes[0].uri)
    if not core.settings.record_route.leads_to(dialog, destination(uri).canonical):
        raise RequestRefused(PlannedResponse(430), "next_hop")
    return uri


def _next_route(routed: _Routed) -> tuple[bytes, list[Route], bytes | None]:
    """The Request-URI and the Route entries as they go on, and a URI to put behind these.

    A strict router behind us expects its own URI in the Request-URI (§16.6 step 6).
    """
    uri, routes = routed.uri, routed.routes
    if not routes or parse_uri(routes[0].uri).param(b"lr") is not None:
        return uri, routes, None
    return routes[0].uri, routes[1:], uri


def _flow_of(core: ProxyCore, dialog: DialogToken, routed: _Routed) -> Flow | None:
    """The caller's flow, if it is there and may be used."""
    flow = core.flow_names.find(dialog.flow)
    if flow is not None and routed.secure and flow.transport != "tls":
        return None
    return flow


def _send_to_caller(
    core: ProxyCore, context: ResponseContext, flow: Flow | None, behind: SipUri | None, now: float
) -> None:
    """Send a request to the dialog's caller over its flow, or to the next hop towards it."""
    context.to_caller = True
    if flow is not None:
        context.behind = behind
        core.to_flow(context, flow, now)
    elif behind is not None:
        core.resolve_requests.append(ResolveRequest(behind, context))
    else:
        context.why = "the caller's connection is gone"
        if context.secure:
            context.why += ", or has no TLS, which a sips: URI asks for"
        context.send_final_response(430, now)  # RFC 5626 §5.3.1
