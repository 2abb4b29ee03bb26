"""Requests within a dialog that came through here: their Route says so, and is signed.

Nothing is kept of a dialog. The token in our Record-Route comes back as the token in a Route, and
says where both ends are: the called side is a target, the caller is a flow (RFC 5626 §5.3). So a
caller behind whose Contact nothing listens is reached as long as his connection lives. When it is
gone the next Route says who is on the way to him, if it is the one that the dialog began with.
"""

from dataclasses import dataclass

from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyDropped
from chatredirect.proxy.incoming_request import later, respond_stateless
from chatredirect.proxy.interfaces import ResolveRequest
from chatredirect.proxy.local_addresses import PARAM, token_in
from chatredirect.proxy.new_requests import (
    MAX_OWN,
    RequestRefused,
    check,
    no_tls,
    pack,
    plainly_ours,
    records,
    repeated,
    secure,
)
from chatredirect.proxy.outgoing_request import ASSERTIONS, OutgoingRequest, Record
from chatredirect.proxy.record_route import DialogToken
from chatredirect.proxy.response_context import ResponseContext, StatelessForward
from chatredirect.responses.planned import PlannedResponse
from chatredirect.sip.destination import destination
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.forwarding import HeaderEditor, Route, lay_out
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, reply_port
from chatredirect.sip.transaction import matching
from chatredirect.sip.uri import SipUri, parse_uri

_MARK = PARAM + b"="
_CLOCKS_DIFFER = 2 * 3600
"""Seconds by which the clock of an instance that has made a token may be ahead of ours."""
_NO_DIALOG = PlannedResponse(481)


@dataclass(slots=True)
class Passing:
    """A request whose Route leads here.

    Attributes:
        dialog: what its token says; None if it is no token of ours for this dialog.
        draft: its header fields.
        uri: its Request-URI, or what a strict router before us has made the last Route (§16.4).
        came: its Route as it came.
        routes: what is left of it without us.
    """

    dialog: DialogToken | None
    draft: HeaderEditor
    uri: bytes
    came: list[Route]
    routes: list[Route]

    @property
    def secure(self) -> bool:
        """Whether it may only go over TLS."""
        return secure(self.uri)


def passing(
    core: ProxyCore, request: Request, envelope: MandatoryHeaders, source: Peer
) -> Passing | None:
    """Look whether a request's Route, or its Request-URI, is our Record-Route (§16.4).

    Entries on top that name this server and no dialog are an outbound proxy's, and passed over. The
    first token decides. Another token of ours behind it is for when the request comes here again.

    Raises:
        RequestRefused: this peer may not send it.
        SipError: its Route can't be read.
    """
    draft = lay_out(request.head)
    came = draft.route_set()
    uri, routes = request.uri, came
    if not came:
        return None
    place, token = uri, token_in(uri)
    if token is not None:  # a strict router took us for the next hop
        uri, routes = came[-1].uri, came[:-1]
    first = 0
    while first < min(len(routes), MAX_OWN) and plainly_ours(core, routes[first].uri):
        first += 1
    routes = routes[first:]
    if token is None:
        if not routes:
            return None
        place, routes = routes[0].uri, routes[1:]
        token = token_in(place)
        if token is None:
            return None
    dialog = core.settings.record_route.read(
        token,
        request.call_id or b"",
        matching.tag_of(envelope.from_, "From"),
        matching.tag_of(envelope.to, "To"),
    )
    trusted = _trusted(core, dialog, source)
    if (dialog is None or not trusted) and not core.settings.names.names(parse_uri(place)):
        return None  # another one's, who knows his own; strangers aren't told which token is good
    if not trusted:
        raise RequestRefused(PlannedResponse(403), "not_trusted")
    while routes and token_in(routes[0].uri) == token:  # our other side (RFC 5658 §4)
        routes = routes[1:]
    return Passing(dialog, draft, uri, came, routes)


