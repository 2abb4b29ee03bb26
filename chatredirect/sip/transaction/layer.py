"""All transactions: what is new, what is a retransmission, what is sent again and when.

The layer has no clock and no heap of its own. Every call is told the time; when the
time at which a transaction is due may have changed, its owner hears of it (`changed`), and calls
`handle_timers` at that time. What is to be sent is put into the owner's list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from chatredirect.sip.flow import Flow, reliable
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.state_machines import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    T1,
    T2,
    T4,
    TIMEOUT,
    Table,
    TransactionAction,
    TransactionEvent,
    TransactionState,
    event_of,
)

U = TypeVar("U")


@dataclass(slots=True, eq=False)
class Transaction(Generic[U]):
    """One transaction.

    Attributes:
        key: tells it from the others.
        table: its state machine.
        state: where it is.
        flow: what its messages go over; a server's answer goes to where the request came from last.
        user: whoever wants to hear of it.
        peer: whom a server's request came from; nobody else can repeat, confirm or cancel it.
        message: a client's request, or its ACK; a server's last answer; as far as it may have to be
            sent again.
        tag: a server's To tag, where an older client's ACK has to have it.
        merged: see `keys.merged_key`; None where it has none.
        pause: seconds until the next resending.
        resend_at: when; infinite for never.
        end_at: when its state ends.
        held: a server's flow, until the request has had its final response.
        complained: whether people have been told of a response to it that wasn't taken.
        queued: for whoever keeps the times; the layer never looks at it.
    """

    key: bytes
    table: Table
    state: TransactionState
    flow: Flow
    user: U
    message: bytes = b""
    tag: bytes = b""
    merged: bytes | None = None
    pause: float = T1
    resend_at: float = inf
    end_at: float = inf
    queued: float = inf
    peer: Peer | None = None
    held: Flow | None = None
    complained: bool = False

    @property
    def due(self) -> float:
        """When something is to be done for it; infinite for never."""
        return self.resend_at if self.resend_at < self.end_at else self.end_at


@dataclass(slots=True)
class Send(Generic[U]):
    """A message to be sent over a flow, for a user who is told if the flow is gone."""

    flow: Flow
    data: bytes
    user: U


class Transactions(Generic[U]):
    """The transactions of one element, servers and clients."""

    __slots__ = ("_changed", "_clients", "_merged", "_out", "_servers")

    def __init__(self, out: list[Send[U]], changed: Callable[[Transaction[U]], None]) -> None:
        """Begin without any.

        Args:
            out: is given what is to be sent.
            changed: is told of a transaction that may be due at another time than before.
        """
        self._out = out
        self._changed = changed
        self._servers: dict[bytes, Transaction[U]] = {}
        self._clients: dict[bytes, Transaction[U]] = {}
        self._merged: set[bytes] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._servers) + len(self._clients)

    # -- servers ------------------------------------------------------------------------------

    def server(self, key: bytes) -> Transaction[U] | None:
        """The server transaction with this key, whoever began it."""
        return self._servers.get(key)

    def server_of(self, key: bytes, peer: Peer) -> Transaction[U] | None:
        """The server transaction with this key that this peer began.

        Who has shown a certificate shares its address with others on the same host, or with who
        forges it over UDP: what a trusted peer began is not for those who aren't trusted.
        """
        transaction = self._servers.get(key)
        if transaction is None or transaction.peer is None:
            return transaction
        began = transaction.peer
        theirs = peer.is_same_peer(began) and (peer.trusted or not began.trusted)
        return transaction if theirs else None

    def is_merged(self, merged: bytes) -> bool:
        """Whether this request has come already by another way (RFC 3261 §8.2.2.2)."""
        return merged in self._merged

    def serve(
        self,
        key: bytes,
        flow: Flow,
        user: U,
        peer: Peer,
        *,
        invite: bool,
        tag: bytes = b"",
        merged: bytes | None = None,
    ) -> Transaction[U]:
        """Begin one for a request that is new; it is to be answered with `respond`."""
        table, state = (
            (INVITE_SERVER, TransactionState.PROCEEDING)
            if invite
            else (SERVER, TransactionState.TRYING)
        )
        transaction = Transaction(key, table, state, flow, user, b"", tag, merged, peer=peer)
        transaction.held = flow
        flow.hold()
        self._servers[key] = transaction
        if merged is not None:
            self._merged.add(merged)
        return transaction

    def respond(self, transaction: Transaction[U], status: int, data: bytes, now: float) -> None:
        """Send a response."""
        transaction.message = data
        self.happen(transaction, event_of(status), now)
        if status >= 200:
            _let_go(transaction)
        if transaction.state is TransactionState.ACCEPTED:
            transaction.message = b""  # repeating it is the user's business (RFC 6026 §7.1)

    def repeated(self, transaction: Transaction[U], flow: Flow, now: float) -> None:
        """Its request has come again, over this flow."""
        transaction.flow = flow
        self.happen(transaction, TransactionEvent.REQUEST, now)

    # -- clients ------------------------------------------------------------------------------

    def client(self, key: bytes | None) -> Transaction[U] | None:
        """The client transaction with this key."""
        return None if key is None else self._clients.get(key)

    def request(
        self, key: bytes, data: bytes, flow: Flow, user: U, now: float, *, invite: bool = False
    ) -> Transaction[U]:
        """Send a request other than ACK."""
        table, state = (
            (INVITE_CLIENT, TransactionState.CALLING)
            if invite
            else (CLIENT, TransactionState.TRYING)
        )
        transaction = Transaction(key, table, state, flow, user, data)
        self._clients[key] = transaction
        self._out.append(Send(flow, data, user))
        if not reliable(flow):
            transaction.resend_at = now + T1  # timers A and E
        transaction.end_at = now + TIMEOUT  # timers B and F
        self._changed(transaction)
        return transaction

    def refused(self, transaction: Transaction[U], ack: bytes, now: float) -> bool:
        """An INVITE's answer is 3xx to 6xx, again perhaps; whether its user is to hear.

        Args:
            transaction: a client's.
            ack: its ACK (RFC 3261 §17.1.1.3), which is kept in the INVITE's place; empty if it is
                kept already.
            now: seconds on the clock of all calls.
        """
        if ack:
            transaction.message = ack
        return self.happen(transaction, TransactionEvent.FAILURE, now)

    def give_up(self, transaction: Transaction[U], now: float) -> None:
        """Wait no longer than 64*T1 for an INVITE's answer: it has been cancelled (§9.1)."""
        transaction.end_at = now + TIMEOUT
        self._changed(transaction)

    # -- what happens to both -----------------------------------------------------------------

    def handle_timers(self, transaction: Transaction[U], now: float) -> bool:
        """A time of its own has come; whether its user is to hear that it has timed out."""
        if now >= transaction.end_at:
            return self.happen(transaction, TransactionEvent.END, now)
        if now >= transaction.resend_at:
            self.happen(transaction, TransactionEvent.RESEND, now)
        return False

    def happen(self, transaction: Transaction[U], event: TransactionEvent, now: float) -> bool:
        """Look up what an event means in its state, and do it; whether its user is to hear."""
        row = transaction.table.get((transaction.state, event))
        if row is None:
            return False
        transaction.state, acts = row
        told = False
        for act in acts:
            if act is TransactionAction.TELL:
                told = True
            else:
                self._do(act, transaction, now)
        if transaction.state is TransactionState.TERMINATED or now >= transaction.end_at:
            self._forget(transaction)
        else:
            self._changed(transaction)
        return told

    def end(self, transaction: Transaction[U]) -> None:
        """Forget one whose messages can't be sent any more (RFC 3261 §17.1.4, §17.2.4)."""
        self._forget(transaction)

    def _do(self, act: TransactionAction, transaction: Transaction[U], now: float) -> None:
        unreliable = not reliable(transaction.flow)
        match act:  # the most frequent first
            case TransactionAction.NO_RESEND:
                transaction.resend_at = inf
            case TransactionAction.SEND:
                self._out.append(Send(transaction.flow, transaction.message, transaction.user))
            case TransactionAction.WAIT:
                transaction.end_at = now + TIMEOUT
            case TransactionAction.ABSORB:
                transaction.end_at = now + (TIMEOUT if unreliable else 0)
            case TransactionAction.LINGER:
                transaction.end_at = now + (T4 if unreliable else 0)
            case TransactionAction.NO_END:
                transaction.end_at = inf
            case TransactionAction.RESEND_LATER:
                transaction.pause = T1
                transaction.resend_at = now + T1 if unreliable else inf
            case TransactionAction.BACK_OFF:
                transaction.pause = min(2 * transaction.pause, T2)
                transaction.resend_at = now + transaction.pause
            case TransactionAction.DOUBLE:
                transaction.pause *= 2
                transaction.resend_at = now + transaction.pause
            case TransactionAction.SLOWLY:
                transaction.resend_at = now + T2 if unreliable else inf

    def _forget(self, transaction: Transaction[U]) -> None:
        transaction.state = TransactionState.TERMINATED
        ours = transaction.table is CLIENT or transaction.table is INVITE_CLIENT
        table = self._clients if ours else self._servers
        if table.get(transaction.key) is transaction:
            del table[transaction.key]
        if transaction.merged is not None:
            self._merged.discard(transaction.merged)
        transaction.resend_at = transaction.end_at = inf
        _let_go(transaction)
        self._changed(transaction)


def _let_go(transaction: Transaction[U]) -> None:
    held, transaction.held = transaction.held, None
    if held is not None:
        held.release()
