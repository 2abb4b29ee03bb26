"""The table of answers: what a request gets, and in what order that is decided.

One synchronous pass from a message to its answer: nothing is awaited, no task is started, DNS isn't
asked (the pool has done that already), no lock is taken. The order of the steps is the order of
the table in docs/answers.md; the first that fits decides.
"""

from dataclasses import dataclass, field

from chatredirect.counters import Counters
from chatredirect.directory import Directory, Endpoint
from chatredirect.own_names import OwnNames
from chatredirect.roles.closing import Closed
from chatredirect.roles.explaining import explain
from chatredirect.roles.lookup.answers import ALLOW, CAPABILITIES
from chatredirect.roles.lookup.attendant import Attendant
from chatredirect.roles.lookup.endpoint import LookupEndpoint
from chatredirect.roles.proxy.attendant import Attendant as ProxyAttendant
from chatredirect.roles.redirection import contact_of_pool, contacts_of_targets
from chatredirect.roles.registering import Registrars
from chatredirect.roles.tap import Tap, Tapping
from chatredirect.roles.unavailable import MISCELLANEOUS, SIPS_NOT_ALLOWED, unavailable
from chatredirect.roles.verdict import Verdict, allow, capabilities, log_request, refusal
from chatredirect.sip import headers
from chatredirect.sip.datagram import parse_datagram
from chatredirect.sip.envelope import read_envelope
from chatredirect.sip.errors import BadHeaderValue, SipError
from chatredirect.sip.flow import Reach
from chatredirect.sip.framing import PONG, Event, FramingFault, Ping
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Request, Response
from chatredirect.sip.response import Source, TagMaker, reply_port, respond, stamp
from chatredirect.sip.status import status_line
from chatredirect.sip.uri import SipUri

#: Octets of an answer over UDP that nobody can call an amplification, and the factor beyond.
SAFE_ANSWER = 1300
MAX_AMPLIFICATION = 2
_SMALL = SAFE_ANSWER // MAX_AMPLIFICATION  # octets of a request for which the first is more
#: Octets that an answer has beyond what it repeats, Contacts apart: Status-Line, tag, received,
#: rport, and long header names for compact ones.
_ADDED = 250
#: The same for each Via line: "v:" comes back as "Via: ".
_ADDED_BY_VIA = 3
#: Octets that Contacts may take on a stream, where the peer has shown that it is there.
_STREAM_ROOM = 8192

_OK = status_line(200)
_MOVED = status_line(301)
_FORBIDDEN = status_line(403)
_NOT_FOUND = status_line(404)
_NOT_ALLOWED = status_line(405)
_UNAVAILABLE = status_line(480)
_NO_DIALOG = status_line(481)
#: What gets nothing, ever, and the name under which it is counted.
_NEVER_ANSWERED = {b"ACK": "ack", b"BENOTIFY": "benotify"}
#: What has a meaning only within a dialog.
_ONLY_WITHIN = frozenset((b"BYE", b"INFO", b"NOTIFY", b"PRACK", b"UPDATE"))


@dataclass(frozen=True, slots=True)
class Answering:
    """What all answers have in common, besides the endpoints.

    Attributes:
        tags: makes To tags.
        retry_after: seconds, for Retry-After.
        agent: our name in Warning header fields.
        log_requests: whether every request gets a line in the log.
        attendant: deals with lookups; None where there are none.
        registrars: where a REGISTER belongs.
        tapping: says who looks on.
        proxy: passes requests on; None where there is nothing to be passed on.
    """

    tags: TagMaker
    retry_after: int
    agent: bytes
    log_requests: bool
    attendant: Attendant | None = None
    registrars: Registrars | None = None
    tapping: Tapping = field(default_factory=Tapping)
    proxy: ProxyAttendant | None = None


