"""Answers a lookup's requests: the INVITE that begins it, and those in its dialog.

INFO carries a client's commands; the reply to them follows in an INFO of our own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.core import LookupCore
from chatredirect.lookup.events import ChannelGiven, ReceivedRequest, count_use
from chatredirect.lookup.session import MAX_WAITING, LookupSession, SessionEvent, SessionState
from chatredirect.lookup.uas_checks import (
    ALLOW,
    CAPABILITIES,
    accepted,
    describe_session,
    not_understood,
    required,
    too_large,
)
from chatredirect.net.refusals import RefusalReason
from chatredirect.responses.planned import MISCELLANEOUS, PlannedResponse, unavailable, write
from chatredirect.sip import sdp, xccos
from chatredirect.sip.body import body_of
from chatredirect.sip.caller import probe_proof, user_agent
from chatredirect.sip.dialog import ServerDialog, contact_of, dialog_key
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import with_body
from chatredirect.sip.transaction.matching import merged_key, tag_of
from chatredirect.sip.xml_body import BadXml, UnknownCharset

_LATER = b"Retry-After: 5\r\n"
#: What commands come in: the first is what Group Chat's clients say, the others what it is.
_COMMAND_TYPES = (xccos.CONTENT_TYPE, b"text/xml", b"application/xml")


@dataclass(slots=True)
class _Answer:
    """The response to a request in a dialog, and what follows it."""

    response: PlannedResponse
    body: bytes = b""
    event: SessionEvent = SessionEvent.ACTIVE
    commands: list[xccos.XccosCommand] = field(default_factory=list)


# -- the INVITE that begins a lookup ------------------------------------------------------------


def begin_lookup(
    core: LookupCore, received: ReceivedRequest, endpoint: LookupEndpoint, closed: str = ""
) -> None:
    """Answer an INVITE without a To tag (RFC 3261 §13.3.1).

    `closed` is why the endpoint serves nobody just now; empty if it does.
    """
    if core.repeated(received):
        return
    request, headers, flow, now = received.request, received.headers, received.flow, received.now
    merged = merged_key(request, headers)
    refusal = _refusal_of_invite(core, request, merged, now)
    if refusal is not None:
        core.respond_stateless(received, refusal, endpoint)
        return
    tag = core.settings.tags.tag(request, headers.number)
    made = _new_lookup(core, received, endpoint, tag)
    if isinstance(made, PlannedResponse):
        data = _write(received, made, tag)
        _respond(core, received, made, data, endpoint, tag, merged=merged)
        return
    lookup, description = made
    lookup.closed = closed
    if not closed and not endpoint.channels.usable:  # its reply will say so, if they aren't by then
        endpoint.channels.want()
    if lookup.dialog.key in core.dialogs:  # a retransmission that comes after half a minute
        core.respond_stateless(received, PlannedResponse(482), endpoint)
        return
    # RFC 3261 §12.1.1, §13.3.1.4
    routes = [b"Record-Route: %b\r\n" % value for value in values(request, b"record-route")]
    response = PlannedResponse(200, b"".join(routes) + accepted(lookup))
    lookup.answer = _write(received, response, tag, description)
    lookup.answer_number = headers.number
    core.dialogs[lookup.dialog.key] = lookup
    lookup.held = flow
    flow.hold()  # before the transaction releases it, which would close a half-closed connection
    core.counters.begun += 1
    _respond(core, received, response, lookup.answer, endpoint, tag, merged=merged)
    core.handle_event(lookup, SessionEvent.ACCEPTED, now)


def _refusal_of_invite(
    core: LookupCore, request: Request, merged: bytes, now: float
) -> PlannedResponse | None:
    """Refusals of which nothing is kept.

    A missing channel service isn't one of them: a Group Chat client that learns it from the reply
    to its command tries again by itself, and one whose INVITE is refused does not.
    """
    if core.transactions.is_merged(merged):
        return PlannedResponse(482)  # RFC 3261 §8.2.2.2
    if now > core.begins_until:  # §21.5.4: this whole server is about to be gone
        return _unavailable(core, 503, "this server is about to stop")
    if core.full:
        planned = _unavailable(core, 480, "too many dialogs at the moment")
        planned.refusal = RefusalReason.DIALOGS
        return planned
    return too_large(request)


def _unavailable(core: LookupCore, status: int, why: str) -> PlannedResponse:
    settings = core.settings
    fields = unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, why)
    return PlannedResponse(status, fields)


def _new_lookup(
    core: LookupCore, received: ReceivedRequest, endpoint: LookupEndpoint, tag: bytes
) -> tuple[LookupSession, bytes] | PlannedResponse:
    """A lookup and its session description."""
    request, headers, flow = received.request, received.headers, received.flow
    refusal = required(request)
    if refusal is not None:
        return refusal
    answer = describe_session(request, flow.host, 0, core.settings.agent)
    if isinstance(answer, PlannedResponse):
        return answer
    try:
        dialog = ServerDialog.of(request, headers, tag)
    except SipError as error:
        return PlannedResponse(400, phrase=error.reason)
    description = answer or sdp.offer(flow.host, 0)
    sips = request.uri[:5].lower() == b"sips:"
    lookup = LookupSession(
        dialog,
        endpoint,
        received.peer,
        flow,
        headers.caller,
        sips,
        user_agent(request),
        probe_proof(request.head),
        hash(description),
    )
    lookup.offering = answer is None
    return lookup, description


# -- requests in its dialog ---------------------------------------------------------------------


def answer_in_dialog(core: LookupCore, received: ReceivedRequest) -> bool:
    """Answer a request with a To tag (RFC 3261 §12.2.2); False if its dialog isn't known."""
    if core.repeated(received):
        return True
    request, headers = received.request, received.headers
    tag = tag_of(headers.to, "To")
    key = dialog_key(request.call_id or b"", tag, tag_of(headers.from_, "From"))
    lookup = core.dialogs.get(key)
    if lookup is None:
        return False
    if lookup.state is SessionState.CLOSING and request.method != b"BYE":
        return False  # §15: for us it is over
    refusal = _refusal_in_dialog(core, received, lookup)
    if refusal is not None:
        core.respond_stateless(received, refusal, lookup.endpoint)
        return True
    if received.peer.is_same_peer(lookup.peer):
        lookup.flow = received.flow
    refusal = required(request)
    answer = _answer(core, request, lookup) if refusal is None else _Answer(refusal)
    response = answer.response
    data = _write(received, response, b"", answer.body)
    # not before: after a fault, a retransmission must count as new
    lookup.dialog.remote_number = headers.number
    _respond(core, received, response, data, lookup.endpoint, tag)
    if request.method == b"INVITE" and response.status < 300:
        lookup.answer, lookup.answer_number = data, headers.number
    core.handle_event(lookup, answer.event, received.now)
    if answer.commands:
        _reply(core, lookup, answer.commands, received.now)
    return True


