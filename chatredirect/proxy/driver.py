"""Carries out what the proxy core asks for: sends, connects, counts, logs and sets the timer.

The dispatcher gives it the proxy's messages, and it gives them to the core with the time. It uses
sockets only through flows and the connection pool.
"""

from collections.abc import Callable, Set
from functools import partial
from typing import TypeVar, TypeVarTuple

import structlog

from chatredirect.endpoints.directory import find
from chatredirect.endpoints.proxy_endpoint import ProxyEndpoint
from chatredirect.net.target import Target
from chatredirect.proxy import in_dialog, new_requests
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import (
    ProxyAnswered,
    ProxyDropped,
    ProxyEvent,
    ProxyFailed,
    ProxyFailedOver,
    ProxyRefusal,
    count_use,
)
from chatredirect.proxy.incoming_request import IncomingRequest
from chatredirect.proxy.outgoing_request import IDENTITY_FIELDS
from chatredirect.proxy.response_context import (
    Branch,
    ConnectRequest,
    ResolveRequest,
    ResponseContext,
    User,
    reasons_of,
)
from chatredirect.responses.counters import Counters
from chatredirect.responses.explain import (
    ELSEWHERE,
    MALFORMED,
    NO_REQUEST,
    TOO_LATE,
    explain_status,
    log_request,
    unwanted,
)
from chatredirect.runtime.work_list import CoreDriver, Work
from chatredirect.sip.errors import BadHeaderLine, SipError
from chatredirect.sip.flow import Flow, ReturnPath, leads_back
from chatredirect.sip.forwarding import addressed_to, has_further_via, without
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, Response, mandatory_headers_of
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send, Transaction
from chatredirect.sip.transaction.state_machines import TransactionEvent, TransactionState
from chatredirect.sip.uri import SipUri

log = structlog.get_logger()

W = TypeVar("W")
R = TypeVar("R")
A = TypeVarTuple("A")

#: Finds the targets of a URI, and calls the function with them: always later.
Seeker = Callable[[SipUri, Callable[[tuple[Target, ...]], None]], None]


