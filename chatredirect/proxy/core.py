"""All requests that are being proxied: messages and time in, sends and events out.

The core has no socket, no clock and no log. Every call gives it the time. It collects what is to be
done in `sends`, `connect_requests`, `resolve_requests` and `events`; the caller carries it out
before the next call. `next_timer` says when the core must be called without a message. Requests are
checked in `new_requests` and `in_dialog`; a `ResponseContext` handles responses and timeouts.
"""

from collections import deque
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from math import inf

from chatredirect.net.refusals import RefusalReason
from chatredirect.net.target import Target
from chatredirect.proxy.branches import FINAL, BranchEvent, BranchState
from chatredirect.proxy.events import ProxyCounters, ProxyDropped, ProxyEvent
from chatredirect.proxy.interfaces import ConnectionPool, FlowNames
from chatredirect.proxy.known_targets import ServedPools, TargetBlocklist
from chatredirect.proxy.outgoing_request import BRANCH_COOKIE, LocalAddresses, OutgoingRequest
from chatredirect.proxy.response_context import (
    Branch,
    ConnectRequest,
    ResolveRequest,
    ResponseContext,
    RetargetedResponse,
    StatelessForward,
    User,
)
from chatredirect.proxy.settings import ProxySettings
from chatredirect.runtime.work_list import AT_ONCE
from chatredirect.sip.flow import Flow
from chatredirect.sip.forwarding import ack_of
from chatredirect.sip.message import Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import (
    FAILURE,
    PROVISIONAL,
    TransactionState,
    event_of,
)
from chatredirect.sip.transaction.timer_heap import TimerHeap

MAX_UDP = 1300
"""Octets of a request; a larger one goes over TCP, if it can (RFC 3261 §18.1.1)."""
PER_OPEN = 8
"""Transactions for each request that may be open: most of them only absorb retransmissions."""
TRYING_AFTER = 3.5
"""Seconds until timer E has come to T2, so that a 100 is due (RFC 4320 §4.1): 0.5 + 1 + 2."""

_WITHOUT_RESPONSE = (TransactionState.CALLING, TransactionState.TRYING)
_WITHOUT_FINAL = (*_WITHOUT_RESPONSE, TransactionState.PROCEEDING)


