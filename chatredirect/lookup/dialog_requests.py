"""Requests within a lookup's dialog (RFC 3261 §12.2.2): commands, BYE, and what else may come."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from chatredirect.lookup import uas_checks
from chatredirect.lookup.core import LookupCore
from chatredirect.lookup.events import ChannelTold
from chatredirect.lookup.session import MAX_WAITING, LookupSession, SessionEvent, SessionState
from chatredirect.lookup.uas_checks import ALLOW, CAPABILITIES
from chatredirect.responses.planned import PlannedResponse
from chatredirect.sip import sdp, xccos
from chatredirect.sip.body import body_of
from chatredirect.sip.dialog import contact_of, key_within
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, values
from chatredirect.sip.response import Peer, reply_port
from chatredirect.sip.transaction import matching
from chatredirect.sip.xml_body import BadXml, UnknownCharset

_LATER = b"Retry-After: 5\r\n"
#: What commands come in: the first is what Group Chat's clients say, the others what it is.
_COMMAND_TYPES = (xccos.CONTENT_TYPE, b"text/xml", b"application/xml")


def within(
    core: LookupCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    reach: ReturnPath,
    now: float,
) -> bool:
    """Answer a trusted peer's request with a To tag; False if its dialog isn't known.

    Args:
        core: the lookups.
        request: neither ACK nor CANCEL.
        envelope: its envelope.
        source: where it came from; strangers are told nothing of a dialog.
        reach: makes the way back.
        now: seconds on the clock of all calls.
    """
    key = matching.server_key(request, envelope)
    if core.repeated(key, request, envelope, source, reach, now):
        return True
    lookup = core.dialogs.get(key_within(request, envelope))
    if lookup is None:
        return False
    if lookup.state is SessionState.CLOSING and request.method != b"BYE":
        return False  # §15: for us it is over
    flow = reach.flow(reply_port(envelope.via, source))
    refusal = _misplaced(core, request, envelope, lookup)
    if refusal is not None:
        core.refuse(request, envelope, source, flow, refusal, lookup.endpoint)
        return True
    if source.is_same_peer(lookup.peer):
        lookup.flow = flow
    lookup.dialog.remote_number = envelope.number
    tag = matching.tag_of(envelope.to, "To")
    invite = request.method == b"INVITE"
    transaction = core.transactions.serve(key, flow, None, source, invite=invite, tag=tag)
    refusal = uas_checks.required(request)
    body = b""
    done: _Done = _active
    if refusal is None:
        refusal, body, done = _METHODS.get(request.method, _unknown)(core, request, lookup)
    data = uas_checks.write(request, envelope, source, refusal, b"", body)
    core.transactions.respond(transaction, refusal.status, data, now)
    core.report_answer(request, source, refusal, flow, lookup.endpoint)
    if invite and refusal.status < 300:
        lookup.answer, lookup.answer_number = data, envelope.number
    done(core, lookup, now)
    return True


def _misplaced(
    core: LookupCore, request: Request, envelope: MandatoryHeaders, lookup: LookupSession
) -> PlannedResponse | None:
    """Refusals that leave nothing behind and don't touch the dialog."""
    if core.crowded:
        return PlannedResponse(500, _LATER)
    large = uas_checks.too_large(request)
    if large is not None:
        return large
    if envelope.number <= lookup.dialog.remote_number:
        return PlannedResponse(500, phrase="CSeq Out Of Order")  # RFC 3261 §12.2.2
    if request.method == b"INFO" and len(lookup.waiting) >= MAX_WAITING:
        return PlannedResponse(500, _LATER)
    return None


#: What follows the answer.
_Done: TypeAlias = Callable[[LookupCore, LookupSession, float], None]
#: An answer, its body, and what follows it.
_Outcome: TypeAlias = tuple[PlannedResponse, bytes, _Done]


def _active(core: LookupCore, lookup: LookupSession, now: float) -> None:
    core.happen(lookup, SessionEvent.ACTIVE, now)


