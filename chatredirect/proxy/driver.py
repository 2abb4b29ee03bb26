"""Carries out what the proxy core asks for: sends, connects, counts, logs and sets the timer.

The dispatcher hands it the proxy's messages, and it hands them to the core with the time. It uses
sockets only through flows and the connection pool.
"""

from collections.abc import Callable, Set
from functools import partial

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
)
from chatredirect.proxy.interfaces import ConnectRequest, ResolveRequest
from chatredirect.proxy.outgoing_request import ASSERTIONS
from chatredirect.proxy.response_context import (
    Branch,
    ResponseContext,
    Seeking,
    User,
    Waiter,
    reasons_of,
)
from chatredirect.responses.counters import Counters
from chatredirect.responses.explain import explain_status
from chatredirect.responses.planned import log_request
from chatredirect.responses.unwanted import ELSEWHERE, MALFORMED, NO_REQUEST, TOO_LATE, unwanted
from chatredirect.runtime.work_list import CoreDriver, Work
from chatredirect.sip.errors import BadHeaderLine, SipError
from chatredirect.sip.flow import Flow, ReturnPath, leads_back
from chatredirect.sip.forwarding import addressed_to, without
from chatredirect.sip.headers import MandatoryHeaders, read_via
from chatredirect.sip.mandatory_headers import mandatory_headers_of
from chatredirect.sip.message import Request, Response
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.transaction.state_machines import TransactionEvent, TransactionState
from chatredirect.sip.uri import SipUri

log = structlog.get_logger()

_FAULT = "a fault of ours"

#: Finds the targets of a URI, later, and says so.
Seeker = Callable[[SipUri, Callable[[tuple[Target, ...]], None]], None]