def _refusal_in_dialog(
    core: LookupCore, received: ReceivedRequest, lookup: LookupSession
) -> PlannedResponse | None:
    """Refusals of which nothing is kept, and which leave the dialog as it is."""
    if core.crowded:
        return PlannedResponse(500, _LATER, refusal=RefusalReason.DIALOGS)
    large = too_large(received.request)
    if large is not None:
        return large
    if received.headers.number <= lookup.dialog.remote_number:
        return PlannedResponse(500, phrase="CSeq Out Of Order")  # RFC 3261 §12.2.2
    if received.request.method == b"INFO" and len(lookup.waiting) >= MAX_WAITING:
        return PlannedResponse(500, _LATER)
    return None


def _answer(core: LookupCore, request: Request, lookup: LookupSession) -> _Answer:
    match request.method:
        case b"INFO":
            return _info(request)
        case b"BYE":
            return _Answer(PlannedResponse(200), event=SessionEvent.BYE)
        case b"INVITE":
            return _reinvite(core, request, lookup)
        case b"UPDATE":
            return _update(core, request, lookup)
        case b"OPTIONS":
            return _Answer(PlannedResponse(200, CAPABILITIES))
        case _:
            return _Answer(PlannedResponse(405, ALLOW))


def _info(request: Request) -> _Answer:
    if not request.body:
        return _Answer(PlannedResponse(200))  # RFC 6086 §4.2.2
    if len(request.body) > xccos.MAX_OCTETS:
        return _Answer(PlannedResponse(413))
    body = body_of(request)
    if body.encoded or body.kind not in _COMMAND_TYPES:
        return _Answer(not_understood(body, xccos.CONTENT_TYPE) or PlannedResponse(200))
    try:
        commands = xccos.read_commands(body.octets, body.param(b"charset"))
    except UnknownCharset as unknown:
        accept = b"Accept: %b;charset=utf-8\r\n" % xccos.CONTENT_TYPE
        return _Answer(PlannedResponse(415, accept, str(unknown)))
    except BadXml as bad:
        return _Answer(PlannedResponse(400, phrase=str(bad)))
    return _Answer(PlannedResponse(200), commands=commands)