def forward(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    now: float,
    epoch: float,
) -> bool:
    """Deal with a request within a dialog; False if its Route doesn't lead here.

    Args:
        core: the proxy.
        request: neither ACK nor CANCEL.
        envelope: its mandatory header fields.
        source: where it came from.
        reach: makes the way back.
        now: seconds on the clock of all calls.
        epoch: seconds since the epoch.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    if _MARK not in request.head:
        return False  # nearly everything that doesn't come through here
    flow = reach.flow(reply_port(envelope.via, source))
    try:
        found = passing(core, request, envelope, source)
        if found is None:
            return False
        key = matching.server_key(request, envelope)
        if repeated(core, key, envelope, source, reach, now):
            return True
        dialog = _live(core, found, now, epoch)
        if not core.room_for(source):
            raise RequestRefused(later(core), "overload")
        outgoing, via, behind = _prepare(core, request, envelope, source, flow, found, dialog)
    except RequestRefused as refused:
        respond_stateless(core, request, envelope, source, flow, refused.refusal, refused.reason)
        return True
    targets = [dialog.target] if dialog.downstream else []
    context = ResponseContext.of(
        core, request, envelope, source, via, outgoing, targets, now, secure=found.secure
    )
    core.counters.sent_on("dialog")
    core.admit(context, key, flow, now)
    if dialog.downstream:
        core.next_target(context, now)
    else:
        _to_caller(core, context, _flow_of(core, dialog, found), behind, now)
    return True


def run(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    now: float,
    epoch: float,
) -> bool:
    """Send on what has no transaction and no answer; False if its Route doesn't lead here.

    Args: as those of `forward`, with an ACK of a 2xx or BENOTIFY.
    """
    if _MARK not in request.head:
        return False
    try:
        found = passing(core, request, envelope, source)
        if found is None:
            return False
        dialog = _live(core, found, now, epoch)
        inside = reach.flow(reply_port(envelope.via, source))
        outgoing, _, behind = _prepare(core, request, envelope, source, inside, found, dialog)
    except RequestRefused as refused:
        core.counters.refusal(refused.reason)
        core.events.append(ProxyDropped(request.call_id, refused.reason))
        reach.useless()
        return True
    except SipError as error:
        core.events.append(ProxyDropped(request.call_id, error.counter))
        reach.useless()
        return True
    target = dialog.target if dialog.downstream else None
    stateless = StatelessForward(outgoing, target, request.call_id, behind, found.secure)
    flow = None if dialog.downstream else _flow_of(core, dialog, found)
    if target is None and flow is None:
        core.forward_lost(stateless)
    else:
        core.run(stateless, flow, now)
    return True


def _trusted(core: ProxyCore, dialog: DialogToken | None, source: Peer) -> bool:
    """Whether this peer may send something within a dialog, before it is told anything of one.

    Down to the pool only trusted peers may. Up to the caller the pool may as well: whoever is a
    target of any pool, or the one that the dialog went to.
    """
    if source.trusted:
        return True
    if dialog is None:
        return core.settings.is_target(source.host)
    return not dialog.downstream and (
        source.host == dialog.target.address.encode("ascii") or core.settings.is_target(source.host)
    )


def _live(core: ProxyCore, found: Passing, now: float, epoch: float) -> DialogToken:
    """The dialog, if there is one of ours and it may still go on.

    Raises:
        RequestRefused: 481, after which both ends take it for ended (RFC 5057 §5.1).
    """
    dialog = found.dialog
    if dialog is None:
        raise RequestRefused(_NO_DIALOG, "forged_route")
    age = epoch - dialog.made
    oldest = core.settings.dialog_age
    if age < -_CLOCKS_DIFFER or (oldest is not None and age > oldest):
        raise RequestRefused(_NO_DIALOG, "dialog_age")
    if not core.served.has(dialog.target, now):
        raise RequestRefused(_NO_DIALOG, "target_gone")
    return dialog


def _prepare(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    flow: Flow,
    found: Passing,
    dialog: DialogToken,
) -> tuple[OutgoingRequest, bytes, SipUri | None]:
    """What is sent on, the stamped Via for answers of our own, and who is next behind the flow.

    Raises:
        RequestRefused: it isn't forwarded.
        SipError: it can't be read.
    """
    loop = check(core, request, found.draft, found.came)
    behind = None
    if not dialog.downstream:
        behind = _behind(core, dialog, found.routes)
    elif found.secure and dialog.target.transport != "tls":
        raise no_tls(core)
    if not source.trusted:  # a pool's member that only its address speaks for (RFC 3325 §5)
        found.draft.drop(ASSERTIONS)
    uri = _aim(found)
    record = None
    if records(request.method):  # the same token again: the route set stays as it is (§12.2)
        record = Record(core.local_addresses.of(flow), found.secure, dialog.token)
    outgoing, via = pack(request, envelope, source, found.draft, uri, loop, record)
    return outgoing, via, behind


def _behind(core: ProxyCore, dialog: DialogToken, routes: list[Route]) -> SipUri | None:
    """Who is next on the way to the caller; None if nobody is between him and us.

    Raises:
        RequestRefused: it is another one than when the dialog began, so nobody has vouched for it.
        SipError: it can't be read.
    """
    if not routes:
        return None
    uri = parse_uri(routes[0].uri)
    if not core.settings.record_route.leads_to(dialog, destination(uri).canonical):
        raise RequestRefused(PlannedResponse(430), "next_hop")
    return uri


def _aim(found: Passing) -> bytes:
    """Bring Route into the shape in which it goes on; the Request-URI that goes with it.

    A strict router behind us wants to find itself in the Request-URI (§16.6 step 6).
    """
    draft, uri, routes = found.draft, found.uri, found.routes
    if not routes:
        draft.keep_routes([])
        return uri
    if parse_uri(routes[0].uri).param(b"lr") is not None:
        draft.keep_routes(routes)
        return uri
    draft.keep_routes(routes[1:])
    draft.append_route(uri)
    return routes[0].uri


def _flow_of(core: ProxyCore, dialog: DialogToken, found: Passing) -> Flow | None:
    """The caller's flow, if it is there and may be used."""
    flow = core.names.find(dialog.flow)
    if flow is not None and found.secure and flow.transport != "tls":
        return None
    return flow


def _to_caller(
    core: ProxyCore,
    context: ResponseContext,
    flow: Flow | None,
    behind: SipUri | None,
    now: float,
) -> None:
    """Send a request to the dialog's caller: over his flow, or to who is next on the way there."""
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
