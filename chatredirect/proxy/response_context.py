"""The response context: one proxied request until it has its final response (RFC 3261 §16.7).

A proxy keeps it between a server transaction and its client transactions. Here it also does what
each event of a branch requires: forward, fail over to the next target, or finish. It knows neither
sockets nor the tables of all requests: what it needs of those is in `Surroundings`.
"""

from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeAlias

from chatredirect.net.addresses import Transport
from chatredirect.net.target import Target
from chatredirect.proxy.branches import (
    CANCEL,
    CONNECTED,
    FAIL,
    FORWARD,
    QUIT,
    SEND,
    TABLE,
    TAKE,
    TAKE_LATE,
    BranchEvent,
    BranchState,
)
from chatredirect.proxy.events import (
    ProxyAnswered,
    ProxyCounters,
    ProxyEvent,
    ProxyFailed,
    ProxyFailedOver,
)
from chatredirect.proxy.known_targets import TargetBlocklist
from chatredirect.proxy.outgoing_request import OutgoingRequest
from chatredirect.proxy.settings import ProxySettings
from chatredirect.responses.planned import MISCELLANEOUS, unavailable
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow
from chatredirect.sip.forwarding import cancel_of, returned
from chatredirect.sip.headers import read_via
from chatredirect.sip.message import Request, Response, values
from chatredirect.sip.response import Peer, respond, status_line
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import TIMEOUT, TransactionState
from chatredirect.sip.uri import DEFAULT_PORT, DEFAULT_TLS_PORT, SipUri

#: Why an attempt failed: the counter's name, and the text for people.
_FAILURES = {
    BranchEvent.NO_CONNECTION: ("no_connection", "no connection"),
    BranchEvent.LATE: ("attempt_timeout", "no response within proxy.attempt_timeout"),
    BranchEvent.SILENCE: ("no_response", "no response"),
    BranchEvent.LOST: ("connection_lost", "the connection is gone"),
    BranchEvent.UNREACHABLE: ("unreachable", "ICMP says that it can't be reached"),
    BranchEvent.TOO_LONG: ("timer_c", "no response within proxy.timer_c"),
}
_STATUS_LINES = {status: status_line(status) for status in (100, 408, 430, 487, 500)}
_MAX_REASONS = 1000  # octets: they are kept until the target has sent a provisional response


class Surroundings(Protocol):
    """What a response context needs of the proxy around it; `ProxyCore` is one."""

    settings: ProxySettings
    transactions: "Transactions[User]"
    blocklist: TargetBlocklist
    counters: ProxyCounters
    sends: "list[Send[User]]"
    connect_requests: "list[ConnectRequest]"
    resolve_requests: "list[ResolveRequest]"
    events: list[ProxyEvent]

    def send(self, branch: "Branch", now: float) -> None:
        """Send a branch's request over its flow."""

    def next_target(self, context: "ResponseContext", now: float) -> bool:
        """Send a request to the next of its targets; whether there was one left."""

    def close(self, context: "ResponseContext") -> None:
        """A context has had its final response: only its transactions go on."""


@dataclass(slots=True, eq=False)
class Branch:
    """One branch: the request as it is sent to one target.

    Attributes:
        target: where it goes; None for the caller of a dialog, which has a flow.
        flow: what it was sent over, once it was; so is `transaction`.
        again: whether it has been sent once more, its first connection being gone.
    """

    context: "ResponseContext"
    target: Target | None
    state: BranchState = BranchState.WAITING
    flow: Flow | None = None
    transaction: "Transaction[User] | None" = None
    again: bool = False

    def use(self, flow: Flow, now: float) -> None:
        """Go on over this flow: there is a connection to the target."""
        self.flow = flow
        self.context.handle_event(self, CONNECTED, now)

    @property
    def may_go_again(self) -> bool:
        """Whether its target, the only one that is left, may have a new connection for it.

        A target that has closed an idle connection, or has been restarted, serves the next one. The
        same octets with the same branch are no second request there (§17.2.3).
        """
        context = self.context
        return not (
            self.again
            or self is not context.active
            or context.targets
            or context.why  # another one has failed before
            or context.cancelled
            or context.finished
        )