class Server:
    """Answers what is sent to the contact objects, in the order of the table.

    Attributes:
        log_requests: whether every request gets a line in the log; may be changed at any time.
    """

    __slots__ = (
        "_answering",
        "_counters",
        "_directory",
        "_limits",
        "_own_names",
        "_tapping",
        "log_requests",
    )

    def __init__(
        self,
        directory: Directory,
        own_names: OwnNames,
        answering: Answering,
        limits: Limits,
        counters: Counters,
    ) -> None:
        """Serve these endpoints under these names."""
        self._directory = directory
        self._own_names = own_names
        self._answering = answering
        self._limits = limits
        self._counters = counters
        self._tapping = answering.tapping
        self.log_requests = answering.log_requests

    def answer_datagram(
        self, data: bytes, source: Source, reach: Reach | None = None
    ) -> tuple[bytes, int] | None:
        """The answer to a datagram, and the port at the source's address that it goes to.

        It is at most the larger of twice the datagram and 1,300 octets, so nobody gains by
        forging a source address. For `reach` see `answer`.
        """
        try:
            message = parse_datagram(data, self._limits)
        except SipError as error:
            self._counters.dropped(error.counter)
            if self._tapping.tap is not None:
                self._tapping.tap.unreadable(data, source, reach, str(error))
            return None
        size = len(data)
        most = MAX_AMPLIFICATION * size if size > _SMALL else SAFE_ANSWER
        answered = self.answer(message, source, "udp", most - size - _ADDED, reach)
        if answered is not None and len(answered[0]) > most:
            self._counters.dropped("would_amplify")
            if self._tapping.tap is not None:
                what = "the answer isn't sent: it is too large for so small a request"
                self._tapping.tap.decided(message.call_id, what)
            return None
        return answered

    def answer_event(
        self, event: Event, source: Source, transport: str, reach: Reach | None = None
    ) -> bytes | None:
        """The answer to what came on a stream, None where nothing may be answered."""
        if isinstance(event, FramingFault):
            if event.message is None:
                self._counters.dropped(event.error.counter)
                if self._tapping.tap is not None:
                    self._tapping.tap.unreadable(
                        event.error.offending, source, reach, str(event.error)
                    )
                return None
            # the framing decides, whatever else is wrong with it
            event.message.fault = event.error
            event = event.message
        elif isinstance(event, Ping):
            return PONG
        answered = self.answer(event, source, transport, _STREAM_ROOM, reach)
        return None if answered is None else answered[0]

    def answer(
        self,
        message: Message,
        source: Source,
        transport: str,
        room: int,
        reach: Reach | None = None,
    ) -> tuple[bytes, int] | None:
        """The answer to a message, and the port that it goes to if it goes by UDP.

        Args:
            message: what came. What is wrong with it stands in its `fault`.
            source: where it came from.
            transport: what it came on; what its Via claims isn't compared with it.
            room: octets that Contacts may take.
            reach: the way back for what is sent later; without it there are no lookups, and nothing
                is passed on.

        Returns:
            None where nothing may be answered, which has been counted then, and for the messages
            of lookups and those that are passed on: their answers go over their flow.
        """
        counters = self._counters
        tap = self._tapping.tap
        if tap is not None and not tap.received(message, source, reach):
            tap = None
        if isinstance(message, Response):
            attendant, proxy = self._answering.attendant, self._answering.proxy
            if (proxy is None or not proxy.respond(message, source)) and (
                attendant is None or not attendant.respond(message, source)
            ):
                self._drop("response", message, tap)
            return None
        method = message.method
        if method in _NEVER_ANSWERED:
            if not self._goes_unanswered(message, source, reach):
                self._drop(_NEVER_ANSWERED[method], message, tap)
            return None
        envelope = message.envelope
        try:
            via = headers.read_via(message.vias[0]) if envelope is None else envelope.via
        except (IndexError, BadHeaderValue):
            self._drop("no_via", message, tap)
            return None
        try:
            if envelope is None or message.fault is not None:
                envelope = read_envelope(message, via)
            verdict = self._decide(message, envelope, source, room, reach)
        except SipError as error:
            counters.malformed(error.counter)
            verdict = refusal(message, error)
        if verdict is None:
            return None
        answering = self._answering
        number = 0 if envelope is None else envelope.number
        answer = respond(
            message,
            verdict.status_line,
            stamp(message.vias[0], via, source),
            answering.tags.tag(message, number) if verdict.tagged else b"",
            verdict.fields,
        )
        address = None if verdict.endpoint is None else verdict.endpoint.address
        counters.answered(verdict.status, method, transport, address)
        if self.log_requests:
            fault = "" if verdict.fault is None else str(verdict.fault)
            log_request(message, source, transport, verdict.status, address, fault, verdict.fields)
        port = reply_port(via, source)
        if tap is not None:
            tap.decided(message.call_id, explain(verdict))
            if reach is not None:
                tap.sent(answer, reach.flow(port), message.call_id)
        return answer, port

    def _goes_unanswered(self, request: Request, source: Source, reach: Reach | None) -> bool:
        """Deal with an ACK or BENOTIFY; False if nobody wants it."""
        attendant, proxy = self._answering.attendant, self._answering.proxy
        if (
            attendant is not None
            and request.method == b"ACK"
            and attendant.acknowledge(request, source)
        ):
            return True
        return proxy is not None and reach is not None and proxy.run(request, source, reach)

    def _drop(self, reason: str, message: Message, tap: Tap | None) -> None:
        """Count a message that gets no answer; `reason` is a constant of ours."""
        self._counters.dropped(reason)
        if tap is not None:
            tap.decided(message.call_id, f"dropped: {reason}")

    def _decide(
        self,
        request: Request,
        envelope: headers.Envelope,
        source: Source,
        room: int,
        reach: Reach | None,
    ) -> Verdict | None:
        """Go down the table, from where it asks what the request wants.

        Returns:
            None if the request is a lookup's, or is passed on.

        Raises:
            SipError: its Request-URI can't be read.
        """
        method = request.method
        uri, endpoint = self._directory.find(request.uri)
        if method == b"CANCEL":
            return self._cancel(request, envelope, endpoint, source)
        if envelope.in_dialog:
            if reach is not None and self._within(request, envelope, source, reach):
                return None
            # a caller that heeds no Record-Route: his pool knows the dialog, if anybody does
            if endpoint is None or endpoint.proxy is None or reach is None:
                return Verdict(481, _NO_DIALOG, tagged=False)

        user = uri.user
        if endpoint is None and self._own_names.names(uri):
            endpoint, user = self._by_to(envelope.called, user)
            if endpoint is None and method == b"OPTIONS" and uri.user is None:
                return Verdict(200, _OK, capabilities(None))
        if endpoint is None:
            # an older caller has no tag, so the requests to him have none in To (RFC 2543)
            if reach is not None and self._within(request, envelope, source, reach):
                return None
            return self._elsewhere(method, uri, reach)
        if endpoint.closed is not None and not envelope.in_dialog:
            return self._closed(request, envelope, source, reach, endpoint, endpoint.closed)
        methods = endpoint.methods
        if endpoint.for_trusted:
            if not source.trusted:
                return Verdict(403, _FORBIDDEN, endpoint=endpoint)
            lookup = endpoint.lookup  # asked here, since lookups are for trusted peers only
            if lookup is not None and (methods is None or method in {*methods, b"OPTIONS"}):
                if method == b"INVITE" and reach is not None:
                    self._invite(request, envelope, source, reach, lookup)
                    return None
                verdict = self._beside_lookups(method, endpoint, lookup)
                if verdict is not None:
                    return verdict
            proxy = endpoint.proxy
            if (
                proxy is not None
                and reach is not None
                and self._passed_on(endpoint, envelope, method)
            ):
                attendant = self._answering.proxy
                assert attendant is not None  # there is one where there are such endpoints
                named = uri if uri is endpoint.uri or not self._own_names.names(uri) else None
                attendant.arrive(request, envelope, source, reach, named, proxy)
                return None
        if methods is not None and method != b"OPTIONS" and method not in methods:
            return Verdict(405, _NOT_ALLOWED, allow(methods), endpoint=endpoint)

        sips = uri.scheme == b"sips"
        redirection, pool = endpoint.redirection, endpoint.pool
        # a pool may be known to exist before its targets are, which is enough for its name
        ready = pool.usable and (redirection.form == "fqdn" or pool.resolved)
        if not ready and not _serves_all_the_same(endpoint):
            if pool.want is not None:
                pool.want(pool)
            return self._unavailable(endpoint, MISCELLANEOUS, pool.reason)
        if redirection.form == "fqdn":
            contacts = contact_of_pool(redirection, user or b"", sips)
        else:
            caller = envelope.caller
            room -= _ADDED_BY_VIA * len(request.vias)
            contacts = contacts_of_targets(redirection, pool, user or b"", sips, caller, room)
        if contacts is None:
            return self._unavailable(endpoint, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
        if method == b"OPTIONS":
            return Verdict(200, _OK, capabilities(methods), endpoint=endpoint)
        return Verdict(redirection.status, redirection.status_line, contacts, endpoint=endpoint)

    def _within(
        self, request: Request, envelope: headers.Envelope, source: Source, reach: Reach
    ) -> bool:
        """Whether a request belongs to a dialog that came through here, or to a lookup."""
        attendant, proxy = self._answering.attendant, self._answering.proxy
        if proxy is not None and proxy.within(request, envelope, source, reach):
            return True
        return (
            envelope.in_dialog
            and attendant is not None
            and attendant.within(request, envelope, source, reach)
        )

    def _passed_on(self, endpoint: Endpoint, envelope: headers.Envelope, method: bytes) -> bool:
        """Whether a method is on the endpoint's list; what is in a dialog needn't be."""
        methods = endpoint.methods
        return methods is None or method == b"OPTIONS" or envelope.in_dialog or method in methods

    def _invite(
        self,
        request: Request,
        envelope: headers.Envelope,
        source: Source,
        reach: Reach,
        lookup: LookupEndpoint,
    ) -> None:
        attendant = self._answering.attendant
        assert attendant is not None  # there is one where there are lookup endpoints
        attendant.invite(request, envelope, source, reach, lookup)

    def _beside_lookups(
        self, method: bytes, endpoint: Endpoint, lookup: LookupEndpoint
    ) -> Verdict | None:
        """What a lookup endpoint answers to other methods; None for those it redirects."""
        if method == b"REGISTER":
            return Verdict(405, _NOT_ALLOWED, ALLOW, endpoint=endpoint)
        if method in _ONLY_WITHIN:
            return Verdict(481, _NO_DIALOG, endpoint=endpoint)
        if method != b"OPTIONS":
            return None
        if not lookup.channels.usable:
            return self._unavailable(endpoint, MISCELLANEOUS, lookup.channels.reason)
        return Verdict(200, _OK, CAPABILITIES, endpoint=endpoint)

    def _cancel(
        self,
        cancel: Request,
        envelope: headers.Envelope,
        endpoint: Endpoint | None,
        source: Source,
    ) -> Verdict:
        """200, as RFC 3261 §8.3 has it; where INVITEs are remembered §9.2 tells the others."""
        attendant, proxy = self._answering.attendant, self._answering.proxy
        tagged = not envelope.in_dialog
        if proxy is not None and proxy.cancels(cancel, envelope, source):
            return Verdict(200, _OK, tagged=tagged, endpoint=endpoint)
        if endpoint is not None and endpoint.proxy is not None:
            return Verdict(481, _NO_DIALOG, tagged=tagged, endpoint=endpoint)
        if (
            endpoint is not None
            and endpoint.lookup is not None
            and attendant is not None
            and not attendant.cancels(cancel, envelope)
        ):
            return Verdict(481, _NO_DIALOG, tagged=tagged, endpoint=endpoint)
        return Verdict(200, _OK, tagged=tagged)

    def _closed(
        self,
        request: Request,
        envelope: headers.Envelope,
        source: Source,
        reach: Reach | None,
        endpoint: Endpoint,
        closed: Closed,
    ) -> Verdict | None:
        """What an endpoint answers that is in maintenance or disabled."""
        answering = self._answering
        if endpoint.for_trusted and source.trusted and reach is not None:
            # what was accepted before goes on: its retransmissions get its answers
            attendant = answering.attendant if endpoint.lookup is not None else answering.proxy
            if attendant is not None and attendant.repeats(request, envelope, source, reach):
                return None
        if closed.disabled:
            if request.method == b"REGISTER":
                return self._elsewhere(request.method, endpoint.uri, reach)
            return Verdict(404, _NOT_FOUND, endpoint=endpoint)
        if endpoint.for_trusted and not source.trusted:
            return Verdict(403, _FORBIDDEN, endpoint=endpoint)
        seconds = closed.retry_after(answering.retry_after)
        fields = unavailable(seconds, answering.agent, MISCELLANEOUS, closed.why)
        return Verdict(480, _UNAVAILABLE, fields, endpoint=endpoint)

    def _elsewhere(self, method: bytes, uri: SipUri, reach: Reach | None) -> Verdict:
        """A URI that is no endpoint; a REGISTER may be told where it belongs."""
        registrars = self._answering.registrars
        if method == b"REGISTER" and registrars is not None:
            contact = registrars.contact(uri, "udp" if reach is None else reach.transport)
            if contact is not None:
                return Verdict(301, _MOVED, contact)
            if registrars.misplaced(uri):
                return Verdict(405, _NOT_ALLOWED, ALLOW)
        return Verdict(404, _NOT_FOUND)

    def _by_to(self, to: bytes, user: bytes | None) -> tuple[Endpoint | None, bytes | None]:
        """The endpoint that the To URI names, and the user part for its Contact."""
        try:
            uri, endpoint = self._directory.find(to)
        except SipError:
            return None, user  # any URI may stand in a To; this one is no contact object
        return endpoint, user if user is not None else uri.user

    def _unavailable(self, endpoint: Endpoint, code: bytes, why: str) -> Verdict:
        """480 and not 503, which would take the whole server out of a front end's rotation."""
        answering = self._answering
        fields = unavailable(answering.retry_after, answering.agent, code, why)
        return Verdict(480, _UNAVAILABLE, fields, endpoint=endpoint)


def _serves_all_the_same(endpoint: Endpoint) -> bool:
    """Whether targets that are all down are given out, as the configuration may ask for."""
    return endpoint.settings.on_all_down == "serve" and endpoint.pool.resolved
