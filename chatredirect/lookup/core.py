"""All lookups, sans-I/O: messages and time in, messages and events out.

Every call gets the time. What it leads to is collected in `sends` and `events`, which the caller
carries out before the next call; `next_timer` says when to call `handle_timers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.events import (
    LookupAnswered,
    LookupCounters,
    LookupEnded,
    LookupEvent,
    ReceivedRequest,
)
from chatredirect.lookup.session import (
    AWAIT_ACK,
    AWAIT_REQUEST,
    FORGET,
    NO_RESEND,
    RESEND,
    RESEND_LATER,
    SEND_BYE,
    TABLE,
    LookupSession,
    SessionAction,
    SessionEvent,
    SessionState,
)
from chatredirect.net.refusals import RefusalReason
from chatredirect.responses.counters import Counters
from chatredirect.responses.planned import PlannedResponse, write
from chatredirect.runtime.work_list import AT_ONCE
from chatredirect.sip.client_request import via
from chatredirect.sip.dialog import key_within
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, TagMaker
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.matching import client_key, server_key, tag_of
from chatredirect.sip.transaction.state_machines import T1, T2, TIMEOUT, TransactionEvent, event_of
from chatredirect.sip.transaction.timer_heap import TimerHeap

IDLE = 30.0
"""Seconds of silence after which a dialog is ended."""
PER_DIALOG = 4
"""Transactions that are allowed for each allowed dialog; a lookup has about as many."""

_TEXT = ((b"Content-Type", b"text/plain"),)
_REASONS = {
    SessionEvent.BYE: "bye",
    SessionEvent.REFUSED: "refused",
    SessionEvent.LOST: "lost",
    SessionEvent.STOPPING: "stopping",
}

User: TypeAlias = LookupSession | None
Waiting: TypeAlias = LookupSession | Transaction[User]


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """What a configuration says of lookups; it may be replaced at any time.

    Attributes:
        retry_after: seconds, for Retry-After.
        agent: our name in Warning header fields.
        dialogs: how many may be open.
    """

    tags: TagMaker
    retry_after: int
    agent: bytes
    dialogs: int


class LookupCore:
    """The tables and timers of all lookups.

    Attributes:
        settings: what the configuration says.
        sends: messages to send, in order.
        events: what the caller must log, and show to an observer.
        reports_all: whether `events` gets what isn't logged by default; only the caller sets it.
        counters: what happened so far.
        responses: counts of responses; who takes the uses.
        transactions: all server and client transactions.
        dialogs: the lookups by the key of their dialog.
        begins_until: when lookups are no longer begun, since the daemon is about to stop.
    """

    __slots__ = (
        "_count", "_deadlines", "_new_branch", "begins_until", "counters", "dialogs", "events",
        "reports_all", "responses", "sends", "settings", "transactions",
    )  # fmt: skip

    def __init__(
        self, settings: LookupSettings, new_branch: Callable[[], bytes], responses: Counters
    ) -> None:
        """Begin without lookups; `new_branch` makes unguessable branches (RFC 3261 §8.1.1.7)."""
        self.settings = settings
        self.reports_all = True
        self.responses = responses
        self._count = responses.answered
        self.sends: list[Send[User]] = []
        self.events: list[LookupEvent] = []
        self.counters = LookupCounters()
        self.begins_until = inf
        self.dialogs: dict[bytes, LookupSession] = {}
        self._deadlines: TimerHeap[Waiting] = TimerHeap()
        self.transactions: Transactions[User] = Transactions(self.sends, self._deadlines.changed)
        self._new_branch = new_branch

    # -- time ---------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When to call `handle_timers` next; None if nothing is due."""
        return self._deadlines.next()

    def handle_timers(self, now: float) -> None:
        """Do what is due, at most `AT_ONCE` of it: `next_timer` says whether there is more."""
        for _ in range(AT_ONCE):
            item = self._deadlines.pop(now)
            if item is None:
                return
            # a transaction loses its lookup when it ends
            lookup = item if isinstance(item, LookupSession) else item.user
            try:
                self._due(item, lookup, now)
            except Exception:  # it has left the timer heap, so nothing else would end it
                self._abandon(item, lookup)
                raise

    def _due(self, item: Waiting, lookup: LookupSession | None, now: float) -> None:
        if isinstance(item, LookupSession):
            expired = now >= item.expire_at
            self.handle_event(item, SessionEvent.EXPIRED if expired else SessionEvent.RESEND, now)
            return
        if now < item.end_at and now >= item.resend_at:
            self.counters.resent += 1
        if self.transactions.handle_timers(item, now) and lookup is not None:
            self._finish_request(item, lookup, 408, now)  # §8.1.3.1: a timeout is a 408

    def _abandon(self, item: Waiting, lookup: LookupSession | None) -> None:
        """End a transaction or a lookup that a fault of ours has hit; send nothing."""
        if not isinstance(item, LookupSession):
            self.transactions.end(item)
            if lookup is None or item.key != lookup.sent:
                return  # it is one of the client's, and its lookup doesn't wait for it
        assert lookup is not None
        if lookup.dialog.key in self.dialogs:
            lookup.state, lookup.why = SessionState.OVER, "fault"
            self._withdraw(lookup)
            self._forget(lookup)

    def lost(self, send: Send[User], now: float) -> None:
        """End the lookup whose message couldn't be sent, since its flow is gone."""
        if send.user is not None:
            self.handle_event(send.user, SessionEvent.LOST, now)

    # -- answering ----------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there is no room for another dialog."""
        return len(self.dialogs) >= self.settings.dialogs or self.crowded

    @property
    def crowded(self) -> bool:
        """Whether there is no room for another transaction."""
        return len(self.transactions) >= PER_DIALOG * self.settings.dialogs

    def respond_stateless(
        self,
        received: ReceivedRequest,
        response: PlannedResponse,
        endpoint: LookupEndpoint | None = None,
    ) -> None:
        """Answer a request without keeping anything of it (RFC 3261 §8.2.7)."""
        request, headers = received.request, received.headers
        tag = b"" if headers.in_dialog else self.settings.tags.tag(request, headers.number)
        data = write(request, headers, received.peer, response, tag)
        self.sends.append(Send(received.flow, data, None))
        self.report_answer(received, response, endpoint)

    def report_answer(
        self, received: ReceivedRequest, response: PlannedResponse, endpoint: LookupEndpoint | None
    ) -> None:
        """Count the response to a request, and report it."""
        over = received.flow.transport
        address = None if endpoint is None else endpoint.address
        self._count(response.status, received.request.method, over, address)
        if response.refusal is not None:
            self.responses.refusals.note(response.refusal, received.peer, over, address or "")
        if self.reports_all:
            self.events.append(LookupAnswered(received, response, address))

    def repeated(self, received: ReceivedRequest) -> bool:
        """Whether a request has come before; if so, send its response again.

        If another peer has sent it before, it gets 482: the response is for that peer alone.
        """
        transaction = self.transactions.server(received.key)
        if transaction is None:
            return False
        if self.transactions.server_of(received.key, received.peer) is None:
            response = PlannedResponse(482, refusal=RefusalReason.OTHER_PEER)
            self.respond_stateless(received, response)
            return True
        self.counters.retransmissions += 1
        self.transactions.repeated(transaction, received.flow, received.now)
        return True

    def acknowledge(self, ack: Request, headers: MandatoryHeaders, peer: Peer, now: float) -> bool:
        """Handle an ACK; False if it is for none of our responses."""
        if not peer.trusted:
            return False
        lookup = self.dialogs.get(key_within(ack, headers))
        if lookup is not None:
            if not peer.is_same_peer(lookup.peer):
                return False
            if lookup.answer and headers.number == lookup.answer_number:
                lookup.answer = b""
                lookup.offering = False  # whatever its answer is, there are no media
                self.handle_event(lookup, SessionEvent.ACK, now)
            return True
        transaction = self.transactions.server_of(server_key(ack, headers), peer)
        if transaction is None or transaction.tag != tag_of(headers.to, "To"):
            return False
        self.transactions.handle_event(transaction, TransactionEvent.ACK, now)
        return True

    # -- the state machine of a lookup --------------------------------------------------------

    def handle_event(self, lookup: LookupSession, event: SessionEvent, now: float) -> None:
        """Do what the table says for an event in a lookup's state."""
        row = TABLE.get((lookup.state, event))
        if row is None:
            return
        was = lookup.state
        lookup.state, acts = row
        why = _REASONS.get(event)
        if why is not None:
            lookup.why = lookup.why or why
        elif event is SessionEvent.EXPIRED:
            lookup.why = "no_ack" if was is SessionState.ANSWERED else "idle"
        for act in acts:
            self._do(act, lookup, now)
        if lookup.due < lookup.queued:
            self._deadlines.changed(lookup)

    def _do(self, act: SessionAction, lookup: LookupSession, now: float) -> None:
        # a chain of names of this module: `match` would look each up in its class
        if act is AWAIT_REQUEST:
            lookup.expire_at = now + IDLE
        elif act is NO_RESEND:
            lookup.resend_at = inf
        elif act is RESEND_LATER:
            lookup.pause = T1
            lookup.resend_at = now + T1
        elif act is AWAIT_ACK:
            lookup.expire_at = now + TIMEOUT
        elif act is FORGET:
            self._withdraw(lookup)
            self._forget(lookup)
        elif act is RESEND:
            self.counters.resent += 1
            self.sends.append(Send(lookup.flow, lookup.answer, lookup))
            lookup.pause = min(2 * lookup.pause, T2)
            lookup.resend_at = now + lookup.pause
        elif act is SEND_BYE:
            lookup.expire_at = inf
            self._withdraw(lookup)
            self._request(lookup, b"BYE", (), b"", now)

    def _withdraw(self, lookup: LookupSession) -> None:
        """End our open request, and forget the replies that wait for it."""
        lookup.waiting = ()
        transaction = self.transactions.client(lookup.sent)
        if transaction is not None:
            self.transactions.end(transaction)
        lookup.sent = b""

    def _forget(self, lookup: LookupSession) -> None:
        del self.dialogs[lookup.dialog.key]
        if lookup.held is not None:
            lookup.held.release()
        lookup.resend_at = lookup.expire_at = inf
        why = lookup.why
        ended = self.counters.ended
        ended[why] = ended.get(why, 0) + 1
        if why != "bye":
            self.events.append(LookupEnded(lookup))

    # -- our own requests ---------------------------------------------------------------------

    def _request(
        self,
        lookup: LookupSession,
        method: bytes,
        fields: tuple[tuple[bytes, bytes], ...],
        body: bytes,
        now: float,
    ) -> None:
        flow = lookup.flow
        branch = self._new_branch()
        value = via(flow.transport, lookup.endpoint.sent_by(flow), branch)
        if flow.transport != "udp":
            value = value.removesuffix(b";rport")  # responses come over the same connection
        lookup.sent = client_key(branch, method)
        data = lookup.dialog.request(method, value, fields, body)
        self.transactions.request(lookup.sent, data, flow, lookup, now)

    def handle_response(self, transaction: Transaction[User], status: int, now: float) -> None:
        """Handle the peer's response to a request of ours."""
        event, lookup = event_of(status), transaction.user
        if self.transactions.handle_event(transaction, event, now) and lookup is not None:
            self._finish_request(transaction, lookup, status, now)

    def _finish_request(
        self, transaction: Transaction[User], lookup: LookupSession, status: int, now: float
    ) -> None:
        """Go on after the final response to a request of ours, or after its timeout."""
        if transaction.key != lookup.sent:
            return
        lookup.sent = b""
        if transaction.key.startswith(b"BYE "):
            self.handle_event(lookup, SessionEvent.CLOSED, now)
        elif status in (408, 481):  # §12.2.1.2: the peer doesn't know the dialog
            self.handle_event(lookup, SessionEvent.REFUSED, now)
        elif lookup.waiting:
            body, *rest = lookup.waiting
            lookup.waiting = tuple(rest)
            self.reply(lookup, body, now)

    def reply(self, lookup: LookupSession, body: bytes, now: float) -> None:
        """Send a reply to a client's commands, when the one before has arrived.

        Two at a time could overtake each other over UDP.
        """
        if lookup.sent:
            lookup.waiting += (body,)
        else:
            self._request(lookup, b"INFO", _TEXT, body, now)