@dataclass(slots=True, eq=False)
class ResponseContext:
    """One request on its way.

    Attributes:
        request: the request as it came; None, like `outgoing`, once there is a final response.
        number: its CSeq number.
        via: its topmost Via value, stamped with the peer's address, for responses of our own.
        tagged: whether its To has a tag.
        endpoint: the endpoint's address, for people; None within a dialog.
        targets: those that haven't been tried, the next one first.
        secure: whether it may only go over TLS on the way to the caller.
        active: the branch whose response is waited for.
        best: the best final response so far (§16.7 step 6).
        why: what went wrong last, for people.
        silent: whether a target didn't answer at all.
        to_caller: whether it goes to a dialog's caller, over the caller's flow.
        behind: its next Route, to be resolved should that flow be gone.
        reasons: the Reason fields of its CANCEL.
        too_large: the target for which a large request has been tried over TCP before UDP.
        attempt_at: when the active branch has had time enough to answer.
        timer_c_at: when Timer C fires (§16.8).
        trying_at: when a request other than INVITE gets its 100 (RFC 4320 §4.1).
        due: when `handle_timers` has to be called, or earlier: see `set_due`.
        queued: for the timer heap.
    """

    proxy: Surroundings
    request: Request | None
    invite: bool
    number: int
    peer: Peer
    via: bytes
    tagged: bool
    endpoint: str | None
    outgoing: OutgoingRequest | None
    targets: tuple[Target, ...]
    began: float
    server: "Transaction[User]"
    secure: bool = False
    active: Branch | None = None
    best: Response | None = None
    why: str = ""
    silent: bool = False
    to_caller: bool = False
    behind: SipUri | None = None
    reasons: bytes = b""
    cancelled: bool = False
    finished: bool = False
    too_large: Target | None = None
    attempt_at: float = inf
    timer_c_at: float = inf
    trying_at: float = inf
    due: float = inf
    queued: float = inf

    def set_due(self) -> None:
        """Note when the first of its timers fires; infinite for never."""
        first = self.attempt_at if self.attempt_at < self.timer_c_at else self.timer_c_at
        self.due = first if first < self.trying_at else self.trying_at

    # -- events ---------------------------------------------------------------------------------

    def handle_timers(self, now: float) -> None:
        """Do what is due at `now`, in seconds on the clock of all calls."""
        branch = self.active
        if now >= self.trying_at:
            self.trying_at = inf
            self.send_100(now)
        if now >= self.attempt_at:
            self.attempt_at = inf
            if branch is not None:
                self.handle_event(branch, BranchEvent.LATE, now)
        if now >= self.timer_c_at:
            self.timer_c_at = inf
            if branch is not None:
                self.handle_event(branch, BranchEvent.TOO_LONG, now)

    def handle_event(
        self, branch: Branch, event: BranchEvent, now: float, response: Response | None = None
    ) -> None:
        """Do what the table says for an event of a branch; `response` is given if it is the event.

        What has no row in the table is ignored.
        """
        row = TABLE.get((branch.state, event))
        if row is None:
            return
        branch.state, actions = row
        for action in actions:
            if action is SEND:
                self.proxy.send(branch, now)
            elif action is TAKE:
                assert response is not None
                self._take(branch, response, now)
            elif action is FORWARD:
                assert response is not None
                self._forward_provisional(response, now)
            elif action is TAKE_LATE:
                assert response is not None
                self._take_late(branch, response, now)
            elif action is FAIL:
                self._fail(branch, event, now)
            elif action is CANCEL:
                self._send_cancel(branch, now)
            elif action is QUIT and not self.finished:
                self.send_final_response(487, now)

    def cancel(self, reasons: bytes, now: float) -> None:
        """Cancel the request (§16.10); `reasons` are the Reason fields of CANCEL (RFC 3326 §2)."""
        if self.cancelled or self.finished or not self.invite:
            return
        self.cancelled = True
        self.reasons = reasons
        self.attempt_at = self.timer_c_at = inf
        self.proxy.counters.cancelled += 1
        if self.active is None:  # its targets are still being resolved
            self.send_final_response(487, now)
        else:
            self.handle_event(self.active, BranchEvent.CANCEL, now)

    def give_up(self, now: float) -> None:
        """Answer 500, since the daemon ends, and cancel the branch that is active."""
        if self.finished:
            return
        self.why = "the server stops"
        branch = self.active
        self.send_final_response(500, now)
        if branch is not None:
            self.handle_event(branch, BranchEvent.CANCEL, now)

    # -- responses of our own -------------------------------------------------------------------

    def send_100(self, now: float) -> None:
        """Send 100, which says only that the request has come (§8.2.6.1)."""
        request = self.request
        assert request is not None
        stamps = values(request, b"timestamp") if request.head.find(b"imestamp") >= 0 else ()
        fields = b"".join(b"Timestamp: %b\r\n" % stamp for stamp in stamps)
        data = respond(request, _STATUS_LINES[100], self.via, b"", fields)
        self.proxy.transactions.respond(self.server, 100, data, now)

    def send_final_response(self, status: int, now: float) -> None:
        """Send a final response of our own and close the context."""
        request, server, settings = self.request, self.server, self.proxy.settings
        assert request is not None
        tag = b"" if self.tagged else settings.tags.tag(request, self.number)
        fields = b""
        if status == 500:
            fields = unavailable(settings.retry_after, settings.agent, MISCELLANEOUS, self.why)
        data = respond(request, _STATUS_LINES[status], self.via, tag, fields)
        server.tag = tag or matching.tag_of(request.to or b"", "To")
        self.proxy.transactions.respond(server, status, data, now)
        self._finish(status)

    def retarget(self, send: Send["User"]) -> None:
        """Send a response whose connection is gone to where the requester listens (§18.2.2).

        That is the address that the request came from, with sent-by's port. If that port is the
        lost connection's own, nobody listens there.
        """
        flow = send.flow
        via = read_via(self.via)
        port = via.port or (DEFAULT_TLS_PORT if flow.transport == "tls" else DEFAULT_PORT)
        if flow.transport == "udp" or port == flow.peer_port:
            return
        name = via.host.decode("ascii").strip("[]").lower().rstrip(".")
        transport: Transport = "tls" if flow.transport == "tls" else "tcp"
        target = Target(transport, flow.peer_host, port, name, domain=name)
        response = RetargetedResponse(send.data, self.server)
        self.proxy.connect_requests.append(ConnectRequest(target, response))

    def _finish(self, status: int) -> None:
        request, branch = self.request, self.active
        assert request is not None
        target = None if branch is None else branch.target
        self.proxy.events.append(
            ProxyAnswered(
                request, self.peer, self.server.flow.transport, status, self.endpoint, target,
                self.why, None if target is None else self.began,
            )
        )  # fmt: skip
        self.proxy.close(self)

    # -- responses of targets -------------------------------------------------------------------

    def _forward_provisional(self, response: Response, now: float) -> None:
        self.attempt_at = inf
        # 100 is from one hop to the next, and others than INVITE get nothing else (RFC 4320 §4.1)
        if response.status == 100 or not self.invite or self.finished:
            return
        if not self.cancelled:
            self.timer_c_at = now + self.proxy.settings.timer_c  # §16.7 step 2
        self.proxy.transactions.respond(self.server, response.status, returned(response), now)
        self.proxy.counters.responses += 1

    def _take(self, branch: Branch, response: Response, now: float) -> None:
        """Take a final response of the active branch (§16.7 steps 4 to 6)."""
        status = response.status
        if self.finished:
            self._take_late(branch, response, now)
        elif status < 300:
            self._forward_final(response, now)
        elif status == 503:
            self.best = self.best or response
            self.why = f"{branch.target}: 503" if branch.target is not None else "503"
            self.proxy.counters.failures["503"] += 1
            self._fail_over(branch, "503 Service Unavailable", True, now)
        elif status == 408 and not self.invite:
            self.silent = True  # such a 408 must not be forwarded (RFC 4320 §4.2)
            self._conclude(now)
        else:
            self.best = response
            self._conclude(now)

    def _take_late(self, branch: Branch, response: Response, now: float) -> None:
        """Take a final response of another branch; a 2xx is forwarded (§16.7 step 5)."""
        status, server, proxy = response.status, self.server, self.proxy
        if not self.finished:
            if status < 300 or (not self.invite and status not in (408, 503)):
                active = self.active
                self._forward_final(response, now)
                if active is not None and active is not branch:  # §16.7 step 10
                    self.handle_event(active, BranchEvent.CANCEL, now)
            return
        if status >= 300 or not self.invite:
            return
        proxy.counters.responses += 1
        if server.state is TransactionState.ACCEPTED:
            proxy.transactions.respond(server, status, returned(response), now)
        else:
            proxy.counters.late += 1
            proxy.sends.append(Send(server.flow, returned(response), None))

    def _forward_final(self, response: Response, now: float) -> None:
        if response.status >= 300:  # its ACK will have the tag
            self.server.tag = _tag_of(response)
        self.proxy.counters.responses += 1
        self.proxy.transactions.respond(self.server, response.status, returned(response), now)
        self._finish(response.status)

    # -- failures -------------------------------------------------------------------------------

    def _fail(self, branch: Branch, event: BranchEvent, now: float) -> None:
        """Treat a failure as if the target had sent 408 or 503 (§16.8, §16.9)."""
        counted, why = _FAILURES[event]
        self.proxy.counters.failures[counted] += 1
        if self.finished or branch is not self.active:
            return
        gone = event in (BranchEvent.LOST, BranchEvent.UNREACHABLE)
        if gone and self.behind is not None and not self.cancelled:
            self.proxy.resolve_requests.append(ResolveRequest(self.behind, self))
            self.behind = self.active = None
            return
        unheard = event in (BranchEvent.LATE, BranchEvent.SILENCE, BranchEvent.TOO_LONG)
        if unheard:
            self.silent = True
        # `handle_connect_failed` knows better why there is no connection
        if event is not BranchEvent.NO_CONNECTION or not self.why:
            self.why = why if branch.target is None else f"{branch.target}: {why}"
        # silence within a dialog says little of the target: the dialog may be gone there
        blamed = event is not BranchEvent.TOO_LONG and not (unheard and self.endpoint is None)
        self._fail_over(branch, self.why, blamed, now)

    def _fail_over(self, branch: Branch, why: str, blamed: bool, now: float) -> None:
        """Go on to the next target (RFC 3263 §4.3), if there is one and it isn't too late."""
        if self.cancelled:
            self._conclude(now)
            return
        target, seconds = branch.target, self.proxy.settings.target_penalty
        if target is not None and blamed and self.proxy.blocklist.add(target, now + seconds):
            self.proxy.events.append(ProxyFailed(str(target), why, seconds))
        # after that time the sender of a request other than INVITE has stopped waiting
        in_time = self.invite or now < self.began + TIMEOUT
        call_id = None if self.request is None else self.request.call_id
        failed = ProxyFailedOver(call_id, self.why)
        if in_time and self.proxy.next_target(self, now):
            self.proxy.counters.failovers += 1
            self.proxy.events.append(failed)
        else:
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        """Send the best response that there is: no branch is active any more (§16.7 step 6)."""
        best = self.best
        if best is not None and best.status != 503:
            self._forward_final(best, now)
        elif self.cancelled:
            self.send_final_response(487, now)
        elif self.silent and self.invite:
            self.send_final_response(408, now)
        elif self.silent and best is None:  # to others than INVITE 408 is forbidden (RFC 4320 §4.2)
            self.proxy.transactions.end(self.server)
            self._finish(0)
        elif self.to_caller and best is None:
            self.send_final_response(430, now)  # RFC 5626 §5.3.1
        else:  # a 503 would be taken for our own (§16.7 step 6)
            self.send_final_response(500, now)

    def _send_cancel(self, branch: Branch, now: float) -> None:
        """Cancel a branch that has sent a provisional response (§9.1), if it is an INVITE's."""
        transaction, transactions = branch.transaction, self.proxy.transactions
        self.timer_c_at = inf
        if branch is self.active:
            self.targets = ()  # what has rung for so long isn't to begin elsewhere (§16.8)
        if transaction is None or branch.flow is None or not self.invite:
            return
        key = matching.client_key(transaction.key.partition(b" ")[2], b"CANCEL")
        request = cancel_of(transaction.message, self.reasons)
        transactions.request(key, request, branch.flow, None, now)
        transactions.give_up(transaction, now)