class ProxyDriver:
    """All that is proxied by a daemon, kept while configurations come and go.

    Attributes:
        core: its state.
        log_requests: whether every request gets a line in the log.
        on_idle: called whenever the last open request has had its final response.
    """

    __slots__ = (
        "_clock",
        "_counters",
        "_driver",
        "_epoch",
        "_observing",
        "_seek",
        "core",
        "log_requests",
        "on_idle",
    )  # fmt: skip

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
        """Begin.

        Args:
            core: without any request.
            counters: the daemon's.
            clock: seconds that never go back.
            wake_at: asks for `handle_timers` to be called at a time; earlier calls stay.
            seek: finds the targets of a URI that isn't a pool's.
            observing: holds the observer of a trace, if one runs.
            epoch: seconds since the epoch.
        """
        self.core = core
        self.log_requests = True
        self.on_idle: Callable[[], None] = _nothing
        self._counters = counters
        self._clock = clock
        self._seek = seek
        self._observing = observing
        self._epoch = epoch
        failed = partial(core.handle_connect_failed, why=_FAULT)
        found = partial(core.found, targets=())
        self._driver = CoreDriver(
            core,
            (
                Work(core.sends, self._send, core.unsent, "send"),
                Work(core.connect_requests, self._dial, failed, "dial"),
                Work(core.resolve_requests, self._look_for, found, "seek"),
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
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath,
        uri: SipUri | None,
        endpoint: ProxyEndpoint,
    ) -> None:
        """Deal with a request for an endpoint, from a trusted peer; see `new_requests.arrive`.

        Raises:
            SipError: a header field that a proxy reads can't be read.
        """
        now = self._clock()
        new_requests.arrive(
            self.core, request, envelope, source, reach, uri, endpoint, now, self._epoch()
        )
        self._driver.settle(now)

    def repeats(
        self, request: Request, envelope: MandatoryHeaders, source: Peer, reach: ReturnPath
    ) -> bool:
        """Whether a request has come before; if so it gets the answer that it got then, if any."""
        now = self._clock()
        key = matching.server_key(request, envelope)
        if self.core.transactions.server_of(key, source) is None:
            return False
        known = new_requests.repeated(self.core, key, envelope, source, reach, now)
        self._driver.settle(now)
        return known

    def within(
        self, request: Request, envelope: MandatoryHeaders, source: Peer, reach: ReturnPath
    ) -> bool:
        """Deal with a request within a dialog; False if its Route doesn't lead here.

        Raises:
            SipError: a header field that a proxy reads can't be read.
        """
        now = self._clock()
        epoch = self._epoch()
        taken = in_dialog.forward(self.core, request, envelope, source, reach, now, epoch)
        self._driver.settle(now)
        return taken

    def run(self, request: Request, source: Peer, reach: ReturnPath) -> bool:
        """Deal with an ACK, or BENOTIFY; False if it is for nothing that is known here."""
        core = self.core
        try:
            envelope = mandatory_headers_of(request)
        except SipError:
            return False
        now = self._clock()
        if request.method == b"ACK":
            tag = matching.tag_of(envelope.to, "To")
            transaction = core.transactions.server_of(
                matching.server_key(request, envelope), source
            )
            if (
                transaction is not None
                and transaction.state in (TransactionState.COMPLETED, TransactionState.CONFIRMED)
                and transaction.tag == tag
            ):
                core.transactions.handle_event(transaction, TransactionEvent.ACK, now)
                self._driver.settle(now)
                return True
            if tag == core.settings.tags.tag(request, envelope.number):
                return False  # of a refusal of our own, of which nothing is kept
        taken = in_dialog.run(core, request, envelope, source, reach, now, self._epoch())
        if not taken and source.trusted:
            taken = self._run_to_endpoint(request, envelope, source, reach, now)
        self._driver.settle(now)
        return taken

    def _run_to_endpoint(
        self,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath,
        now: float,
    ) -> bool:
        """For callers that heed no Record-Route: the pool knows the dialog, if anybody does."""
        try:
            settings = self.core.settings
            uri, endpoint = find(settings.directory, settings.names, request)
        except SipError:
            return False
        if endpoint is None or endpoint.proxy is None or not envelope.in_dialog:
            return False
        epoch, proxy = self._epoch(), endpoint.proxy
        new_requests.run(self.core, request, envelope, source, reach, uri, proxy, now, epoch)
        return True

    def cancels(self, request: Request, envelope: MandatoryHeaders, source: Peer) -> bool:
        """Cancel the INVITE that a CANCEL is about; False if none is known (§16.10)."""
        key = matching.cancelled_key(request, envelope)
        transaction = self.core.transactions.server_of(key, source)
        if transaction is None:
            return False
        context = transaction.user
        if isinstance(context, ResponseContext):
            now = self._clock()
            context.cancel(reasons_of(request), now)
            self._driver.settle(now)
        return True

    def respond(self, response: Response, source: Peer, reach: ReturnPath) -> str | None:
        """Take a response; why not, if it isn't taken: a constant for counting (RFC 6026 §8.9)."""
        core = self.core
        key = matching.branch_key(response)
        transaction = core.transactions.client(key)
        if transaction is None:
            return NO_REQUEST
        if not leads_back(transaction.flow, reach.flow(source.port)):
            return unwanted(transaction, ELSEWHERE, response, source, reach.transport)
        if response.left_out:  # and the rest goes on without those lines
            self._counters.malformed(BadHeaderLine.counter)
        if response.fault is not None or None in (
            response.from_, response.to, response.call_id,
        ):  # fmt: skip
            return unwanted(transaction, MALFORMED, response, source, reach.transport)
        branch = transaction.user
        if isinstance(branch, Branch):
            try:
                more = _has_further_via(response)
            except SipError:
                return unwanted(transaction, MALFORMED, response, source, reach.transport)
            if not more:
                context = branch.context
                if context.request is None:
                    return unwanted(
                        transaction, TOO_LATE, response, source, reach.transport
                    )  # nobody is left whom it could be passed on to
                # some answer an INVITE that was cancelled with the Via of the CANCEL
                addressed_to(response, [context.via, *context.request.vias[1:]])
            if not source.trusted and branch.target is None:
                response.head = without(response.head, ASSERTIONS)
        now = self._clock()
        core.respond(response, transaction, now)
        self._driver.settle(now)
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

    def _dialled(self, dial: ConnectRequest[Waiter], flow: Flow) -> None:
        now = self._clock()
        self.core.handle_connected(dial, flow, now)
        self._driver.settle(now)

    def _not_dialled(self, dial: ConnectRequest[Waiter], why: str) -> None:
        now = self._clock()
        self.core.handle_connect_failed(dial, now, why)
        self._driver.settle(now)

    def _found(self, seek: ResolveRequest[Seeking], targets: tuple[Target, ...]) -> None:
        now = self._clock()
        self.core.found(seek, now, targets)
        self._driver.settle(now)

    def _send(self, send: Send[User]) -> bool:
        sent = send.flow.send(send.data)
        observer = self._observing.observer
        if sent and observer is not None:
            try:
                observer.sent(send.data, send.flow, call_id_of(send.data))
            except Exception:  # it is sent all the same, and once is enough
                log.exception("work_failed", what="trace")
        return sent

    def _dial(self, dial: ConnectRequest[Waiter]) -> None:
        self.core.ways.dial(
            dial.target, partial(self._dialled, dial), partial(self._not_dialled, dial)
        )

    def _look_for(self, seek: ResolveRequest[Seeking]) -> None:
        self._seek(seek.uri, partial(self._found, seek))

    def _report(self, event: ProxyEvent) -> None:
        observer = self._observing.observer
        match event:
            case ProxyAnswered():
                self._report_answer(event)
                if not self.core.open:
                    self.on_idle()
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
        request, status, observer = event.request, event.status, self._observing.observer
        if event.began is not None:
            self.core.counters.took.observe(self._clock() - event.began)
        if status:
            self._counters.answered(status, request.method, event.transport, event.endpoint)
        else:
            self._counters.dropped("no_response")
        if self.log_requests:
            log_request(
                request, event.source, event.transport, status, event.endpoint, fault="",
                target=event.target, why=event.why,
            )  # fmt: skip
        if observer is not None:
            why = event.why or (f"passed on to {event.target}" if event.target else "")
            observer.decided(request.call_id, explain_status(status, event.endpoint, why))


def _has_further_via(response: Response) -> bool:
    """Whether a response has a Via besides ours. Raises SipError if that can't be told."""
    top = response.vias[0]
    if b"," in top and read_via(top).end < len(top):
        return True
    return len(response.vias) > 1


def call_id_of(message: bytes) -> bytes | None:
    """The Call-ID of a message that is about to be sent, for the trace."""
    for line in message.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.rstrip().lower() in (b"call-id", b"i"):
            return value.strip()
    return None


def _nothing() -> None:
    """Nobody waits for it."""
