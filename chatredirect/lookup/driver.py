"""Carries out what the lookup core asks for: sends, counts, logs and sets the timer.

The dispatcher hands it the lookups' messages, and it hands them to the core with the time. It uses
sockets only through flows.
"""

from collections.abc import Callable
from functools import partial

import structlog

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.core import LookupCore, User
from chatredirect.lookup.events import (
    ChannelGiven,
    LookupAnswered,
    LookupEnded,
    LookupEvent,
    ReceivedRequest,
)
from chatredirect.lookup.session import LookupSession, SessionEvent
from chatredirect.lookup.uas import answer_in_dialog, begin_lookup
from chatredirect.responses.explain import (
    ELSEWHERE,
    MALFORMED,
    NO_REQUEST,
    caller_text,
    explain_status,
    log_request,
    unwanted,
)
from chatredirect.runtime.work_list import CoreDriver, Work
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath, leads_back
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, Response, mandatory_headers_of
from chatredirect.sip.observer import Observer, Observing
from chatredirect.sip.response import Peer, reply_port
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.transaction.matching import cancelled_key, response_key, server_key

log = structlog.get_logger()


class LookupDriver:
    """All lookups of a daemon; configurations come and go meanwhile.

    Attributes:
        core: their state.
        log_requests: whether every request gets a line in the log.
    """

    __slots__ = ("_clock", "_driver", "_observing", "_shown", "core", "log_requests")

    def __init__(
        self,
        core: LookupCore,
        clock: Callable[[], float],
        wake_at: Callable[[float], None],
        observing: Observing,
    ) -> None:
        """Begin; `wake_at` asks for `handle_timers` to be called at a time, earlier calls stay."""
        self.core = core
        self.log_requests = True
        self._clock = clock
        self._observing = observing
        self._shown = 0  # events that the observer has seen before they are reported
        self._driver = CoreDriver(
            core,
            (Work(core.sends, self._send, core.lost, "send"),),
            Work(core.events, self._report, None, "tell"),
            clock,
            wake_at,
            "lookup",
        )

    def invite(
        self,
        request: Request,
        headers: MandatoryHeaders,
        peer: Peer,
        return_path: ReturnPath,
        endpoint: LookupEndpoint,
        closed: str = "",
    ) -> None:
        """Answer a trusted peer's INVITE without a To tag; for `closed` see `begin_lookup`."""
        received = self._received(request, headers, peer, return_path)
        begin_lookup(self.core, received, endpoint, closed)
        self._settle(received.now)

    def repeats(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> bool:
        """Whether this peer has sent a request before; if so, send its response again."""
        received = self._received(request, headers, peer, return_path)
        if self.core.transactions.server_of(received.key, peer) is None:
            return False
        known = self.core.repeated(received)
        self._settle(received.now)
        return known

    def within(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> bool:
        """Answer a trusted peer's request with a To tag; False if its dialog isn't known."""
        received = self._received(request, headers, peer, return_path)
        try:
            return answer_in_dialog(self.core, received)
        finally:  # a fault in the reply to a command doesn't keep the command's 200
            self._settle(received.now)

    def _received(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> ReceivedRequest:
        # most is only counted: no object is made of it where nobody wants to know
        self.core.reports_all = self.log_requests or self._observing.observer is not None
        key = server_key(request, headers)
        flow = return_path.flow(reply_port(headers.via, peer))
        return ReceivedRequest(request, headers, peer, key, flow, self._clock())

    def acknowledge(self, ack: Request, peer: Peer) -> bool:
        """Handle an ACK; False if it is for none of our responses, or malformed."""
        if not self.core.transactions:
            return False
        try:
            headers = mandatory_headers_of(ack)
        except SipError:
            return False
        now = self._clock()
        known = self.core.acknowledge(ack, headers, peer, now)
        self._settle(now)
        return known

    def cancels(self, cancel: Request, headers: MandatoryHeaders, peer: Peer) -> bool:
        """Whether a CANCEL is for an INVITE that this peer has sent (RFC 3261 §9.2).

        The INVITE has been answered, so nothing is left to be cancelled.
        """
        key = cancelled_key(cancel, headers)
        return self.core.transactions.server_of(key, peer) is not None

    def respond(self, response: Response, peer: Peer, return_path: ReturnPath) -> str | None:
        """Handle a response; if it isn't accepted, return why: a constant for counting."""
        core = self.core
        transaction = core.transactions.client(response_key(response))
        if transaction is None:
            return NO_REQUEST
        if not leads_back(transaction.flow, return_path.flow(peer.port)):
            return unwanted(transaction, ELSEWHERE, response, peer, return_path.transport)
        if response.fault is not None:
            return unwanted(transaction, MALFORMED, response, peer, return_path.transport)
        now = self._clock()
        core.handle_response(transaction, response.status, now)
        self._settle(now)
        return None

    def hang_up(self, lookup: LookupSession) -> None:
        """End a dialog if its state allows it, since the daemon is about to stop."""
        finish = partial(self.core.handle_event, lookup, SessionEvent.STOPPING)
        self._driver.end(finish, "hang up")

    def handle_timers(self) -> None:
        """Do what is due, and set the timer for what is due next."""
        self._driver.handle_timers()

    def _settle(self, now: float) -> None:
        observer = self._observing.observer
        if observer is not None:  # a trace shows why a message is sent before the message
            for event in self.core.events:
                _show(event, observer)
            self._shown = len(self.core.events)
        self._driver.settle(now)

    def _send(self, send: Send[User]) -> bool:
        observer = self._observing.observer
        if observer is not None:
            call_id = None if send.user is None else send.user.dialog.call_id
            try:
                observer.sent(send.data, send.flow, call_id)
            except Exception:  # the message is sent all the same
                log.exception("work_failed", what="trace")
        return send.flow.send(send.data)

    def _report(self, event: LookupEvent) -> None:
        observer = self._observing.observer
        if self._shown:
            self._shown -= 1
        elif observer is not None:
            _show(event, observer)
        match event:
            case LookupAnswered(received, response, endpoint):
                if self.log_requests:
                    log_request(
                        received.request, received.peer, received.flow.transport, response.status,
                        endpoint, fault=response.phrase or "", fields=response.fields,
                    )  # fmt: skip
            case ChannelGiven(lookup, None, why):
                log.warning("lookup_failed", **_about(lookup), why=why)
            case ChannelGiven(lookup, uri):
                if self.log_requests:
                    agent = {"user_agent": lookup.agent} if lookup.agent else {}
                    log.info("lookup", **_about(lookup), channel=uri, **agent)
            case LookupEnded(lookup):
                log.info("lookup_ended", **_about(lookup), why=lookup.why)


def _about(lookup: LookupSession) -> dict[str, str | bytes | None]:
    return {
        "endpoint": lookup.endpoint.address,
        "caller": caller_text(lookup.caller),
        "call_id": lookup.dialog.call_id,
    }


def _show(event: LookupEvent, observer: Observer) -> None:
    match event:
        case LookupAnswered(received, response, endpoint):
            why = response.phrase or ""
            what = explain_status(response.status, endpoint, why, response.fields)
            observer.decided(received.request.call_id, what)
        case ChannelGiven(lookup, uri, why):
            what = f"no channel service: {why}" if uri is None else f"channel service {uri}"
            _show_lookup(lookup, what, observer)
        case LookupEnded(lookup):
            _show_lookup(lookup, f"lookup ended: {lookup.why}", observer)


def _show_lookup(lookup: LookupSession, what: str, observer: Observer) -> None:
    observer.decided(lookup.dialog.call_id, f"endpoint {lookup.endpoint.address}: {what}")
