"""Carries out what the core of the lookups says: sends, counts, logs, and asks to be woken.

It stands between the table of answers, which hands it what is a lookup's, and the core. It has a
clock; sockets it knows only as flows.
"""

from collections.abc import Callable
from functools import partial

import structlog

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.core import LookupCore, User
from chatredirect.lookup.dialog_requests import within
from chatredirect.lookup.events import ChannelTold, LookupAnswered, LookupEnded, LookupEvent
from chatredirect.lookup.invites import invite
from chatredirect.lookup.session import LookupSession
from chatredirect.responses.counters import Counters
from chatredirect.responses.explain import (
    ELSEWHERE,
    MALFORMED,
    NO_REQUEST,
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
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.transaction.matching import response_key, server_key

log = structlog.get_logger()


class LookupDriver:
    """All lookups of a daemon, kept while configurations come and go.

    Attributes:
        core: their state.
        log_requests: whether every request gets a line in the log.
    """

    __slots__ = ("_clock", "_counters", "_driver", "_observing", "_shown", "core", "log_requests")

    def __init__(
        self,
        core: LookupCore,
        counters: Counters,
        clock: Callable[[], float],
        wake_at: Callable[[float], None],
        observing: Observing,
    ) -> None:
        """Begin.

        Args:
            core: without any lookup.
            counters: the daemon's.
            clock: seconds that never go back.
            wake_at: asks for `handle_timers` to be called at a time; earlier calls stay.
            observing: holds the observer of messages.
        """
        self.core = core
        self.log_requests = True
        self._counters = counters
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
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath,
        endpoint: LookupEndpoint,
        closed: str = "",
    ) -> None:
        """Answer an INVITE without a To tag, from a trusted peer; for `closed` see `invite`."""
        now = self._clock()
        invite(self.core, request, envelope, source, reach, endpoint, now, closed)
        self._settle(now)

    def repeats(
        self, request: Request, envelope: MandatoryHeaders, source: Peer, reach: ReturnPath
    ) -> bool:
        """Whether a request has come before; if so it gets the answer that it got then."""
        now = self._clock()
        key = server_key(request, envelope)
        if self.core.transactions.server_of(key, source) is None:
            return False
        known = self.core.repeated(key, request, envelope, source, reach, now)
        self._settle(now)
        return known

    def within(
        self, request: Request, envelope: MandatoryHeaders, source: Peer, reach: ReturnPath
    ) -> bool:
        """Answer a request with a To tag; False if its dialog isn't known."""
        now = self._clock()
        known = within(self.core, request, envelope, source, reach, now)
        self._settle(now)
        return known

    def acknowledge(self, ack: Request, source: Peer) -> bool:
        """Take an ACK; False if it is for none of our answers, or malformed."""
        if not self.core.transactions:
            return False
        try:
            envelope = mandatory_headers_of(ack)
        except SipError:
            return False
        now = self._clock()
        taken = self.core.acknowledge(ack, envelope, source, now)
        self._settle(now)
        return taken

    def cancels(self, cancel: Request, envelope: MandatoryHeaders, source: Peer) -> bool:
        """Whether a CANCEL is about an INVITE of the same peer that is known."""
        return self.core.cancels(cancel, envelope, source)

    def respond(self, response: Response, source: Peer, reach: ReturnPath) -> str | None:
        """Take a response; why not, if it isn't taken: a constant for counting."""
        core = self.core
        transaction = core.transactions.client(response_key(response))
        if transaction is None:
            return NO_REQUEST
        if not leads_back(transaction.flow, reach.flow(source.port)):
            return unwanted(transaction, ELSEWHERE, response, source, reach.transport)
        if response.fault is not None:
            return unwanted(transaction, MALFORMED, response, source, reach.transport)
        now = self._clock()
        core.respond(transaction, response.status, now)
        self._settle(now)
        return None

    def hang_up(self, lookup: LookupSession) -> None:
        """End a dialog, if it may be ended: the daemon is about to stop."""
        self._driver.end(partial(self.core.hang_up, lookup), "hang up")

    def handle_timers(self) -> None:
        """Do what is due, and ask to be woken for what is due next."""
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
            except Exception:  # it is sent all the same
                log.exception("work_failed", what="trace")
        return send.flow.send(send.data)

    def _report(self, event: LookupEvent) -> None:
        observer = self._observing.observer
        if self._shown:
            self._shown -= 1
        elif observer is not None:
            _show(event, observer)
        match event:
            case LookupAnswered(request, source, status, endpoint, transport, why, fields):
                self._counters.answered(status, request.method, transport, endpoint)
                if self.log_requests:
                    log_request(request, source, transport, status, endpoint, why, fields)
            case ChannelTold(endpoint, caller, call_id, None, why):
                log.warning(
                    "lookup_failed", endpoint=endpoint, caller=caller, call_id=call_id, why=why
                )
            case ChannelTold(endpoint, caller, call_id, uri):
                if self.log_requests:
                    log.info(
                        "lookup", endpoint=endpoint, caller=caller, call_id=call_id, channel=uri
                    )
            case LookupEnded(endpoint, caller, call_id, why):
                log.info("lookup_ended", endpoint=endpoint, caller=caller, call_id=call_id, why=why)


def _show(event: LookupEvent, observer: Observer) -> None:
    match event:
        case LookupAnswered(request, _, status, endpoint, _, why, fields):
            observer.decided(request.call_id, explain_status(status, endpoint, why, fields))
        case ChannelTold(endpoint, _, call_id, uri, why):
            what = f"no channel service: {why}" if uri is None else f"channel service {uri}"
            observer.decided(call_id, f"endpoint {endpoint}: {what}")
        case LookupEnded(endpoint, _, call_id, why):
            observer.decided(call_id, f"endpoint {endpoint}: lookup ended: {why}")
