"""Requests within a dialog that came through here: their Route says so, and is signed.

Nothing is kept of a dialog. The token in our Record-Route comes back as the token in a Route, and
says where both ends are: the called side is a target, the caller is a flow (RFC 5626 §5.3). So a
caller behind whose Contact nothing listens is reached as long as his connection lives.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatredirect.config.addresses import Transport, Wanted
from chatredirect.roles.proxy.answers import answer, later, refuse
from chatredirect.roles.proxy.arrivals import repeated
from chatredirect.roles.proxy.checks import Refused, check, pack, records
from chatredirect.roles.proxy.context import Context, Errand
from chatredirect.roles.proxy.effects import Seek
from chatredirect.roles.proxy.facts import Dropped
from chatredirect.roles.proxy.parcel import Record
from chatredirect.roles.proxy.sides import PARAM, token_in
from chatredirect.roles.proxy.token import Dialog
from chatredirect.roles.refusal import Refusal
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, Reach
from chatredirect.sip.forwarding import Draft, Route, lay_out
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request
from chatredirect.sip.response import Source, reply_port
from chatredirect.sip.transaction import keys
from chatredirect.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from chatredirect.roles.proxy.core import Core

_MARK = PARAM + b"="
_TRANSPORTS: dict[bytes, Transport] = {b"udp": "udp", b"tcp": "tcp", b"tls": "tls"}


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

    dialog: Dialog | None
    draft: Draft
    uri: bytes
    came: list[Route]
    routes: list[Route]


def passing(core: "Core", request: Request, envelope: Envelope) -> Passing | None:
    """Look whether a request's Route, or its Request-URI, is our Record-Route.

    Raises:
        SipError: its Route can't be read.
    """
    draft = lay_out(request.head)
    came = draft.route_set()
    uri, routes = request.uri, came
    token = token_in(uri)
    if token is not None and came:  # a strict router took us for the next hop (§16.4)
        uri, routes = came[-1].uri, came[:-1]
        place = request.uri
    elif came:
        place, routes = came[0].uri, came[1:]
        token = token_in(place)
    if token is None or not came:
        return None
    dialog = core.rules.tokens.read(
        token,
        request.call_id or b"",
        keys.tag_of(envelope.from_, "From"),
        keys.tag_of(envelope.to, "To"),
    )
    if dialog is None and not core.rules.names.names(parse_uri(place)):
        return None  # another one's, who knows his own
    while routes and token_in(routes[0].uri) == token:  # our other side (RFC 5658 §4)
        routes = routes[1:]
    return Passing(dialog, draft, uri, came, routes)


def forward(
    core: "Core", request: Request, envelope: Envelope, source: Source, reach: Reach, now: float
) -> bool:
    """Deal with a request within a dialog; False if its Route doesn't lead here.

    Args:
        core: the proxy.
        request: neither ACK nor CANCEL.
        envelope: its envelope.
        source: where it came from.
        reach: makes the way back.
        now: seconds on the clock of all calls.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    if _MARK not in request.head:
        return False  # nearly everything that doesn't come through here
    key = keys.server_key(request, envelope)
    if repeated(core, key, envelope, source, reach, now):
        return True
    found = passing(core, request, envelope)
    if found is None:
        return False
    flow = reach.flow(reply_port(envelope.via, source))
    try:
        dialog = _allowed(core, found, source)
        if not core.room_for(source):
            raise Refused(later(core), "overload")
        loop = check(core, request, found.draft, found.came)
        uri = _aim(found)
    except Refused as refused:
        refuse(core, request, envelope, source, flow, refused.refusal, refused.reason)
        return True
    record = None
    if records(request.method):  # the same token again: the route set stays as it is (§12.2)
        secure = uri[:5].lower() == b"sips:"
        record = Record(core.sides.of(flow), secure, dialog.token, b"", b"", b"")
    parcel, via = pack(request, envelope, source, found.draft, uri, loop, record)
    context = Context(
        request=request,
        invite=request.method == b"INVITE",
        number=envelope.number,
        source=source,
        via=via,
        tagged=envelope.in_dialog,
        endpoint=None,
        parcel=parcel,
        targets=[dialog.target] if dialog.downstream else [],
        began=now,
    )
    core.counters.sent_on("dialog")
    core.admit(context, key, flow, now)
    if dialog.downstream:
        core.next_target(context, now)
    else:
        _to_caller(core, context, dialog, found.routes, now)
    return True


def run(
    core: "Core", request: Request, envelope: Envelope, source: Source, reach: Reach, now: float
) -> bool:
    """Send on what has no transaction and no answer; False if its Route doesn't lead here.

    Args: as those of `forward`, with an ACK of a 2xx or BENOTIFY.
    """
    if _MARK not in request.head:
        return False
    try:
        found = passing(core, request, envelope)
        if found is None:
            return False
        dialog = _allowed(core, found, source)
        loop = check(core, request, found.draft, found.came)
        uri = _aim(found)
        record = None
        if records(request.method):
            inside = core.sides.of(reach.flow(reply_port(envelope.via, source)))
            record = Record(inside, False, dialog.token, b"", b"", b"")
        parcel, _ = pack(request, envelope, source, found.draft, uri, loop, record)
    except Refused as refused:
        core.counters.refusal(refused.reason)
        core.facts.append(Dropped(request.call_id, refused.reason))
        return True
    except SipError as error:
        core.facts.append(Dropped(request.call_id, error.counter))
        return True
    flow: Flow | None = None
    if not dialog.downstream:
        flow = core.names.find(dialog.flow)
        if flow is None:
            core.facts.append(Dropped(request.call_id, "flow_gone"))
            return True
    core.run(Errand(parcel, dialog.target if dialog.downstream else None), flow, now)
    return True


def _allowed(core: "Core", found: Passing, source: Source) -> Dialog:
    """Whether this peer may send this within the dialog.

    Down to the pool only trusted peers may. Up to the caller the pool may as well: whoever is a
    target of the dialog, or of any pool.

    Raises:
        Refused: it may not, or the Route is forged.
    """
    dialog = found.dialog
    if dialog is None:
        raise Refused(Refusal(403, phrase="Route Not Ours"), "forged_route")
    if not source.trusted and (
        dialog.downstream
        or (
            source.host != dialog.target.address.encode("ascii")
            and not core.rules.is_target(source.host)
        )
    ):
        raise Refused(Refusal(403), "not_trusted")
    return dialog


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


def _to_caller(
    core: "Core", context: Context, dialog: Dialog, routes: list[Route], now: float
) -> None:
    """Send a request to the dialog's caller: over his flow, or to who is next on the way there."""
    context.to_caller = True
    flow = core.names.find(dialog.flow)
    behind = parse_uri(routes[0].uri) if routes else None
    if flow is not None:
        context.behind = behind
        core.to_flow(context, flow, now)
    elif behind is not None:
        core.seeks.append(Seek(behind, context))
    else:
        context.why = "the caller's connection is gone"
        answer(core, context, 430, now)  # RFC 5626 §5.3.1


def wanted(uri: SipUri) -> tuple[str, int | None, Wanted | None]:
    """What to look for to find a URI's targets: host, port and transport (RFC 3263 §4.1)."""
    transport: Wanted | None = _TRANSPORTS.get((uri.param(b"transport") or b"").lower())
    if uri.scheme == b"sips":
        transport = "sips" if transport is None else "tls"
    return uri.host.decode("ascii").strip("[]").lower().rstrip("."), uri.port, transport