class ProxyCore:
    """The tables and timers of all requests that are being proxied.

    Attributes:
        draining: whether requests outside of dialogs are refused, since the daemon ends.
        open: the contexts that have had no final response.
        peers: how many open contexts each peer has, by its address.
    """

    def __init__(
        self,
        settings: ProxySettings,
        connection_pool: ConnectionPool,
        flow_names: FlowNames,
        random64: Callable[[], int],
    ) -> None:
        """Begin without requests.

        Args:
            settings: may be exchanged at any time, with `go_by`.
            random64: gives 64 random bits, so that nobody can guess a branch (RFC 3261 §8.1.1.7).
        """
        self.settings = settings
        self.connection_pool = connection_pool
        self.flow_names = flow_names
        self.local_addresses = LocalAddresses(settings.advertise, settings.record_route_host)
        self.blocklist = TargetBlocklist()
        self.served = ServedPools()
        self.draining = False
        self.sends: list[Send[User]] = []
        self.connect_requests: list[ConnectRequest] = []
        self.resolve_requests: list[ResolveRequest] = []
        self.events: list[ProxyEvent] = []
        self.counters = ProxyCounters()
        self.open: set[ResponseContext] = set()
        self.peers: dict[bytes, int] = {}
        self._random64 = random64
        # branches whose flow failed, and how: `handle_timers` fails them
        self._losses: deque[tuple[Branch, Flow, BranchEvent]] = deque()
        self._deadlines: TimerHeap[ResponseContext | Transaction[User]] = TimerHeap()
        self.transactions: Transactions[User] = Transactions(self.sends, self._deadlines.changed)

    def go_by(self, settings: ProxySettings, now: float) -> None:
        """Go by a configuration from now on, the first one or another."""
        self.served.serve(settings.pools, settings.left, settings.target_grace, now)
        names = settings.advertise, settings.record_route_host
        if names != (self.settings.advertise, self.settings.record_route_host):
            self.local_addresses = LocalAddresses(*names)
        self.settings = settings

    # -- time ---------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When something is due; None if nothing is."""
        return -inf if self._losses else self._deadlines.next()

    def handle_timers(self, now: float) -> None:
        """Do what is due, `AT_ONCE` of it at most: `next_timer` says whether there is more."""
        for _ in range(AT_ONCE):
            if self._losses:
                branch, flow, event = self._losses.popleft()
                if branch.flow is not flow:
                    continue  # it has another one by now
                if event is BranchEvent.LOST:
                    self._lost(branch, now)
                else:
                    self._not_reached(branch, now)
                continue
            item = self._deadlines.pop(now)
            if item is None:
                return
            try:
                self._due(item, now)
            except Exception:  # whatever it is: nothing else would end the request
                self.abandon(item, now)
                raise

    def _due(self, item: ResponseContext | Transaction[User], now: float) -> None:
        if isinstance(item, ResponseContext):
            item.handle_timers(now)
            self._changed(item)
            return
        if now >= item.resend_at and now < item.end_at:
            self.counters.resent += 1
        branch = item.user  # which the transaction loses when it ends
        if self.transactions.handle_timers(item, now) and isinstance(branch, Branch):
            with self.ending_at_fault(branch.context, now):
                branch.context.handle_event(branch, BranchEvent.SILENCE, now)

    @contextmanager
    def ending_at_fault(
        self, item: ResponseContext | Transaction[User], now: float
    ) -> Iterator[None]:
        """Call `abandon` if a fault of ours hits a request, or a transaction and its request.

        It may have no timer any more, or not yet, so that nothing else would end it. What is done
        for every message has its own `try`: a context manager takes a microsecond.
        """
        try:
            yield
        except Exception:  # whatever it is: nothing else would end the request
            self.abandon(item, now)
            raise

    def abandon(self, item: ResponseContext | Transaction[User], now: float) -> None:
        """End a transaction or a request that a fault of ours has hit; its sender gets 500."""
        if isinstance(item, ResponseContext):
            user: User = item
        else:
            user = item.user
            self.transactions.end(item)
        context = user.context if isinstance(user, Branch) else user
        if not isinstance(context, ResponseContext) or context.finished:
            return
        context.why = "a fault of ours"
        try:
            context.send_final_response(500, now)
        finally:
            if not context.finished:  # not even that could be done
                self.transactions.end(context.server)
                self.close(context)

    # -- open requests ------------------------------------------------------------------------

    def limit_reached(self, peer: Peer) -> RefusalReason | None:
        """The limit that keeps one more request of this peer from being open; None if none does."""
        settings = self.settings
        if (
            len(self.open) >= settings.transactions
            or len(self.transactions) >= PER_OPEN * settings.transactions
        ):
            return RefusalReason.TRANSACTIONS
        if self.peers.get(peer.host, 0) >= settings.transactions_per_peer:
            return RefusalReason.TRANSACTIONS_PER_PEER
        return None

    def open_context(self, context: ResponseContext, now: float) -> None:
        """Count a new context as open; an INVITE gets its 100 at once (§16.2)."""
        self.open.add(context)
        host = context.peer.host
        self.peers[host] = self.peers.get(host, 0) + 1
        if context.invite:
            context.send_100(now)
        else:
            context.trying_at = now + TRYING_AFTER

    def close(self, context: ResponseContext) -> None:
        """A context has had its final response: only its transactions go on."""
        context.finished = True
        if not context.invite:
            context.server.user = None  # it only sends that response again
        context.request = None
        context.outgoing = None
        context.active = None
        context.best = None
        context.targets = ()
        context.attempt_at = context.timer_c_at = context.trying_at = context.due = inf
        self.open.discard(context)
        host = context.peer.host
        left = self.peers[host] - 1
        if left:
            self.peers[host] = left
        else:
            del self.peers[host]

    # -- sending ------------------------------------------------------------------------------

    def next_target(self, context: ResponseContext, now: float) -> bool:
        """Send a request to the next of its targets; whether there was one left."""
        if not context.targets:
            return False
        target, *others = context.targets
        context.targets = tuple(others)
        branch = context.active = Branch(context, target)
        if others:
            context.attempt_at = now + self.settings.attempt_timeout
        else:
            context.attempt_at = inf
        if context.invite:
            context.timer_c_at = now + self.settings.timer_c
        self._reach(branch, target, now)
        self._changed(context)
        return True

    def to_flow(self, context: ResponseContext, flow: Flow, now: float) -> None:
        """Send a request over the flow of a dialog's caller."""
        branch = context.active = Branch(context, None)
        if context.invite:
            context.timer_c_at = now + self.settings.timer_c
        branch.use(flow, now)
        self._changed(context)

    def _changed(self, context: ResponseContext) -> None:
        context.set_due()
        self._deadlines.changed(context)

    def _reach(self, branch: Branch, target: Target, now: float) -> None:
        flow = self._flow_to(target, branch)
        if flow is not None:
            branch.use(flow, now)

    def _flow_to(
        self, target: Target, waiter: Branch | StatelessForward, gone: Flow | None = None
    ) -> Flow | None:
        """The flow to a target; if there is none except `gone`, ask for a connection."""
        try:
            flow = self.connection_pool.reach(target)
        except Exception:  # connecting meets the same fault, logs it and fails the branch
            flow = None
        if flow is None or flow is gone:
            self.connect_requests.append(ConnectRequest(target, waiter))
            return None
        return flow

    def send(self, branch: Branch, now: float) -> None:
        """Send a branch's request over its flow (§16.6 steps 8 to 10)."""
        context, flow, target = branch.context, branch.flow, branch.target
        outgoing = context.outgoing
        assert outgoing is not None  # it goes only when a final response has been given
        assert flow is not None
        name = self._new_branch(outgoing)
        data = self._write(outgoing, flow, name, target)
        if (
            len(data) > MAX_UDP
            and target is not None
            and target.transport == "udp"
            and context.too_large is not target
            and not self.blocklist.has(over_tcp := replace(target, transport="tcp"), now)
        ):  # §18.1.1: over TCP, and over UDP should that fail
            context.too_large = target
            context.targets = (target, *context.targets)
            context.attempt_at = now + self.settings.attempt_timeout
            branch.target, branch.state = over_tcp, BranchState.WAITING
            self._reach(branch, over_tcp, now)
            return
        key = matching.client_key(name, outgoing.method)
        branch.transaction = self.transactions.request(
            key, data, flow, branch, now, invite=context.invite
        )

    def forward_stateless(self, request: StatelessForward, flow: Flow | None) -> None:
        """Send a request without a transaction (§16.11), over this flow or else to its target."""
        if flow is None:
            if request.target is None:
                self.forward_lost(request)
                return
            flow = self._flow_to(request.target, request)
            if flow is None:
                return
        name = self._new_branch(request.outgoing)
        data = self._write(request.outgoing, flow, name, request.target)
        self.sends.append(Send(flow, data, request))
        self.counters.forwarded["stateless"] += 1

    def forward_lost(self, request: StatelessForward) -> None:
        """A stateless request has no connection: resolve its next Route, or drop it."""
        behind, request.behind = request.behind, None
        if behind is not None:
            self.resolve_requests.append(ResolveRequest(behind, request))
        else:
            gone = "flow_gone" if request.target is None else "no_way"
            self.events.append(ProxyDropped(request.call_id, gone))

    def _new_branch(self, outgoing: OutgoingRequest) -> bytes:
        """Make a branch: unique, with the mark that a loop is detected by (§16.6 step 8)."""
        return b"%b%b%016x" % (BRANCH_COOKIE, outgoing.loop, self._random64())

    def _write(
        self, outgoing: OutgoingRequest, flow: Flow, branch: bytes, target: Target | None
    ) -> bytes:
        local = self.local_addresses.of(flow)
        return outgoing.write(self.settings.record_route, local, branch, target)

    # -- results of connecting, resolving and sending -------------------------------------------

    def handle_connected(self, wanted: ConnectRequest, now: float, flow: Flow) -> None:
        """A connection to a target is open."""
        waiter = wanted.waiter
        if isinstance(waiter, StatelessForward):
            self.forward_stateless(waiter, flow)
        elif isinstance(waiter, RetargetedResponse):
            waiter.server.flow = flow
            self.sends.append(Send(flow, waiter.data, None))
        elif waiter.again:
            self._send_again(waiter, flow, now)
        elif waiter.state is BranchState.WAITING and waiter.target is wanted.target:
            with self.ending_at_fault(waiter.context, now):
                waiter.use(flow, now)

    def handle_connect_failed(self, wanted: ConnectRequest, now: float, why: str) -> None:
        """A connection to a target could not be opened."""
        waiter = wanted.waiter
        if isinstance(waiter, StatelessForward):
            self.events.append(ProxyDropped(waiter.call_id, "no_way"))
        elif isinstance(waiter, RetargetedResponse):
            self.events.append(ProxyDropped(None, "no_way"))
        elif waiter.again:
            self._lost(waiter, now)
        elif waiter.state is BranchState.WAITING and waiter.target is wanted.target:
            waiter.context.why = f"{wanted.target}: {why}"
            with self.ending_at_fault(waiter.context, now):
                waiter.context.handle_event(waiter, BranchEvent.NO_CONNECTION, now)

    def handle_resolved(
        self, wanted: ResolveRequest, now: float, targets: tuple[Target, ...]
    ) -> None:
        """The targets of a Route's next entry are known; none if it leads nowhere.

        They are a peer's choice, so only those that are trusted are followed.
        """
        waiter = wanted.waiter
        follows = self.settings.follows
        trusted = [
            target
            for target in targets
            if follows(target) and (target.transport == "tls" or not waiter.secure)
        ]
        order = self.blocklist.sort(trusted, now)
        if isinstance(waiter, StatelessForward):
            if order:
                waiter.target = order[0]
                self.forward_stateless(waiter, None)
            else:
                self.forward_lost(waiter)
            return
        if waiter.finished:
            return
        waiter.targets = order
        with self.ending_at_fault(waiter, now):
            if not self.next_target(waiter, now):
                waiter.why = "the caller's connection is gone, and the next Route leads to nobody"
                if targets:
                    waiter.why += " who is trusted"
                waiter.send_final_response(430, now)  # RFC 5626 §5.3.1

    def unsent(self, send: Send[User], now: float) -> None:
        """A message couldn't be sent: its flow is gone."""
        user = send.user
        if isinstance(user, ResponseContext):
            user.retarget(send)
        elif isinstance(user, StatelessForward):
            self.forward_lost(user)
        elif user is not None and user.transaction is not None:
            self._lost(user, now)

    def lost(self, flow: Flow) -> None:
        """A connection is gone, and with it the responses that were to come over it."""
        self._fail_later(lambda each: each is flow, BranchEvent.LOST)

    def unreachable(self, targets: Set[tuple[str, int]]) -> None:
        """ICMP says that datagrams don't get to these addresses and ports (§18.4).

        Only branches without any response fail: a response proves more than ICMP does.
        """
        self._fail_later(
            lambda flow: flow.transport == "udp" and (flow.peer_host, flow.peer_port) in targets,
            BranchEvent.UNREACHABLE,
        )

    def _fail_later(self, has_failed: Callable[[Flow], bool], event: BranchEvent) -> None:
        """Let `handle_timers` fail the active branches whose flow has failed."""
        for context in self.open:
            branch = context.active
            if branch is None or branch.flow is None or branch.transaction is None:
                continue
            if has_failed(branch.flow):
                self._losses.append((branch, branch.flow, event))

    def _not_reached(self, branch: Branch, now: float) -> None:
        transaction = branch.transaction
        if transaction is not None and transaction.state in _WITHOUT_RESPONSE:
            self.transactions.end(transaction)
            with self.ending_at_fault(branch.context, now):
                branch.context.handle_event(branch, BranchEvent.UNREACHABLE, now)

    def _lost(self, branch: Branch, now: float) -> None:
        transaction = branch.transaction
        if transaction is None or transaction.state not in _WITHOUT_FINAL:
            return
        target = branch.target
        if target is not None and branch.may_go_again:
            branch.again = True
            gone, branch.flow = branch.flow, None
            flow = self._flow_to(target, branch, gone)
            if flow is not None:
                self._send_again(branch, flow, now)
            return
        self.transactions.end(transaction)
        branch.context.why = "the connection is gone"
        with self.ending_at_fault(branch.context, now):
            branch.context.handle_event(branch, BranchEvent.LOST, now)

    def _send_again(self, branch: Branch, flow: Flow, now: float) -> None:
        transaction = branch.transaction
        if transaction is None or transaction.state not in _WITHOUT_FINAL:
            return
        if branch.context.cancelled or branch.context.finished:
            self._lost(branch, now)
            return
        branch.flow = transaction.flow = flow
        self.sends.append(Send(flow, transaction.message, branch))

    # -- responses ----------------------------------------------------------------------------

    def respond(self, response: Response, transaction: Transaction[User], now: float) -> None:
        """Take a response to a request that we have sent."""
        branch = transaction.user
        event = event_of(response.status)
        if event is FAILURE and isinstance(branch, Branch) and branch.context.invite:
            invite = transaction.message if transaction.state in _WITHOUT_FINAL else b""
            ack = ack_of(invite, response.to or b"") if invite else b""
            notify = self.transactions.refused(transaction, ack, now)
        else:
            notify = self.transactions.handle_event(transaction, event, now)
            if notify and event is not PROVISIONAL:
                transaction.message = b""  # it won't be sent again
        if not isinstance(branch, Branch):
            return
        context = branch.context
        if event is PROVISIONAL:  # also to others than INVITE: it says that the target lives
            context.handle_event(branch, BranchEvent.PROVISIONAL, now, response)
        elif notify:  # the transaction stays: a 2xx that comes again is forwarded all the same
            try:
                context.handle_event(branch, FINAL, now, response)
            except Exception:  # nothing else would end the request
                self.abandon(context, now)
                raise
        if not context.finished:
            self._changed(context)
