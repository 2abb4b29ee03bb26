"""From a message to its response, in one synchronous pass.

Nothing is awaited, no task is started, no lock is taken. Messages that can't be answered are
dropped and counted here; the `Dispatcher` decides which response a request gets.
"""

from chatredirect.answering.dispatch import Dispatcher, ResponseSettings
from chatredirect.endpoints.directory import Directory
from chatredirect.net.own_names import OwnNames
from chatredirect.net.refusals import RefusalReason
from chatredirect.responses.counters import Counters
from chatredirect.responses.explain import (
    ELSEWHERE,
    explain,
    explain_no_response,
    log_drop,
    log_request,
)
from chatredirect.responses.planned import PlannedResponse, refusal
from chatredirect.sip.caller import caller_and_client
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.framing import PONG, Event, FramingFault, Ping, parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Response, read_mandatory_headers, read_topmost_via
from chatredirect.sip.observer import Observer
from chatredirect.sip.response import Peer, status_line, write_answer
from chatredirect.usage.recorder import REDIRECTED

#: A response over UDP has at most so many octets, or is at most so many times its request.
SAFE_ANSWER = 1300
MAX_AMPLIFICATION = 2
_SMALL = SAFE_ANSWER // MAX_AMPLIFICATION  # octets of a request for which the first is more
#: A response with several Contacts is at most so many times its request, if that is small.
_SEVERAL_CONTACTS = 3
#: Octets that a response has beyond what it copies, Contacts apart: Status-Line, tag, received,
#: rport, and long header names for compact ones.
_ADDED = 250
#: Octets that Contacts may take on a stream, where the peer has shown that it is there.
_STREAM_ROOM = 8192
#: The limits that a malformed message may exceed, by the fault's counter.
_LIMIT_OF = {
    "message_too_large": RefusalReason.MESSAGE,
    "header_line_too_long": RefusalReason.HEADER_LINE,
    "too_many_headers": RefusalReason.HEADERS,
    "too_many_vias": RefusalReason.VIA_VALUES,
    "uri_too_long": RefusalReason.URI,
}

#: Methods that never get a response (RFC 3261 §17.1.1.3 for ACK), and what they are counted as.
_NEVER_ANSWERED = {b"ACK": "ack", b"BENOTIFY": "benotify"}


