"""From an INVITE for a lookup endpoint to a lookup, or to why there is none (RFC 3261 §13.3.1)."""

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup import uas_checks
from chatredirect.lookup.core import LookupCore
from chatredirect.lookup.session import LookupSession, SessionEvent
from chatredirect.responses.planned import MISCELLANEOUS, PlannedResponse, unavailable
from chatredirect.sip import sdp
from chatredirect.sip.dialog import ServerDialog
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Peer, reply_port
from chatredirect.sip.transaction import matching


def invite(
    core: LookupCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    endpoint: LookupEndpoint,
    now: float,
    closed: str = "",
) -> None:
    """Answer an INVITE without a To tag.

    Args:
        core: the lookups.
        request: the INVITE.
        envelope: its envelope.
        source: where it came from, a trusted peer.
        reach: makes the way back.
        endpoint: whom it is for.
        now: seconds on the clock of all calls.
        closed: why the endpoint serves nobody just now; empty if it does.
    """
    key = matching.server_key(request, envelope)
    if core.repeated(key, request, envelope, source, reach, now):
        return
    flow = reach.flow(reply_port(envelope.via, source))
    merged = matching.merged_key(request, envelope)
    refusal = _room(core, request, merged, now)
    if refusal is not None:
        core.refuse(request, envelope, source, flow, refusal, endpoint)
        return
    tag = core.settings.tags.tag(request, envelope.number)
    decided = _decide(core, request, envelope, source, flow, endpoint, tag)
    if isinstance(decided, PlannedResponse):
        transaction = core.transactions.serve(
            key, flow, None, source, invite=True, tag=tag, merged=merged
        )
        data = uas_checks.write(request, envelope, source, decided, tag)
        core.transactions.respond(transaction, decided.status, data, now)
        core.report_answer(request, source, decided, flow, endpoint)
        return
    lookup, session = decided
    lookup.closed = closed
    if not closed and not endpoint.channels.usable:  # its reply will say so, if they aren't by then
        endpoint.channels.want()
    if lookup.dialog.key in core.dialogs:  # a retransmission that comes after half a minute
        core.refuse(request, envelope, source, flow, PlannedResponse(482), endpoint)
        return
    accepted = PlannedResponse(200, _accepted(request, lookup, flow))
    transaction = core.transactions.serve(
        key, flow, None, source, invite=True, tag=tag, merged=merged
    )
    lookup.answer = uas_checks.write(request, envelope, source, accepted, tag, session)
    lookup.answer_number = envelope.number
    core.dialogs[lookup.dialog.key] = lookup
    lookup.held = flow
    flow.hold()
    core.counters.begun += 1
    core.transactions.respond(transaction, 200, lookup.answer, now)
    core.happen(lookup, SessionEvent.ACCEPTED, now)
    core.report_answer(request, source, accepted, flow, endpoint)


def _room(core: LookupCore, request: Request, merged: bytes, now: float) -> PlannedResponse | None:
    """Refusals that leave nothing behind.

    That there is no channel service is none of them: a Group Chat client to whom the reply to its
    command says so tries again by itself, and one whose INVITE is refused does not.
    """
    settings = core.settings
    if core.transactions.is_merged(merged):
        return PlannedResponse(482)  # RFC 3261 §8.2.2.2
    if now > core.begins_until:  # §21.5.4: this whole server is about to be gone
        why = "this server is about to stop"
        return PlannedResponse(
            503, unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, why)
        )
    if core.full:
        why = "too many dialogs at the moment"
        return PlannedResponse(
            480, unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, why)
        )
    return uas_checks.too_large(request)


def _decide(
    core: LookupCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    flow: Flow,
    endpoint: LookupEndpoint,
    tag: bytes,
) -> tuple[LookupSession, bytes] | PlannedResponse:
    """A lookup and its session description."""
    refusal = uas_checks.required(request)
    if refusal is not None:
        return refusal
    session = uas_checks.session(request, flow.host, 0, core.settings.agent)
    if isinstance(session, PlannedResponse):
        return session
    try:
        dialog = ServerDialog.of(request, envelope, tag)
    except SipError as error:
        return PlannedResponse(400, phrase=error.reason)
    described = session or sdp.offer(flow.host, 0)
    sips = request.uri[:5].lower() == b"sips:"
    lookup = LookupSession(dialog, endpoint, source, flow, envelope.caller, sips, hash(described))
    lookup.offering = session is None
    return lookup, described


def _accepted(request: Request, lookup: LookupSession, flow: Flow) -> bytes:
    """The header fields of a 200 (RFC 3261 §12.1.1, §13.3.1.4)."""
    routes = [b"Record-Route: %b\r\n" % value for value in values(request, b"record-route")]
    return b"".join(routes) + uas_checks.accepted(lookup.endpoint.contact(flow, lookup.sips))