def _bye(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    return PlannedResponse(200), b"", _over


def _over(core: LookupCore, lookup: LookupSession, now: float) -> None:
    core.happen(lookup, SessionEvent.BYE, now)


def _options(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    return PlannedResponse(200, CAPABILITIES), b"", _active


def _unknown(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    return PlannedResponse(405, ALLOW), b"", _active


def _info(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    """Commands; the reply to them follows in an INFO of our own."""
    if not request.body:
        return PlannedResponse(200), b"", _active  # RFC 6086 §4.2.2
    if len(request.body) > xccos.MAX_OCTETS:
        return PlannedResponse(413), b"", _active
    body = body_of(request)
    if body.encoded or body.kind not in _COMMAND_TYPES:
        refusal = uas_checks.not_understood(body, xccos.CONTENT_TYPE)
        return refusal or PlannedResponse(200), b"", _active
    try:
        commands = xccos.read_commands(body.octets, body.param(b"charset"))
    except UnknownCharset as unknown:
        accept = b"Accept: %b;charset=utf-8\r\n" % xccos.CONTENT_TYPE
        return PlannedResponse(415, accept, str(unknown)), b"", _active
    except BadXml as bad:
        return PlannedResponse(400, phrase=str(bad)), b"", _active

    def reply(core: LookupCore, lookup: LookupSession, now: float) -> None:
        core.happen(lookup, SessionEvent.ACTIVE, now)
        if commands:
            _reply(core, lookup, commands, now)

    return PlannedResponse(200), b"", reply


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
        call_id = lookup.dialog.call_id
        core.events.append(ChannelTold(endpoint.address, lookup.caller, call_id, uri, why))
        return uri

    core.counters.unknown += sum(not command.asks_for_uri for command in commands)
    lookup.replies += 1
    core.reply(lookup, xccos.write_replies(lookup.replies, commands, endpoint.domain, find), now)


def _invite(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    """A re-INVITE (RFC 3261 §14.2)."""
    refusal, body = _renew(core, request, lookup)
    if refusal is not None:
        return refusal, b"", _active
    lookup.offering = not body
    if not body:
        body = _describe(lookup, lambda version: sdp.offer(lookup.flow.host, version))
    return PlannedResponse(200, _fields(lookup)), body, _accepted


def _accepted(core: LookupCore, lookup: LookupSession, now: float) -> None:
    core.happen(lookup, SessionEvent.ACCEPTED, now)


def _update(core: LookupCore, request: Request, lookup: LookupSession) -> _Outcome:
    """RFC 3311 §5.2."""
    if request.body and lookup.offering:
        return PlannedResponse(491), b"", _active
    refusal, body = _renew(core, request, lookup)
    if refusal is not None:
        return refusal, b"", _active
    return PlannedResponse(200, _fields(lookup)), body, _active


def _renew(
    core: LookupCore, request: Request, lookup: LookupSession
) -> tuple[PlannedResponse | None, bytes]:
    """Answer its offer, if it makes one, and take its Contact for the remote target (§12.2.2)."""
    agent = core.settings.agent
    session = uas_checks.session(request, lookup.flow.host, lookup.session_version, agent)
    if isinstance(session, PlannedResponse):
        return session, b""
    if values(request, b"contact"):
        try:
            lookup.dialog.target = contact_of(request)
        except SipError as error:
            return PlannedResponse(400, phrase=error.reason), b""
    if session is None:
        return None, b""

    def describe(version: int) -> bytes:
        again = uas_checks.session(request, lookup.flow.host, version, agent)
        assert isinstance(again, bytes)  # as it was just now
        return again

    return None, _describe(lookup, describe)


def _describe(lookup: LookupSession, describe: Callable[[int], bytes]) -> bytes:
    """Our session description; another one than before has another version (RFC 3264 §8)."""
    made = describe(lookup.session_version)
    if hash(made) != lookup.session:
        lookup.session_version += 1
        made = describe(lookup.session_version)
        lookup.session = hash(made)
    return made


def _fields(lookup: LookupSession) -> bytes:
    return uas_checks.accepted(lookup.endpoint.contact(lookup.flow, lookup.sips))


_METHODS: Mapping[bytes, Callable[[LookupCore, Request, LookupSession], _Outcome]] = {
    b"BYE": _bye,
    b"INFO": _info,
    b"INVITE": _invite,
    b"OPTIONS": _options,
    b"UPDATE": _update,
}