class RequestHandler:
    """Answers messages, with the endpoints of one configuration.

    Attributes:
        log_requests: whether every request gets a line in the log.
        ending: whether the daemon closes its ports in a moment, so that requests get 503.
    """

    __slots__ = (
        "_counters", "_dispatcher", "_later", "_limits", "_observing", "_stateful", "_tags",
        "ending", "log_requests",
    )  # fmt: skip

    def __init__(
        self,
        directory: Directory,
        own_names: OwnNames,
        answering: ResponseSettings,
        limits: Limits,
        counters: Counters,
    ) -> None:
        """Answer for these endpoints."""
        self._dispatcher = Dispatcher(directory, own_names, answering)
        self._tags = answering.tags
        self._stateful = answering.stateful
        self._limits = limits
        self._counters = counters
        self._observing = answering.observing
        self.log_requests = answering.log_requests
        self.ending = False
        self._later = b"Retry-After: %d\r\n" % answering.retry_after

    def answer_datagram(
        self, data: bytes, peer: Peer, return_path: ReturnPath
    ) -> tuple[bytes, int] | None:
        """The response to a datagram, and the port at the peer's address that it goes to.

        It is at most the larger of twice the datagram and 1,300 octets, and has no second Contact
        where it would be more than three times the datagram, so forging a source address gains
        nothing.
        """
        try:
            message = parse_datagram(data, self._limits)
        except SipError as error:
            self._unreadable(data, error, peer, "udp", return_path)
            return None
        size = len(data)
        if size > _SMALL:
            most = several = MAX_AMPLIFICATION * size
        else:
            most = SAFE_ANSWER
            several = min(most, _SEVERAL_CONTACTS * size)
        answered = self.answer(message, peer, "udp", several - size - _ADDED, return_path)
        if answered is not None and len(answered[0]) > most:
            self._counters.dropped("would_amplify")
            log_drop("would_amplify", peer, "udp", message)
            if self._observing.observer is not None:
                what = "the answer isn't sent: it is too large for so small a request"
                self._observing.observer.decided(message.call_id, what)
            return None
        return answered

    def answer_event(
        self, event: Event, peer: Peer, transport: str, return_path: ReturnPath
    ) -> bytes | None:
        """The response to a message or ping on a stream; None if there is none."""
        if isinstance(event, FramingFault):
            if event.message is None:
                self._unreadable(event.error.offending, event.error, peer, transport, return_path)
                return None
            # the framing decides, whatever else is wrong with it
            event.message.fault = event.error
            event = event.message
        elif isinstance(event, Ping):
            return PONG
        answered = self.answer(event, peer, transport, _STREAM_ROOM, return_path)
        return None if answered is None else answered[0]

    def answer(
        self, message: Message, peer: Peer, transport: str, room: int, return_path: ReturnPath
    ) -> tuple[bytes, int] | None:
        """The response to a message, and the port that it goes to if it goes by UDP.

        The Contacts of a redirect take at most `room` octets. The Via isn't compared with the
        transport.

        Returns:
            None if the message gets no response, and is counted; or if a lookup or the proxy
            handles it, which send their responses themselves.
        """
        counters = self._counters
        observer = self._observing.observer
        if observer is not None and not observer.received(message, peer, return_path):
            observer = None
        if isinstance(message, Response):
            unwanted = self._stateful.respond(message, peer, return_path)
            if unwanted is not None:
                self._drop(unwanted, message, observer, return_path)
                log_drop(unwanted, peer, transport, message)
                if unwanted == ELSEWHERE:
                    counters.refusals.note(RefusalReason.RESPONSE_ELSEWHERE, peer, transport)
            return None
        method = message.method
        if method in _NEVER_ANSWERED:
            if not self._stateful.run(message, peer, return_path):
                self._drop(_NEVER_ANSWERED[method], message, observer, return_path)
            return None
        headers = message.mandatory_headers
        via = read_topmost_via(message) if headers is None else headers.via
        if via is None and (transport == "udp" or not message.vias):
            # a stream leads back to its sender whatever the Via says; a datagram doesn't
            why = "header_line_too_long" if "Via" in message.overlong else "no_via"
            self._drop(why, message, observer, return_path)
            log_drop(why, peer, transport, message)
            self._note_limit(why, peer, transport)
            return None
        try:
            if headers is None or message.fault is not None:
                headers = read_mandatory_headers(message, via)
            if self.ending:
                planned: PlannedResponse | None = PlannedResponse(503, self._later)
            else:
                planned = self._dispatcher.decide(message, headers, peer, room, return_path)
        except SipError as error:
            counters.malformed(error.counter)
            self._note_limit(error.counter, peer, transport)
            planned = refusal(message, error)
        if planned is None:
            return None
        if planned.refusal is not None:
            counters.refusals.note(planned.refusal, peer, transport, _about(planned))
        number = 0 if headers is None else headers.number
        tags = self._tags if planned.tagged else None
        line = status_line(planned.status, planned.phrase)
        answer = write_answer(message, via, number, peer, line, planned.fields, tags)
        endpoint = planned.endpoint
        if endpoint is None:
            tally = counters.nobody
        elif endpoint.tally is None:
            tally = endpoint.tally = counters.tally(endpoint.address)
        else:
            tally = endpoint.tally
        tally.count(planned.status, method, transport)
        usage = counters.usage
        if usage is not None and usage.on and endpoint is not None and 300 <= planned.status < 400:
            assert headers is not None  # an endpoint was found, so the request was read
            assert message.call_id is not None
            client = caller_and_client(message, headers.from_)
            call_id, head = message.call_id, message.head
            usage.used(endpoint.address, call_id, client, REDIRECTED, peer.trusted, head)
        if self.log_requests:
            address = None if endpoint is None else endpoint.address
            fault = "" if planned.fault is None else str(planned.fault)
            log_request(message, peer, transport, planned.status, address, fault, planned.fields)
        if observer is not None:
            observer.decided(message.call_id, explain(planned))
            octets, port = answer
            observer.sent(octets, return_path.flow(port), message.call_id)
        return answer

    def _unreadable(
        self, data: bytes, error: SipError, peer: Peer, transport: str, return_path: ReturnPath
    ) -> None:
        why = str(error)
        self._counters.dropped(error.counter)
        self._note_limit(error.counter, peer, transport)
        return_path.useless()
        log_drop(why, peer, transport)
        if self._observing.observer is not None:
            self._observing.observer.unreadable(data, peer, return_path, why)

    def _note_limit(self, fault: str, peer: Peer, transport: str) -> None:
        limit = _LIMIT_OF.get(fault)
        if limit is not None:
            self._counters.refusals.note(limit, peer, transport)

    def _drop(
        self, reason: str, message: Message, observer: Observer | None, return_path: ReturnPath
    ) -> None:
        self._counters.dropped(reason)
        return_path.useless()
        if observer is not None:
            observer.decided(message.call_id, explain_no_response(reason))


def _about(planned: PlannedResponse) -> str:
    return "" if planned.endpoint is None else planned.endpoint.address
