"""Requests for an endpoint: checked, and sent to the pool (RFC 3261 §16.3 to §16.6)."""

from chatredirect.endpoints.proxy_endpoint import ProxyEndpoint
from chatredirect.net.refusals import RefusalReason
from chatredirect.net.target import Target
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyDropped
from chatredirect.proxy.incoming_request import (
    MAX_OWN_ROUTES,
    IncomingRequest,
    RequestRefused,
    draining,
    names_us,
    needs_tls,
    no_tls,
    overload,
)
from chatredirect.proxy.outgoing_request import OutgoingRequest, Record, token_in
from chatredirect.proxy.response_context import StatelessForward
from chatredirect.responses.planned import MISCELLANEOUS, PlannedResponse, unavailable
from chatredirect.sip import abnf
from chatredirect.sip.errors import SipError
from chatredirect.sip.forwarded_head import ForwardedHead
from chatredirect.sip.transaction import matching
from chatredirect.sip.uri import SipUri, destination, parse_uri


def forward(
    core: ProxyCore, incoming: IncomingRequest, uri: SipUri | None, endpoint: ProxyEndpoint
) -> None:
    """Forward or refuse a request for an endpoint, from a trusted peer.

    Args:
        uri: its Request-URI; None if that names the server, so that the To URI has decided.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    in_dialog = incoming.headers.in_dialog
    key = matching.server_key(incoming.request, incoming.headers)
    try:
        if incoming.repeated(core, key):
            return
        limit = core.limit_reached(incoming.peer)
        if limit is not None:
            raise overload(core, limit)
        if core.draining and not in_dialog:
            raise draining(core)
        outgoing = _prepare(core, incoming, uri, endpoint)
        targets = _targets(core, incoming, endpoint)
    except RequestRefused as refused:
        incoming.refuse(core, refused, endpoint.address)
        return
    core.counters.forwarded["dialog" if in_dialog else "new"] += 1
    context = incoming.admit(core, key, outgoing, targets, endpoint=endpoint.address)
    try:
        core.open_context(context, incoming.now)
        core.next_target(context, incoming.now)
    except Exception:  # nothing else would end the request
        core.abandon(context, incoming.now)
        raise


def forward_stateless(
    core: ProxyCore, incoming: IncomingRequest, uri: SipUri | None, endpoint: ProxyEndpoint
) -> None:
    """Forward an ACK of a 2xx or a BENOTIFY; for `uri` see `forward`."""
    request = incoming.request
    try:
        outgoing = _prepare(core, incoming, uri, endpoint)
        targets = _targets(core, incoming, endpoint)
    except (RequestRefused, SipError):
        core.events.append(ProxyDropped(request.call_id, "not_forwarded"))
        incoming.return_path.useless()
        return
    core.forward_stateless(StatelessForward(outgoing, targets[0], request.call_id), None)


def _prepare(
    core: ProxyCore, incoming: IncomingRequest, uri: SipUri | None, endpoint: ProxyEndpoint
) -> OutgoingRequest:
    """Raises RequestRefused if the request isn't forwarded, SipError if it can't be read."""
    request = incoming.request
    head = ForwardedHead(request.head)
    routes = head.route_set()
    loop = incoming.check(core, head, routes)
    if routes:
        ours = len(routes) <= MAX_OWN_ROUTES and all(
            token_in(route.uri) is None and names_us(core, route.uri) for route in routes
        )
        if not ours:  # a request for an endpoint goes to the endpoint's pool and nowhere else
            phrase = "Route Leads Elsewhere"
            response = PlannedResponse(403, phrase=phrase, refusal=RefusalReason.ROUTE)
            raise RequestRefused(response, "route")
    if uri is None:
        next_uri = endpoint.rewritten(parse_uri(endpoint.uri)) or endpoint.uri
    else:
        next_uri = endpoint.rewritten(uri) or request.uri
    record = None
    if incoming.gets_record_route():
        record = Record(
            core.local_addresses.of(incoming.flow),
            needs_tls(request.uri),
            b"",
            core.flow_names.name(incoming.flow),
            _hop_before(head.recorded()),
            int(incoming.epoch),
            request.call_id or b"",
            matching.tag_of(incoming.headers.from_, "From"),
        )
    return incoming.pack(head, next_uri, [], loop, record)


def _hop_before(recorded: bytes) -> bytes:
    """The proxy that sent us a request, in canonical form; `b""` if the caller sent it.

    Args:
        recorded: the value of the request's topmost Record-Route; `b""` if there is none.
    """
    # a request to the caller will have the topmost Record-Route in its Route, below ours
    match = abnf.LISTED_ADDRESS.match(recorded) if recorded else None
    if match is None:
        return b""
    try:
        return destination(parse_uri(match[1] or match[2])).canonical
    except SipError:
        return b""  # nothing could be sent there


def _targets(
    core: ProxyCore, incoming: IncomingRequest, endpoint: ProxyEndpoint
) -> tuple[Target, ...]:
    """The targets in the order in which they are tried (§16.5); RequestRefused if there is none."""
    pool, settings = endpoint.pool, core.settings
    targets = pool.order(incoming.headers.caller) if pool.usable or endpoint.serve else ()
    if not targets:
        if pool.want is not None:
            pool.want(pool)
        fields = unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, pool.reason)
        raise RequestRefused(PlannedResponse(480, fields), "no_target")
    if needs_tls(incoming.request.uri):
        targets = tuple(target for target in targets if target.transport == "tls")
        if not targets:
            raise no_tls(core)
    return core.blocklist.sort(targets, incoming.now)
