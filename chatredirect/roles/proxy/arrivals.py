"""Requests for an endpoint: checked, and sent to the pool (RFC 3261 §16.3 to §16.6)."""

from typing import TYPE_CHECKING

from chatredirect.dns.target import Target
from chatredirect.roles.proxy.answers import later, refuse
from chatredirect.roles.proxy.checks import (
    MAX_OWN,
    Refused,
    check,
    no_tls,
    pack,
    plainly_ours,
    records,
    secure,
    way_back,
)
from chatredirect.roles.proxy.context import Context, Errand
from chatredirect.roles.proxy.endpoint import ProxyEndpoint
from chatredirect.roles.proxy.facts import Dropped
from chatredirect.roles.proxy.parcel import Parcel, Record
from chatredirect.roles.refusal import Refusal
from chatredirect.roles.unavailable import MISCELLANEOUS, unavailable
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, Reach
from chatredirect.sip.forwarding import lay_out
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request
from chatredirect.sip.response import Source, reply_port
from chatredirect.sip.transaction import keys
from chatredirect.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from chatredirect.roles.proxy.core import Core


def arrive(
    core: "Core",
    request: Request,
    envelope: Envelope,
    source: Source,
    reach: Reach,
    uri: SipUri | None,
    endpoint: ProxyEndpoint,
    now: float,
    epoch: float,
) -> None:
    """Deal with a request for an endpoint, from a trusted peer.

    Args:
        core: the proxy.
        request: neither ACK nor CANCEL.
        envelope: its envelope.
        source: where it came from.
        reach: makes the way back.
        uri: its Request-URI; None if that names the server, so that the To URI has decided.
        endpoint: whose it is.
        now: seconds on the clock of all calls.
        epoch: seconds since the epoch.

    Raises:
        SipError: a header field that a proxy reads can't be read.
    """
    key = keys.server_key(request, envelope)
    flow = reach.flow(reply_port(envelope.via, source))
    try:
        if repeated(core, key, envelope, source, reach, now):
            return
        if not core.room_for(source):
            raise Refused(later(core), "overload")
        if core.draining and not envelope.in_dialog:
            raise Refused(later(core), "draining")
        parcel, via = _prepare(core, request, envelope, source, flow, uri, endpoint, epoch)
        targets = _targets(core, envelope, endpoint, secure(request.uri), now)
    except Refused as refused:
        address = endpoint.address
        refuse(core, request, envelope, source, flow, refused.refusal, refused.reason, address)
        return
    context = Context(
        request=request,
        invite=request.method == b"INVITE",
        number=envelope.number,
        source=source,
        via=via,
        tagged=envelope.in_dialog,
        endpoint=endpoint.address,
        parcel=parcel,
        targets=targets,
        began=now,
    )
    core.counters.sent_on("dialog" if envelope.in_dialog else "new")
    core.begin(context, key, flow, now)


def run(
    core: "Core",
    request: Request,
    envelope: Envelope,
    source: Source,
    reach: Reach,
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
        parcel, _ = _prepare(core, request, envelope, source, flow, uri, endpoint, epoch)
        targets = _targets(core, envelope, endpoint, secure(request.uri), now)
    except (Refused, SipError):
        core.facts.append(Dropped(request.call_id, "not_forwarded"))
        reach.useless()
        return
    core.run(Errand(parcel, targets[0], request.call_id), None, now)


def repeated(
    core: "Core", key: bytes, envelope: Envelope, source: Source, reach: Reach, now: float
) -> bool:
    """Deal with a request that has come before; whether it has.

    Raises:
        Refused: it has come from another peer, who alone gets the answer.
    """
    transaction = core.transactions.server(key)
    if transaction is None:
        return False
    if core.transactions.server_of(key, source) is None:
        raise Refused(Refusal(482), "other_peer")
    core.counters.retransmissions += 1
    core.transactions.repeated(transaction, reach.flow(reply_port(envelope.via, source)), now)
    return True


def _prepare(
    core: "Core",
    request: Request,
    envelope: Envelope,
    source: Source,
    flow: Flow,
    uri: SipUri | None,
    endpoint: ProxyEndpoint,
    epoch: float,
) -> tuple[Parcel, bytes]:
    """Check it, take our own Route away, and write what is sent on.

    Raises:
        Refused: it isn't forwarded.
        SipError: it can't be read.
    """
    draft = lay_out(request.head)
    routes = draft.route_set() if draft.routes else []
    loop = check(core, request, draft, routes)
    if routes:
        if len(routes) > MAX_OWN or not all(plainly_ours(core, route.uri) for route in routes):
            # whoever asks for an endpoint gets to its pool, and by no other way
            raise Refused(Refusal(403, phrase="Route Leads Elsewhere"), "route")
        draft.keep_routes([])
    if uri is None:
        next_uri = endpoint.rewritten(parse_uri(endpoint.uri)) or endpoint.uri
    else:
        next_uri = endpoint.rewritten(uri) or request.uri
    record = None
    if records(request.method):
        record = Record(
            inside=core.sides.of(flow),
            secure=secure(request.uri),
            flow=core.names.name(flow),
            behind=way_back(request),
            made=int(epoch),
            call_id=request.call_id or b"",
            tag=keys.tag_of(envelope.from_, "From"),
        )
    return pack(request, envelope, source, draft, next_uri, loop, record)


def _targets(
    core: "Core", envelope: Envelope, endpoint: ProxyEndpoint, secure: bool, now: float
) -> list[Target]:
    """The target set, the first to be tried first (§16.5).

    Raises:
        Refused: there is none.
    """
    pool = endpoint.pool
    rules = core.rules
    targets = pool.order(envelope.caller) if pool.usable or endpoint.serve else ()
    if not targets:
        if pool.want is not None:
            pool.want(pool)
        fields = unavailable(rules.retry_after, rules.agent, MISCELLANEOUS, pool.reason)
        raise Refused(Refusal(480, fields), "no_target")
    if secure:
        targets = tuple(target for target in targets if target.transport == "tls")
        if not targets:
            raise no_tls(core)
    return core.penalties.sort(targets, now)
