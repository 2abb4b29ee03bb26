"""All requests that are being proxied: messages and time in, sends and events out.

No socket, no clock, no log. Every call is told the time. The core collects what is to be
done in `sends`, `connect_requests`, `resolve_requests` and `events`; the caller carries it out
before the next call. `next_timer` says when the core must be called without a message. Requests are
checked in `new_requests` and `in_dialog`; a `ResponseContext` handles responses and timeouts.
"""

from collections import deque
from collections.abc import Callable, Set
from dataclasses import replace
from math import inf

from chatredirect.net.target import Target
from chatredirect.proxy.branches import BranchEvent, BranchState
from chatredirect.proxy.events import ProxyCounters, ProxyDropped, ProxyEvent, ProxyFailed
from chatredirect.proxy.interfaces import ConnectionPool, ConnectRequest, FlowNames, ResolveRequest
from chatredirect.proxy.local_addresses import LocalAddresses
from chatredirect.proxy.outgoing_request import COOKIE
from chatredirect.proxy.response_context import (
    Branch,
    ResponseContext,
    RetargetedResponse,
    Seeking,
    StatelessForward,
    User,
    Waiter,
)
from chatredirect.proxy.served_pools import ServedPools
from chatredirect.proxy.settings import ProxySettings
from chatredirect.proxy.target_blocklist import TargetBlocklist
from chatredirect.runtime.work_list import AT_ONCE
from chatredirect.sip.flow import Flow
from chatredirect.sip.forwarding import ack_of
from chatredirect.sip.message import Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import INVITE_CLIENT, event_of
from chatredirect.sip.transaction.state_machines import TransactionEvent as Heard
from chatredirect.sip.transaction.state_machines import TransactionState as Being
from chatredirect.sip.transaction.timer_heap import TimerHeap

LARGE = 1300
"""Octets of a request over which UDP isn't right for it (RFC 3261 §18.1.1)."""
PER_OPEN = 8
"""Transactions for each request that may be open: most of them only absorb retransmissions."""
TRYING_AFTER = 3.5
"""Seconds until timer E has come to T2, so that a 100 is due (RFC 4320 §4.1): 0.5 + 1 + 2."""

_UNANSWERED = (Being.CALLING, Being.TRYING, Being.PROCEEDING)