@dataclass(slots=True, eq=False)
class StatelessForward:
    """A request that is forwarded without a transaction: the ACK of a 2xx, BENOTIFY (§16.11).

    Attributes:
        target: where it goes; None for a dialog's caller.
        behind: its next Route, to be resolved should the caller's flow be gone.
        secure: whether it may only go over TLS.
    """

    outgoing: OutgoingRequest
    target: Target | None
    call_id: bytes | None
    behind: SipUri | None = None
    secure: bool = False


@dataclass(slots=True, eq=False)
class RetargetedResponse:
    """A response whose connection is gone, so that it needs a new one (§18.2.2)."""

    data: bytes
    server: "Transaction[User]"


#: What a message is sent for: a client transaction's for a branch, a server's for a context.
User: TypeAlias = Branch | ResponseContext | StatelessForward | None


@dataclass(slots=True)
class ConnectRequest:
    """A connection must be opened to a target."""

    target: Target
    waiter: Branch | StatelessForward | RetargetedResponse


@dataclass(slots=True)
class ResolveRequest:
    """A URI that isn't a pool's must be resolved to targets."""

    uri: SipUri
    waiter: ResponseContext | StatelessForward


def reasons_of(cancel: Request) -> bytes:
    """Give the Reason fields of a CANCEL, each with its CRLF; none where they are too long."""
    fields = b"".join(b"Reason: %b\r\n" % value for value in values(cancel, b"reason"))
    return fields if len(fields) <= _MAX_REASONS else b""


def _tag_of(response: Response) -> bytes:
    try:
        return matching.tag_of(response.to or b"", "To")
    except SipError:
        return b""