class ProxyDriver:
    """All that is proxied by a daemon, kept while configurations come and go.

    Attributes:
        log_requests: whether every request gets a line in the log.
        on_idle: called whenever the last open request has had its final response.
    """

    def __init__(
        self,
        core: ProxyCore,
        counters: Counters,
        clock: Callable[[], float],
        wake_at: Callable[[float], None],
        seek: Seeker,
        observing: Observing,
        epoch: Callable[[], float],
    ) -> None:
        """Begin without requests.

        Args:
            clock: gives seconds that never go back.
            wake_at: asks for `handle_timers` to be called at a time; earlier calls stay.
            epoch: gives seconds since the epoch.
        """
        self.core = core
        self.log_requests = True
        self.on_idle: Callable[[], None] = lambda: None
        self._counters = counters
        self._clock = clock
        self._seek = seek
        self._observing = observing
        self._epoch = epoch
        connect_failed = partial(core.handle_connect_failed, why="a fault of ours")
        not_found = partial(core.handle_resolved, targets=())
        self._driver = CoreDriver(
            core,
            (
                Work(core.sends, self._send, core.unsent, "send"),
                Work(core.connect_requests, self._connect, connect_failed, "dial"),
                Work(core.resolve_requests, self._resolve, not_found, "seek"),
            ),
            Work(core.events, self._report, None, "tell"),
            clock,
            wake_at,
            "proxy",
        )

    # -- messages from the dispatcher -----------------------------------------------------------

    def arrive(
        self,
        request: Request,
        headers: MandatoryHeaders,
        peer: Peer,
        return_path: ReturnPath,
        uri: SipUri | None,
        endpoint: ProxyEndpoint,
    ) -> None:
        """Forward or refuse a request for an endpoint; see `new_requests.forward`."""
        incoming = self._incoming(request, headers, peer, return_path)
        try:
            new_requests.forward(self.core, incoming, uri, endpoint)
        finally:  # what was begun is carried out, also after a fault
            self._driver.settle(incoming.now)

    def repeats(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> bool:
        """Whether a request has come before; if so, its last response is sent again, if any."""
        key = matching.server_key(request, headers)
        if self.core.transactions.server_of(key, peer) is None:
            return False
        incoming = self._incoming(request, headers, peer, return_path)
        return self._settled(incoming.now, incoming.repeated, self.core, key)

    def within(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> bool:
        """Forward or refuse a request within a dialog; see `in_dialog.forward`."""
        if not in_dialog.may_lead_here(request):
            return False
        incoming = self._incoming(request, headers, peer, return_path)
        try:
            return in_dialog.forward(self.core, incoming)
        finally:
            self._driver.settle(incoming.now)

    def run(self, request: Request, peer: Peer, return_path: ReturnPath) -> bool:
        """Handle or forward an ACK or BENOTIFY; False if it belongs to nothing known here."""
        core = self.core
        try:
            headers = mandatory_headers_of(request)
        except SipError:
            return False
        now = self._clock()
        if request.method == b"ACK":
            tag = matching.tag_of(headers.to, "To")
            transaction = core.transactions.server_of(matching.server_key(request, headers), peer)
            if (
                transaction is not None
                and transaction.state in (TransactionState.COMPLETED, TransactionState.CONFIRMED)
                and transaction.tag == tag
            ):
                core.transactions.handle_event(transaction, TransactionEvent.ACK, now)
                self._driver.settle(now)
                return True
            if core.settings.tags.made(tag, request, headers.number):
                return False  # of a refusal of our own, of which nothing is kept
        leads_here = in_dialog.may_lead_here(request)
        if not leads_here and not peer.trusted:
            return False  # before a flow is made for a stranger
        incoming = self._incoming(request, headers, peer, return_path)
        taken = leads_here and in_dialog.forward_stateless(core, incoming)
        if not taken and peer.trusted:
            taken = self._run_to_endpoint(incoming)
        self._driver.settle(now)
        return taken

    def _run_to_endpoint(self, incoming: IncomingRequest) -> bool:
        """For callers that ignore Record-Route: only the pool may know their dialog."""
        settings = self.core.settings
        try:
            uri, endpoint = find(settings.directory, settings.names, incoming.request)
        except SipError:
            return False
        if endpoint is None or endpoint.proxy is None or not incoming.headers.in_dialog:
            return False
        new_requests.forward_stateless(self.core, incoming, uri, endpoint.proxy)
        return True

    def cancels(self, request: Request, headers: MandatoryHeaders, peer: Peer) -> bool:
        """Cancel the INVITE that a CANCEL is about; False if none is known (§16.10)."""
        key = matching.cancelled_key(request, headers)
        transaction = self.core.transactions.server_of(key, peer)
        if transaction is None:
            return False
        context = transaction.user
        if isinstance(context, ResponseContext):
            now = self._clock()
            self._settled(now, context.cancel, reasons_of(request), now)
        return True

    def respond(self, response: Response, peer: Peer, return_path: ReturnPath) -> str | None:
        """Handle a response; if it isn't accepted, return why, for counting (RFC 6026 §8.9)."""
        transaction = self.core.transactions.client(matching.branch_key(response))
        if transaction is None:
            return NO_REQUEST
        reason = self._unusable(response, transaction, peer, return_path)
        if reason is not None:
            return unwanted(transaction, reason, response, peer, return_path.transport)
        now = self._clock()
        try:
            self.core.respond(response, transaction, now)
        finally:
            self._driver.settle(now)
        return None

    def _unusable(
        self, response: Response, transaction: Transaction[User], peer: Peer, path: ReturnPath
    ) -> str | None:
        """Why a response can't be used; if it can, it is made ready to be forwarded."""
        if not leads_back(transaction.flow, path.flow(peer.port)):
            return ELSEWHERE
        if response.left_out:  # and the rest goes on without those lines
            self._counters.malformed(BadHeaderLine.counter)
        fault, call_id = response.fault, response.call_id
        if fault is not None or response.from_ is None or response.to is None or call_id is None:
            return MALFORMED
        branch = transaction.user
        if not isinstance(branch, Branch):
            return None
        try:
            leads_on = has_further_via(response.vias)
        except SipError:
            return MALFORMED
        if not leads_on:
            context = branch.context
            if context.request is None:
                return TOO_LATE  # nothing is known any more of where it could be forwarded to
            # some answer an INVITE that was cancelled with the Via of the CANCEL
            addressed_to(response, [context.via, *context.request.vias[1:]])
        if not peer.trusted and branch.target is None:
            response.head = without(response.head, IDENTITY_FIELDS)
        return None

    # -- results and timers ---------------------------------------------------------------------

    def lost(self, flow: Flow) -> None:
        """A connection is gone; many requests that were sent over it take several turns."""
        self.core.lost(flow)
        self.handle_timers()

    def unreachable(self, targets: Set[tuple[str, int]]) -> None:
        """Datagrams don't get to these addresses and ports (RFC 3261 §18.4)."""
        self.core.unreachable(targets)
        self.handle_timers()

    def handle_timers(self) -> None:
        """Do what is due, and ask to be woken for what is due next."""
        self._driver.handle_timers()

    def give_up(self, context: ResponseContext) -> None:
        """Answer a request that is open, since the daemon ends."""
        self._driver.end(context.give_up, "give up")

    def _send(self, send: Send[User]) -> bool:
        sent = send.flow.send(send.data)
        observer = self._observing.observer
        if observer is not None and sent:
            try:
                observer.sent(send.data, send.flow, None)
            except Exception:  # the message is sent all the same, and must not be sent twice
                log.exception("work_failed", what="trace")
        return sent

    def _connect(self, wanted: ConnectRequest) -> None:
        core = self.core
        core.connection_pool.dial(
            wanted.target,
            partial(self._handle_result, core.handle_connected, wanted),
            partial(self._handle_result, core.handle_connect_failed, wanted),
        )

    def _resolve(self, wanted: ResolveRequest) -> None:
        self._seek(wanted.uri, partial(self._handle_result, self.core.handle_resolved, wanted))

    def _handle_result(self, handle: Callable[[W, float, R], None], wanted: W, result: R) -> None:
        now = self._clock()
        self._settled(now, handle, wanted, now, result)

    def _incoming(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> IncomingRequest:
        return IncomingRequest(request, headers, peer, return_path, self._clock(), self._epoch())

    def _settled(self, now: float, call: Callable[[*A], R], *arguments: *A) -> R:
        """Call the core; then do what it leads to, also after a fault."""
        try:
            return call(*arguments)
        finally:
            self._driver.settle(now)

    def _report(self, event: ProxyEvent) -> None:
        if isinstance(event, ProxyAnswered):
            self._report_answer(event)
            if not self.core.open:
                self.on_idle()
            return
        observer = self._observing.observer
        match event:
            case ProxyRefusal(refusal, peer, transport, about):
                self._counters.refusals.note(refusal, peer, transport, about)
            case ProxyDropped(call_id, reason):
                self._counters.dropped(reason)
                if observer is not None:
                    observer.decided(call_id, f"dropped: {reason}")
            case ProxyFailedOver(call_id, why):
                if observer is not None:
                    observer.decided(call_id, f"{why}; on to the next target")
            case ProxyFailed(target, why, seconds):
                log.warning("target_failed", target=target, why=why, left_out=seconds)

    def _report_answer(self, event: ProxyAnswered) -> None:
        request, status, counters = event.request, event.status, self._counters
        if event.began is not None:
            self.core.counters.took.observe(self._clock() - event.began)
        if status:
            counters.answered(status, request.method, event.transport, event.endpoint)
        else:
            counters.dropped("no_response")
        count_use(event, counters.usage)
        observer = self._observing.observer
        if self.log_requests:
            log_request(
                request, event.peer, event.transport, status, event.endpoint, fault="",
                target=None if event.target is None else str(event.target), why=event.why,
            )  # fmt: skip
        if observer is not None:
            why = event.why or (f"passed on to {event.target}" if event.target else "")
            observer.decided(request.call_id, explain_status(status, event.endpoint, why))