class ProxyCore:
    """The tables and the time of all requests that are being proxied.

    Attributes:
        settings: what the configuration says.
        ways: the connections to targets.
        names: knows flows by name.
        local_addresses: our own addresses, for Via and Record-Route.
        blocklist: targets that have just failed.
        served: the pools that are proxied for.
        draining: whether nothing new is begun any more.
        sends: messages that are to be sent, in order.
        connect_requests: connections that the caller must open.
        resolve_requests: URIs that the caller must resolve.
        events: what the caller must log and count.
        counters: what happened so far.
        transactions: all of them, ours and theirs.
        open: requests without a final response.
        peers: how many of them each peer has.
    """

    __slots__ = (
        "_deadlines",
        "_losses",
        "_random64",
        "blocklist",
        "connect_requests",
        "counters",
        "draining",
        "events",
        "local_addresses",
        "names",
        "open",
        "peers",
        "resolve_requests",
        "sends",
        "served",
        "settings",
        "transactions",
        "ways",
    )  # fmt: skip

    def __init__(
        self,
        settings: ProxySettings,
        ways: ConnectionPool,
        names: FlowNames,
        random64: Callable[[], int],
    ) -> None:
        """Begin with none.

        Args:
            settings: may be exchanged at any time, with `go_by`.
            ways: the ways to targets.
            names: the names of flows.
            random64: gives 64 random bits, so that nobody can guess a branch (RFC 3261 §8.1.1.7).
        """
        self.settings = settings
        self.ways = ways
        self.names = names
        self.local_addresses = LocalAddresses(settings.advertise)
        self.blocklist = TargetBlocklist()
        self.served = ServedPools()
        self.draining = False
        self.sends: list[Send[User]] = []
        self.connect_requests: list[ConnectRequest[Waiter]] = []
        self.resolve_requests: list[ResolveRequest[Seeking]] = []
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
        if settings.advertise != self.settings.advertise:
            self.local_addresses = LocalAddresses(settings.advertise)
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
            except Exception:  # it waits for no time any more, so nothing else would end it
                self._abandon(item, now)
                raise

    def _due(self, item: ResponseContext | Transaction[User], now: float) -> None:
        if isinstance(item, ResponseContext):
            item.handle_timers(now)
            self._deadlines.changed(item)
            return
        if now < item.end_at and now >= item.resend_at:
            self.counters.resent += 1
        if self.transactions.handle_timers(item, now) and isinstance(item.user, Branch):
            item.user.context.handle_event(item.user, BranchEvent.SILENCE, now)

    def _abandon(self, item: ResponseContext | Transaction[User], now: float) -> None:
        """A fault of ours has hit a transaction or a request: it ends, and its sender gets 500."""
        user: ResponseContext | User = item if isinstance(item, ResponseContext) else item.user
        if not isinstance(item, ResponseContext):
            self.transactions.end(item)
        context = user.context if isinstance(user, Branch) else user
        if not isinstance(context, ResponseContext) or context.finished:
            return
        context.why = "a fault of ours"
        try:
            context.send_final_response(500, now)
        finally:
            if not context.finished:  # not even that could be done
                assert context.server is not None
                self.transactions.end(context.server)
                self.close(context)

    def changed(self, context: ResponseContext) -> None:
        """A context may be due at another time than before."""
        self._deadlines.changed(context)

    # -- room ---------------------------------------------------------------------------------

    def room_for(self, source: Peer) -> bool:
        """Whether one more request of this peer may be open."""
        settings = self.settings
        return (
            len(self.open) < settings.transactions
            and len(self.transactions) < PER_OPEN * settings.transactions
            and self.peers.get(source.host, 0) < settings.transactions_per_peer
        )

    @property
    def idle(self) -> bool:
        """Whether no request waits for its final response."""
        return not self.open

    def begin(self, context: ResponseContext, key: bytes, flow: Flow, now: float) -> None:
        """Open the context of a request and send it on.

        Args:
            context: the new context, with its targets.
            key: the key of its server transaction.
            flow: the way back.
            now: seconds on the clock of all calls.
        """
        self.admit(context, key, flow, now)
        self.next_target(context, now)

    def admit(self, context: ResponseContext, key: bytes, flow: Flow, now: float) -> None:
        """Open the context of a request; §16.2 answers an INVITE with 100 at once."""
        self.open.add(context)
        host = context.source.host
        self.peers[host] = self.peers.get(host, 0) + 1
        context.server = self.transactions.serve(
            key, flow, context, context.source, invite=context.invite
        )
        if context.invite:
            context.send_100(now)
        else:
            context.trying_at = now + TRYING_AFTER

    def close(self, context: ResponseContext) -> None:
        """A context has had its final response: what is left is for its transactions."""
        context.finished = True
        context.request = None
        context.outgoing = None
        context.best = None
        context.targets = []
        context.attempt_at = context.c_at = context.trying_at = inf
        self.open.discard(context)
        host = context.source.host
        left = self.peers[host] - 1
        if left:
            self.peers[host] = left
        else:
            del self.peers[host]

    def target_failed(self, target: Target, why: str, now: float) -> None:
        """Try a target last for a while, since it has failed."""
        seconds = self.settings.target_penalty
        if self.blocklist.add(target, now + seconds):
            self.events.append(ProxyFailed(str(target), why, seconds))

    # -- sending ------------------------------------------------------------------------------

    def next_target(self, context: ResponseContext, now: float) -> bool:
        """Send a request to the next of its targets; whether there was one left."""
        if not context.targets:
            return False
        target = context.targets.pop(0)
        branch = context.active = Branch(context, target)
        if context.targets:
            context.attempt_at = now + self.settings.attempt_timeout
        else:
            context.attempt_at = inf
        if context.invite:
            context.c_at = now + self.settings.timer_c
        self._reach(branch, target, now)
        self._deadlines.changed(context)
        return True

    def to_flow(self, context: ResponseContext, flow: Flow, now: float) -> None:
        """Send a request over the flow of a dialog's caller."""
        branch = context.active = Branch(context, None)
        context.to_caller = True
        if context.invite:
            context.c_at = now + self.settings.timer_c
        branch.flow = flow
        branch.context.handle_event(branch, BranchEvent.WAY, now)
        self._deadlines.changed(context)

    def _reach(self, branch: Branch, target: Target, now: float) -> None:
        flow = self._way(target)
        if flow is None:
            self.connect_requests.append(ConnectRequest(target, branch))
        else:
            branch.flow = flow
            branch.context.handle_event(branch, BranchEvent.WAY, now)

    def _way(self, target: Target) -> Flow | None:
        """The open connection to a target, if there is one."""
        try:
            return self.ways.reach(target)
        except Exception:  # dialling meets the same fault, logs it and fails the branch
            return None

    def send(self, branch: Branch, now: float) -> None:
        """Send a branch's request over its flow (§16.6 steps 8 to 10)."""
        context, flow, target = branch.context, branch.flow, branch.target
        outgoing = context.outgoing
        assert outgoing is not None  # it goes only when a final response has been given
        assert flow is not None
        side = self.local_addresses.of(flow)
        name = self.new_branch(outgoing.loop)
        data = outgoing.write(self.settings.record_route, side, name, target)
        if (
            len(data) > LARGE
            and target is not None
            and target.transport == "udp"
            and context.too_large is not target
            and not self.blocklist.punished(over_tcp := replace(target, transport="tcp"), now)
        ):  # §18.1.1: over TCP, and over UDP should that not go
            context.too_large = target
            context.targets.insert(0, target)
            context.attempt_at = now + self.settings.attempt_timeout
            branch.target, branch.state = over_tcp, BranchState.WAITING
            self._reach(branch, over_tcp, now)
            return
        branch.transaction = self.transactions.request(
            matching.client_key(name, outgoing.method),
            data,
            flow,
            branch,
            now,
            invite=context.invite,
        )

    def new_branch(self, loop: bytes) -> bytes:
        """A branch: it is like no other, and says what a loop is known by (§16.6 step 8)."""
        return b"%b%b%016x" % (COOKIE, loop, self._random64())

    def run(self, stateless: StatelessForward, flow: Flow | None, now: float) -> None:
        """Send a request on without a transaction (§16.11).

        Args:
            stateless: the ACK or BENOTIFY to forward.
            flow: the way to its target, where it is known.
            now: seconds on the clock of all calls.
        """
        if flow is None and stateless.target is not None:
            flow = self._way(stateless.target)
            if flow is None:
                self.connect_requests.append(ConnectRequest(stateless.target, stateless))
                return
        assert flow is not None
        outgoing = stateless.outgoing
        branch = self.new_branch(outgoing.loop)
        side = self.local_addresses.of(flow)
        data = outgoing.write(self.settings.record_route, side, branch, stateless.target)
        self.sends.append(Send(flow, data, stateless))
        self.counters.sent_on("stateless")

    def forward_lost(self, stateless: StatelessForward) -> None:
        """A stateless request has no connection: resolve its next Route, or drop it."""
        behind, stateless.behind = stateless.behind, None
        if behind is not None:
            self.resolve_requests.append(ResolveRequest(behind, stateless))
        else:
            gone = "flow_gone" if stateless.target is None else "no_way"
            self.events.append(ProxyDropped(stateless.call_id, gone))

    # -- results of connecting, resolving and sending -------------------------------------------

    def handle_connected(self, dial: ConnectRequest[Waiter], flow: Flow, now: float) -> None:
        """A connection to a target is open."""
        waiting = dial.waiting
        if isinstance(waiting, StatelessForward):
            self.run(waiting, flow, now)
        elif isinstance(waiting, RetargetedResponse):
            waiting.server.flow = flow
            self.sends.append(Send(flow, waiting.data, None))
        elif waiting.again:
            self._send_again(waiting, flow, now)
        elif waiting.state is BranchState.WAITING and waiting.target is dial.target:
            waiting.flow = flow
            waiting.context.handle_event(waiting, BranchEvent.WAY, now)

    def handle_connect_failed(self, dial: ConnectRequest[Waiter], now: float, why: str) -> None:
        """A connection to a target could not be opened."""
        waiting = dial.waiting
        if isinstance(waiting, StatelessForward):
            self.events.append(ProxyDropped(waiting.call_id, "no_way"))
        elif isinstance(waiting, RetargetedResponse):
            self.events.append(ProxyDropped(None, "no_way"))
        elif waiting.again:
            self._lost(waiting, now)
        elif waiting.state is BranchState.WAITING and waiting.target is dial.target:
            waiting.context.why = f"{dial.target}: {why}"
            waiting.context.handle_event(waiting, BranchEvent.NO_WAY, now)

    def found(self, seek: ResolveRequest[Seeking], now: float, targets: tuple[Target, ...]) -> None:
        """The targets of a Route's next entry are known, or that it has none.

        They are a peer's choice, so only those that are trusted are followed.
        """
        context = seek.waiting
        follows = self.settings.follows
        trusted = [
            target
            for target in targets
            if follows(target) and (target.transport == "tls" or not context.secure)
        ]
        order = self.blocklist.sort(trusted, now)
        if isinstance(context, StatelessForward):
            if order:
                context.target = order[0]
                self.run(context, None, now)
            else:
                self.forward_lost(context)
            return
        if context.finished:
            return
        context.targets = order
        if not self.next_target(context, now):
            context.why = "the caller's connection is gone, and the next Route leads to nobody"
            if targets:
                context.why += " who is trusted"
            context.send_final_response(430, now)  # RFC 5626 §5.3.1

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
        """A connection is gone, and with it the responses that were to come over it.

        What that leads to is due at once: see `handle_timers`.
        """
        for context in self.open:
            branch = context.active
            if branch is not None and branch.flow is flow and branch.transaction is not None:
                self._losses.append((branch, flow, BranchEvent.LOST))

    def unreachable(self, targets: Set[tuple[str, int]]) -> None:
        """ICMP says that datagrams don't get to these addresses and ports (§18.4).

        It is for who has heard nothing from there yet: who has been answered knows better. What it
        leads to is due at once: see `handle_timers`.
        """
        for context in self.open:
            branch = context.active
            if branch is None or branch.flow is None or branch.transaction is None:
                continue
            flow = branch.flow
            if flow.transport == "udp" and (flow.peer_host, flow.peer_port) in targets:
                self._losses.append((branch, flow, BranchEvent.UNREACHABLE))

    def _not_reached(self, branch: Branch, now: float) -> None:
        transaction = branch.transaction
        if transaction is not None and transaction.state in (Being.CALLING, Being.TRYING):
            self.transactions.end(transaction)
            branch.context.handle_event(branch, BranchEvent.UNREACHABLE, now)

    def _lost(self, branch: Branch, now: float) -> None:
        transaction = branch.transaction
        if transaction is not None and transaction.state in _UNANSWERED:
            if self._may_go_again(branch):
                branch.again = True
                gone, branch.flow = branch.flow, None
                flow = self._way(branch.target) if branch.target is not None else None
                if flow is not None and flow is not gone:
                    self._send_again(branch, flow, now)
                elif branch.target is not None:
                    self.connect_requests.append(ConnectRequest(branch.target, branch))
                return
            self.transactions.end(transaction)
            branch.context.why = "the connection is gone"
            branch.context.handle_event(branch, BranchEvent.LOST, now)

    def _may_go_again(self, branch: Branch) -> bool:
        """Whether its target, the only one that is left, may have a new connection for it.

        A target that has closed an idle connection, or has been restarted, serves the next one. The
        same octets with the same branch are no second request there (§17.2.3).
        """
        context = branch.context
        return not (
            branch.again
            or branch.target is None
            or branch is not context.active
            or context.targets
            or context.why  # another one has failed before
            or context.cancelled
            or context.finished
        )

    def _send_again(self, branch: Branch, flow: Flow, now: float) -> None:
        transaction = branch.transaction
        if transaction is None or transaction.state not in _UNANSWERED:
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
        if event is Heard.FAILURE and transaction.table is INVITE_CLIENT:
            invite = transaction.message if transaction.state in _UNANSWERED else b""
            ack = ack_of(invite, response.to or b"") if invite else b""
            told = self.transactions.refused(transaction, ack, now)
        else:
            told = self.transactions.handle_event(transaction, event, now)
            if event is Heard.PROVISIONAL:
                told = True  # also to others than INVITE: it says that the target lives
            elif told:
                transaction.message = b""  # it won't be sent again
        if told and isinstance(branch, Branch):
            what = BranchEvent.PROVISIONAL if event is Heard.PROVISIONAL else BranchEvent.FINAL
            branch.context.handle_event(branch, what, now, response)
            self._deadlines.changed(branch.context)
