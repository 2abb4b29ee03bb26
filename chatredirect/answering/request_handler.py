"""From a message to its answer, in one synchronous pass.

Nothing is awaited, no task is started, no lock is taken. What can't be answered is dropped and
counted here; the `Dispatcher` decides which response a request gets.
"""

from chatredirect.answering.dispatch import Dispatcher, ResponseSettings
from chatredirect.endpoints.directory import Directory
from chatredirect.net.own_names import OwnNames
from chatredirect.responses.counters import Counters
from chatredirect.responses.explain import explain, log_drop, log_request
from chatredirect.responses.planned import PlannedResponse, refusal
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.framing import PONG, Event, FramingFault, Ping, parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Response, read_mandatory_headers, read_topmost_via
from chatredirect.sip.observer import Observer
from chatredirect.sip.response import Peer, write_answer

#: Octets of an answer over UDP that nobody can call an amplification, and the factor beyond.
SAFE_ANSWER = 1300
MAX_AMPLIFICATION = 2
_SMALL = SAFE_ANSWER // MAX_AMPLIFICATION  # octets of a request for which the first is more
#: The factor up to which a small request's answer may grow by having several Contacts.
_SEVERAL_CONTACTS = 3
#: Octets that an answer has beyond what it repeats, Contacts apart: Status-Line, tag, received,
#: rport, and long header names for compact ones.
_ADDED = 250
#: Octets that Contacts may take on a stream, where the peer has shown that it is there.
_STREAM_ROOM = 8192

#: Methods that never get a response (RFC 3261 §17.1.1.3 for ACK), and what it is counted as.
_NEVER_ANSWERED = {b"ACK": "ack", b"BENOTIFY": "benotify"}


class RequestHandler:
    """Answers what is sent to the contact objects, in the order of the table.

    Attributes:
        log_requests: whether every request gets a line in the log; may be changed at any time.
        ending: whether the daemon closes its ports in a moment, so that requests get 503.
    """

    __slots__ = (
        "_counters",
        "_later",
        "_limits",
        "_observing",
        "_stateful",
        "_table",
        "_tags",
        "ending",
        "log_requests",
    )

    def __init__(
        self,
        directory: Directory,
        own_names: OwnNames,
        answering: ResponseSettings,
        limits: Limits,
        counters: Counters,
    ) -> None:
        """Serve these endpoints under these names."""
        self._table = Dispatcher(directory, own_names, answering)
        self._tags = answering.tags
        self._stateful = answering.stateful
        self._limits = limits
        self._counters = counters
        self._observing = answering.observing
        self.log_requests = answering.log_requests
        self.ending = False
        self._later = b"Retry-After: %d\r\n" % answering.retry_after

    def answer_datagram(
        self, data: bytes, source: Peer, reach: ReturnPath | None = None
    ) -> tuple[bytes, int] | None:
        """The answer to a datagram, and the port at the source's address that it goes to.

        It is at most the larger of twice the datagram and 1,300 octets, and has no second Contact
        where it would be more than three times the datagram, so nobody gains by forging a source
        address. For `reach` see `answer`.
        """
        try:
            message = parse_datagram(data, self._limits)
        except SipError as error:
            self._unreadable(data, error, source, "udp", reach)
            return None
        size = len(data)
        if size > _SMALL:
            most = several = MAX_AMPLIFICATION * size
        else:
            most = SAFE_ANSWER
            several = min(most, _SEVERAL_CONTACTS * size)
        answered = self.answer(message, source, "udp", several - size - _ADDED, reach)
        if answered is not None and len(answered[0]) > most:
            self._counters.dropped("would_amplify")
            log_drop("would_amplify", source, "udp", message)
            if self._observing.observer is not None:
                what = "the answer isn't sent: it is too large for so small a request"
                self._observing.observer.decided(message.call_id, what)
            return None
        return answered

    def answer_event(
        self, event: Event, source: Peer, transport: str, reach: ReturnPath | None = None
    ) -> bytes | None:
        """The answer to what came on a stream, None where nothing may be answered."""
        if isinstance(event, FramingFault):
            if event.message is None:
                self._unreadable(event.error.offending, event.error, source, transport, reach)
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
        source: Peer,
        transport: str,
        room: int,
        reach: ReturnPath | None = None,
    ) -> tuple[bytes, int] | None:
        """The answer to a message, and the port that it goes to if it goes by UDP.

        Args:
            message: what came. What is wrong with it stands in its `fault`.
            source: where it came from.
            transport: the transport it came on; its Via isn't compared with it.
            room: octets that Contacts may take.
            reach: makes the flow for later messages; without it no lookup and no proxying.

        Returns:
            None where nothing may be answered, which has been counted then, and for the messages
            of lookups and those that are passed on: their answers go over their flow.
        """
        counters = self._counters
        observer = self._observing.observer
        if observer is not None and not observer.received(message, source, reach):
            observer = None
        if isinstance(message, Response):
            unwanted = self._stateful.respond(message, source, reach)
            if unwanted is not None:
                self._drop(unwanted, message, observer, reach)
                log_drop(unwanted, source, transport, message)
            return None
        method = message.method
        if method in _NEVER_ANSWERED:
            if not self._stateful.run(message, source, reach):
                self._drop(_NEVER_ANSWERED[method], message, observer, reach)
            return None
        envelope = message.mandatory_headers
        via = read_topmost_via(message) if envelope is None else envelope.via
        if via is None and (transport == "udp" or not message.vias):
            # a stream leads back to its sender whatever the Via says, a datagram doesn't
            why = "header_line_too_long" if "Via" in message.overlong else "no_via"
            self._drop(why, message, observer, reach)
            log_drop(why, source, transport, message)
            return None
        try:
            if envelope is None or message.fault is not None:
                envelope = read_mandatory_headers(message, via)
            if self.ending:
                verdict: PlannedResponse | None = PlannedResponse(503, self._later)
            else:
                verdict = self._table.decide(message, envelope, source, room, reach)
        except SipError as error:
            counters.malformed(error.counter)
            verdict = refusal(message, error)
        if verdict is None:
            return None
        number = 0 if envelope is None else envelope.number
        tags = self._tags if verdict.tagged else None
        answer, port = write_answer(
            message, via, number, source, verdict.status_line, verdict.fields, tags
        )
        address = None if verdict.endpoint is None else verdict.endpoint.address
        counters.answered(verdict.status, method, transport, address)
        if self.log_requests:
            fault = "" if verdict.fault is None else str(verdict.fault)
            log_request(message, source, transport, verdict.status, address, fault, verdict.fields)
        if observer is not None:
            observer.decided(message.call_id, explain(verdict))
            if reach is not None:
                observer.sent(answer, reach.flow(port), message.call_id)
        return answer, port

    def _unreadable(
        self, data: bytes, error: SipError, source: Peer, transport: str, reach: ReturnPath | None
    ) -> None:
        """Count octets that are no message, and say so."""
        why = str(error)
        self._counters.dropped(error.counter)
        if reach is not None:
            reach.useless()
        log_drop(why, source, transport)
        if self._observing.observer is not None:
            self._observing.observer.unreadable(data, source, reach, why)

    def _drop(
        self, reason: str, message: Message, observer: Observer | None, reach: ReturnPath | None
    ) -> None:
        """Count a message that gets no answer; `reason` is a constant of ours."""
        self._counters.dropped(reason)
        if reach is not None:
            reach.useless()
        if observer is not None:
            observer.decided(message.call_id, f"dropped: {reason}")