def _reply(
    core: LookupCore, lookup: LookupSession, commands: list[xccos.XccosCommand], now: float
) -> None:
    endpoint = lookup.endpoint

    def find() -> str | None:
        uri = None if lookup.closed else endpoint.channels.choose(lookup.caller, now)
        why = ""
        if uri is None:
            core.counters.not_found += 1
            why = lookup.closed or endpoint.channels.reason
        else:
            core.counters.found += 1
            count_use(lookup, core.responses.usage)
        if uri is None or core.reports_all:
            core.events.append(ChannelGiven(lookup, uri, why))
        return uri

    for command in commands:
        core.counters.unknown += not command.asks_for_uri
    lookup.replies += 1
    core.reply(lookup, xccos.write_replies(lookup.replies, commands, endpoint.domain, find), now)


def _reinvite(core: LookupCore, request: Request, lookup: LookupSession) -> _Answer:
    """RFC 3261 §14.2."""
    answer = _renew(core, request, lookup)
    if isinstance(answer, PlannedResponse):
        return _Answer(answer)
    lookup.offering = answer is None
    if answer is None:
        answer = _describe(lookup, partial(sdp.offer, lookup.flow.host))
    response = PlannedResponse(200, accepted(lookup))
    return _Answer(response, answer, SessionEvent.ACCEPTED)


def _update(core: LookupCore, request: Request, lookup: LookupSession) -> _Answer:
    """RFC 3311 §5.2."""
    if request.body and lookup.offering:
        return _Answer(PlannedResponse(491))
    answer = _renew(core, request, lookup)
    if isinstance(answer, PlannedResponse):
        return _Answer(answer)
    return _Answer(PlannedResponse(200, accepted(lookup)), answer or b"")


def _renew(
    core: LookupCore, request: Request, lookup: LookupSession
) -> bytes | PlannedResponse | None:
    """Answer its offer, if it makes one, and take its Contact for the remote target (§12.2.2)."""
    host, agent = lookup.flow.host, core.settings.agent
    answer = describe_session(request, host, lookup.session_version, agent)
    if isinstance(answer, PlannedResponse):
        return answer
    if values(request, b"contact"):
        try:
            lookup.dialog.target = contact_of(request)
        except SipError as error:
            return PlannedResponse(400, phrase=error.reason)
    if answer is None:
        return None
    return _describe(lookup, lambda version: describe_session(request, host, version, agent))


def _describe(
    lookup: LookupSession, describe: Callable[[int], bytes | PlannedResponse | None]
) -> bytes:
    """Our session description; another one than before has another version (RFC 3264 §8)."""
    made = describe(lookup.session_version)
    if hash(made) != lookup.session:
        lookup.session_version += 1
        made = describe(lookup.session_version)
        lookup.session = hash(made)
    assert isinstance(made, bytes)  # the caller refuses an offer for which none can be made
    return made


def _write(
    received: ReceivedRequest, response: PlannedResponse, tag: bytes, body: bytes = b""
) -> bytes:
    """Write a response with this SDP body, if any; for `tag` see `planned.write`.

    A fault in writing must leave nothing behind, so it is done before anything is kept.
    """
    data = write(received.request, received.headers, received.peer, response, tag)
    return with_body(data, sdp.TYPE, body) if body else data


def _respond(
    core: LookupCore,
    received: ReceivedRequest,
    response: PlannedResponse,
    data: bytes,
    endpoint: LookupEndpoint,
    tag: bytes,
    *,
    merged: bytes | None = None,
) -> None:
    """Begin the request's server transaction, and send `data`, its response with our To tag."""
    invite = received.request.method == b"INVITE"
    transaction = core.transactions.serve(
        received.key, received.flow, None, received.peer, invite=invite, tag=tag, merged=merged
    )
    core.transactions.respond(transaction, response.status, data, received.now)
    core.report_answer(received, response, endpoint)
