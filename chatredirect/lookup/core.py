"""All lookups: messages and time in, messages and events out. No socket, no clock, no log.

Every call is told the time. What it leads to is collected in `sends` and `events`, for the caller
to carry out before the next call; when something is due by itself, `next_timer` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup import session, uas_checks
from chatredirect.lookup.events import LookupAnswered, LookupCounters, LookupEnded, LookupEvent
from chatredirect.lookup.session import TABLE, LookupSession, SessionAction, SessionEvent
from chatredirect.responses.planned import PlannedResponse
from chatredirect.runtime.work_list import AT_ONCE
from chatredirect.sip.client_request import via
from chatredirect.sip.dialog import key_within
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, TagMaker, reply_port
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction import state_machines as transactions
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import T1, T2, TIMEOUT
from chatredirect.sip.transaction.timer_heap import TimerHeap

IDLE = 30.0
"""Seconds of silence after which a dialog is ended."""
PER_DIALOG = 4
"""Transactions for each dialog that there may be; a lookup has about as many."""

User: TypeAlias = LookupSession | None
Waiting: TypeAlias = LookupSession | Transaction[User]


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """What a configuration says; a new one is for what comes from then on.

    Attributes:
        tags: makes To tags.
        retry_after: seconds, for Retry-After.
        agent: our name in Warning header fields.
        dialogs: how many there may be.
    """

    tags: TagMaker
    retry_after: int
    agent: bytes
    dialogs: int


class LookupCore:
    """The tables and the time of all lookups.

    Attributes:
        settings: what the configuration says.
        sends: messages that are to be sent, in order.
        events: what the caller must log and count.
        counters: what happened so far.
        transactions: all of them, ours and theirs.
        dialogs: the lookups by the key of their dialog.
        begins_until: when no more lookups are begun, since the daemon is about to stop.
    """

    __slots__ = (
        "_deadlines",
        "_new_branch",
        "begins_until",
        "counters",
        "dialogs",
        "events",
        "sends",
        "settings",
        "transactions",
    )  # fmt: skip

    def __init__(self, settings: LookupSettings, new_branch: Callable[[], bytes]) -> None:
        """Begin with none.

        Args:
            settings: may be exchanged at any time.
            new_branch: makes a branch that nobody can guess (RFC 3261 §8.1.1.7).
        """
        self.settings = settings
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
        """When something is due; None if nothing is."""
        return self._deadlines.next()

    def handle_timers(self, now: float) -> None:
        """Do what is due, `AT_ONCE` of it at most: `next_timer` says whether there is more."""
        for _ in range(AT_ONCE):
            item = self._deadlines.pop(now)
            if item is None:
                return
            try:
                self._due(item, now)
            except Exception:  # it waits for no time any more, so nothing else would end it
                self._abandon(item)
                raise

    def _due(self, item: Waiting, now: float) -> None:
        if isinstance(item, LookupSession):
            self.happen(
                item, SessionEvent.EXPIRED if now >= item.expire_at else SessionEvent.RESEND, now
            )
            return
        if now < item.end_at and now >= item.resend_at:
            self.counters.resent += 1
        if self.transactions.handle_timers(item, now) and item.user is not None:
            self.answered(item, item.user, 408, now)  # §8.1.3.1: silence is a 408

    def _abandon(self, item: Waiting) -> None:
        """A fault of ours has hit a transaction or a lookup: it ends without a word."""
        lookup = item if isinstance(item, LookupSession) else item.user
        if not isinstance(item, LookupSession):
            self.transactions.end(item)
            if lookup is None or item.key != lookup.sent:
                return  # it is one of the client's, and its lookup doesn't wait for it
        assert lookup is not None
        if lookup.dialog.key in self.dialogs:
            lookup.state, lookup.why = session.SessionState.OVER, "fault"
            self._withdraw(lookup)
            self._forget(lookup)

    def hang_up(self, lookup: LookupSession, now: float) -> None:
        """End a dialog, if it may be ended: we are about to stop."""
        self.happen(lookup, SessionEvent.STOPPING, now)

    def lost(self, send: Send[User], now: float) -> None:
        """A message couldn't be sent: its flow is gone."""
        if send.user is not None:
            self.happen(send.user, SessionEvent.LOST, now)

    # -- answering ----------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there is no room for another dialog."""
        return len(self.dialogs) >= self.settings.dialogs or self.crowded

    @property
    def crowded(self) -> bool:
        """Whether there is no room for another transaction."""
        return len(self.transactions) >= PER_DIALOG * self.settings.dialogs

    def refuse(
        self,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        flow: Flow,
        refusal: PlannedResponse,
        endpoint: LookupEndpoint | None = None,
    ) -> None:
        """Answer without keeping anything of it (RFC 3261 §8.2.7)."""
        tag = b"" if envelope.in_dialog else self.settings.tags.tag(request, envelope.number)
        data = uas_checks.write(request, envelope, source, refusal, tag)
        self.sends.append(Send(flow, data, None))
        self.report_answer(request, source, refusal, flow, endpoint)

    def report_answer(
        self,
        request: Request,
        source: Peer,
        refusal: PlannedResponse,
        flow: Flow,
        endpoint: LookupEndpoint | None,
    ) -> None:
        """Report the response to a request, for the log and the counters."""
        address = None if endpoint is None else endpoint.address
        why = refusal.phrase or ""
        self.events.append(
            LookupAnswered(
                request, source, refusal.status, address, flow.transport, why, refusal.fields
            )
        )

    def repeated(
        self,
        key: bytes,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath,
        now: float,
    ) -> bool:
        """Deal with a request of a trusted peer that has come before; whether it has.

        One that another peer has sent before gets 482: its answer is that peer's alone.
        """
        transaction = self.transactions.server(key)
        if transaction is None:
            return False
        flow = reach.flow(reply_port(envelope.via, source))
        if self.transactions.server_of(key, source) is None:
            self.refuse(request, envelope, source, flow, PlannedResponse(482))
            return True
        self.counters.retransmissions += 1
        self.transactions.repeated(transaction, flow, now)
        return True

    # -- ACK and CANCEL -----------------------------------------------------------------------

    def acknowledge(
        self, ack: Request, envelope: MandatoryHeaders, source: Peer, now: float
    ) -> bool:
        """Take an ACK; whether it was for one of our answers."""
        if not source.trusted:
            return False
        lookup = self.dialogs.get(key_within(ack, envelope))
        if lookup is not None:
            if not source.is_same_peer(lookup.peer):
                return False
            if lookup.answer and envelope.number == lookup.answer_number:
                lookup.answer = b""
                lookup.offering = False  # whatever its answer is, there are no media
                self.happen(lookup, SessionEvent.ACK, now)
            return True
        transaction = self.transactions.server_of(matching.server_key(ack, envelope), source)
        if transaction is None or transaction.tag != matching.tag_of(envelope.to, "To"):
            return False
        self.transactions.handle_event(transaction, transactions.TransactionEvent.ACK, now)
        return True

    def cancels(self, cancel: Request, envelope: MandatoryHeaders, source: Peer) -> bool:
        """Whether there is an INVITE of this peer that a CANCEL is about (RFC 3261 §9.2).

        It has been answered, so there is nothing left to be cancelled.
        """
        key = matching.cancelled_key(cancel, envelope)
        return self.transactions.server_of(key, source) is not None

    # -- what happens to a lookup -------------------------------------------------------------

    def happen(self, lookup: LookupSession, event: SessionEvent, now: float) -> None:
        """Look up what an event means in its state, and do it."""
        row = TABLE.get((lookup.state, event))
        if row is None:
            return
        was, lookup.state = lookup.state, row[0]
        if event in _REASONS:
            lookup.why = lookup.why or _REASONS[event]
        elif event is SessionEvent.EXPIRED:
            lookup.why = "no_ack" if was is session.SessionState.ANSWERED else "idle"
        for act in row[1]:
            self._do(act, lookup, now)
        self._deadlines.changed(lookup)

    def _do(self, act: SessionAction, lookup: LookupSession, now: float) -> None:
        match act:
            case SessionAction.RESEND_LATER:
                lookup.pause = T1
                lookup.resend_at = now + T1
            case SessionAction.RESEND:
                self.counters.resent += 1
                self.sends.append(Send(lookup.flow, lookup.answer, lookup))
                lookup.pause = min(2 * lookup.pause, T2)
                lookup.resend_at = now + lookup.pause
            case SessionAction.NO_RESEND:
                lookup.resend_at = inf
            case SessionAction.AWAIT_ACK:
                lookup.expire_at = now + TIMEOUT
            case SessionAction.AWAIT_REQUEST:
                lookup.expire_at = now + IDLE
            case SessionAction.SEND_BYE:
                lookup.expire_at = inf
                self._withdraw(lookup)
                self.request(lookup, b"BYE", (), b"", now)
            case SessionAction.FORGET:
                self._withdraw(lookup)
                self._forget(lookup)

    def _withdraw(self, lookup: LookupSession) -> None:
        """Nothing that we have sent needs an answer any more."""
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
            call_id = lookup.dialog.call_id
            self.events.append(LookupEnded(lookup.endpoint.address, lookup.caller, call_id, why))

    # -- our own requests ---------------------------------------------------------------------

    def request(
        self,
        lookup: LookupSession,
        method: bytes,
        fields: tuple[tuple[bytes, bytes], ...],
        body: bytes,
        now: float,
    ) -> None:
        """Send a request of ours within a lookup's dialog, over its flow."""
        flow = lookup.flow
        branch = self._new_branch()
        value = via(flow.transport, lookup.endpoint.sent_by(flow), branch)
        if flow.transport != "udp":
            value = value.removesuffix(b";rport")  # answers come over the same connection
        lookup.sent = matching.client_key(branch, method)
        data = lookup.dialog.request(method, value, fields, body)
        self.transactions.request(lookup.sent, data, flow, lookup, now)

    def respond(self, transaction: Transaction[User], status: int, now: float) -> None:
        """Take the peer's response to a request of ours."""
        event = transactions.event_of(status)
        if self.transactions.handle_event(transaction, event, now) and transaction.user is not None:
            self.answered(transaction, transaction.user, status, now)

    def answered(
        self, transaction: Transaction[User], lookup: LookupSession, status: int, now: float
    ) -> None:
        """A request of ours got its final answer, or never will."""
        if transaction.key != lookup.sent:
            return
        lookup.sent = b""
        if transaction.key.startswith(b"BYE "):
            self.happen(lookup, SessionEvent.CLOSED, now)
        elif status in (408, 481):  # §12.2.1.2: the peer doesn't know the dialog
            self.happen(lookup, SessionEvent.REFUSED, now)
        elif lookup.waiting:
            body, *rest = lookup.waiting
            lookup.waiting = tuple(rest)
            self.reply(lookup, body, now)

    def reply(self, lookup: LookupSession, body: bytes, now: float) -> None:
        """Send a reply to a client's commands, when the one before has arrived.

        One after the other, since over UDP the second could overtake the first.
        """
        if lookup.sent:
            lookup.waiting += (body,)
        else:
            self.request(lookup, b"INFO", _TEXT, body, now)


_TEXT = ((b"Content-Type", b"text/plain"),)
_REASONS = {
    SessionEvent.BYE: "bye",
    SessionEvent.REFUSED: "refused",
    SessionEvent.LOST: "lost",
    SessionEvent.STOPPING: "stopping",
}
