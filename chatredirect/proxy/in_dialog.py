"""Requests within a dialog that came through here: their Route says so, and is signed.

Nothing is kept of a dialog. The token in our Record-Route comes back as the token in a Route, and
says where both ends are: the called side is a target, the caller is a flow (RFC 5626 §5.3). So a
caller behind whose Contact nothing listens is reached as long as its connection lives. When that is
gone, the request goes to its next Route, if that is the one that the dialog began with.
"""

from dataclasses import dataclass

from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyDropped
from chatredirect.proxy.incoming_request import (
    MAX_OWN_ROUTES,
    IncomingRequest,
    RequestRefused,
    names_us_alone,
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
from chatredirect.sip.forwarding import HeaderEditor, Route, lay_out
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.uri import SipUri, destination, parse_uri

_CLOCK_TOLERANCE = 2 * 3600
"""Seconds by which the clock of an instance that has made a token may be ahead of ours."""
_NO_DIALOG = PlannedResponse(481)


@dataclass(slots=True)
class _Routed:
    """A request whose Route leads here."""

    dialog: DialogToken | None  # None if its token isn't ours for this dialog
    editor: HeaderEditor
    uri: bytes  # its Request-URI, which a strict router before us has moved to Route (§16.4)
    secure: bool
    came: list[Route]  # its Route as it came
    routes: list[Route]  # the same without our own entries


def may_lead_here(request: Request) -> bool:
    """Whether a Route may hold a token of ours: a quick test before any parsing."""
    return TOKEN_PARAM in request.head


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
        if not core.room_for(incoming.peer):
            raise overload(core, "overload")
        outgoing, behind = _prepare(core, incoming, routed, dialog)
    except RequestRefused as refused:
        incoming.refuse(core, refused)
        return True
    core.counters.forwarded["dialog"] += 1
    targets = [dialog.target] if dialog.downstream else []
    context = incoming.admit(core, key, outgoing, targets, secure=routed.secure)
    with core.ending_at_fault(context, incoming.now):
        if dialog.downstream:
            core.next_target(context, incoming.now)
        else:
            _send_to_caller(core, context, _flow_of(core, dialog, routed), behind, incoming.now)
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
        if isinstance(error, RequestRefused):
            core.counters.refused[error.reason] += 1
        reason = error.reason if isinstance(error, RequestRefused) else error.counter
        core.events.append(ProxyDropped(call_id, reason))
        incoming.return_path.useless()
        return True
    target = dialog.target if dialog.downstream else None
    stateless = StatelessForward(outgoing, target, call_id, behind, routed.secure)
    flow = None if dialog.downstream else _flow_of(core, dialog, routed)
    core.forward_stateless(stateless, flow, incoming.now)
    return True


def _route(core: ProxyCore, incoming: IncomingRequest) -> _Routed | None:
    """See whether a request's Route, or its Request-URI, is our Record-Route (§16.4).

    Entries on top that name this server and no dialog are an outbound proxy's, and passed over. The
    first token decides. Another token of ours behind it is for when the request comes here again.
    Raises RequestRefused if this peer may not send the request, SipError if Route can't be read.
    """
    request, headers = incoming.request, incoming.headers
    editor = lay_out(request.head)
    came = editor.route_set()
    uri, routes = request.uri, came
    if not came:
        return None
    ours, token = uri, token_in(uri)
    if token is not None:  # a strict router took us for the next hop
        uri, routes = came[-1].uri, came[:-1]
    first = 0
    while first < min(len(routes), MAX_OWN_ROUTES) and names_us_alone(core, routes[first].uri):
        first += 1
    routes = routes[first:]
    if token is None:
        if not routes:
            return None
        ours, routes = routes[0].uri, routes[1:]
        token = token_in(ours)
        if token is None:
            return None
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
        raise RequestRefused(PlannedResponse(403), "not_trusted")
    while routes and token_in(routes[0].uri) == token:  # our other address (RFC 5658 §4)
        routes = routes[1:]
    return _Routed(dialog, editor, uri, needs_tls(uri), came, routes)


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
        raise RequestRefused(_NO_DIALOG, "forged_route")
    age = incoming.epoch - dialog.made
    oldest = core.settings.dialog_age
    if age < -_CLOCK_TOLERANCE or (oldest is not None and age > oldest):
        raise RequestRefused(_NO_DIALOG, "dialog_age")
    if not core.served.has(dialog.target, incoming.now):
        raise RequestRefused(_NO_DIALOG, "target_gone")
    return dialog


def _prepare(
    core: ProxyCore, incoming: IncomingRequest, routed: _Routed, dialog: DialogToken
) -> tuple[OutgoingRequest, SipUri | None]:
    """What is sent on, and the next hop behind the caller's flow; raises as `forward` does."""
    loop = incoming.check(core, routed.editor, routed.came)
    behind = None
    if not dialog.downstream:
        behind = _hop_behind(core, dialog, routed.routes)
    elif routed.secure and dialog.target.transport != "tls":
        raise no_tls(core)
    if not incoming.peer.trusted:  # a member of the pool, known by its address only
        routed.editor.drop(IDENTITY_FIELDS)
    uri = _set_route(routed)
    record = None
    if incoming.gets_record_route:  # the same token again: the route set stays as it is (§12.2)
        inside = core.local_addresses.of(incoming.flow)
        record = Record(inside, routed.secure, dialog.token)
    return incoming.pack(routed.editor, uri, loop, record), behind


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


def _set_route(routed: _Routed) -> bytes:
    """Write Route as it goes on; return the Request-URI that goes with it.

    A strict router behind us expects its own URI in the Request-URI (§16.6 step 6).
    """
    editor, uri, routes = routed.editor, routed.uri, routed.routes
    if not routes:
        editor.keep_routes([])
        return uri
    if parse_uri(routes[0].uri).param(b"lr") is not None:
        editor.keep_routes(routes)
        return uri
    editor.keep_routes(routes[1:])
    editor.append_route(uri)
    return routes[0].uri


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
