"""All transactions: what is new, what is a retransmission, what is sent again and when.

The layer has no clock and no heap: every call gets the time in seconds, and the owner of the layer
calls `handle_timers` when a transaction is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from chatredirect.sip.flow import Flow, reliable
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.state_machines import (
    ACCEPTED,
    CALLING,
    CLIENT,
    END,
    INVITE_CLIENT,
    INVITE_SERVER,
    PROCEEDING,
    RESEND,
    SERVER,
    T1,
    TERMINATED,
    TIMEOUT,
    TRYING,
    TransactionEvent,
    TransactionState,
    event_of,
)
from chatredirect.sip.transaction.steps import Steps, steps_of

U = TypeVar("U")

_INVITE_SERVER, _SERVER = steps_of(INVITE_SERVER), steps_of(SERVER)
_INVITE_CLIENT, _CLIENT = steps_of(INVITE_CLIENT), steps_of(CLIENT)


@dataclass(slots=True, eq=False)
class Transaction(Generic[U]):
    """One transaction.

    Attributes:
        key: see `matching`.
        steps: the state machine, made ready to be carried out.
        flow: what its messages are sent over; of a server the flow that its request came on last.
        user: the transaction user (RFC 3261 §17); None once the transaction has ended, since the
            user may hold the transaction.
        message: a client's request or ACK, or a server's last response, while it may have to be
            sent again.
        peer: a server's client; no other peer can repeat, acknowledge or cancel its request.
        held: a server's flow, until the final response has been sent.
        tag: a server's To tag, if an RFC 2543 client's ACK must have it.
        merged: see `matching.merged_key`; None if it has none.
        pause: seconds until the next retransmission.
        resend_at: when the next retransmission is due; infinite for never.
        end_at: when the state ends; infinite for never.
        due: when `handle_timers` has to be called: the earlier of both.
        queued: when the owner calls `handle_timers` at the latest; only the owner writes it.
        complained: whether a response that wasn't accepted has been logged already.
    """

    key: bytes
    steps: Steps
    state: TransactionState
    flow: Flow
    user: U | None
    message: bytes = b""
    peer: Peer | None = None
    held: Flow | None = None
    tag: bytes = b""
    merged: bytes | None = None
    pause: float = T1
    resend_at: float = inf
    end_at: float = inf
    due: float = inf
    queued: float = inf
    complained: bool = False


@dataclass(slots=True)
class Send(Generic[U]):
    """A message to be sent over a flow. The user is notified if the flow is gone."""

    flow: Flow
    data: bytes
    user: U | None


class Transactions(Generic[U]):
    """The server and client transactions of one element."""

    __slots__ = ("_changed", "_clients", "_merged", "_out", "_servers")

    def __init__(self, out: list[Send[U]], changed: Callable[[Transaction[U]], None]) -> None:
        """Begin without transactions.

        Messages to be sent are appended to `out`; `changed` is called for a transaction that is due
        earlier than `Transaction.queued` says, but not when it has ended.
        """
        self._out = out
        self._changed = changed
        self._servers: dict[bytes, Transaction[U]] = {}
        self._clients: dict[bytes, Transaction[U]] = {}
        self._merged: set[bytes] = set()

    def __len__(self) -> int:
        """How many transactions there are."""
        return len(self._servers) + len(self._clients)

    # -- servers ------------------------------------------------------------------------------

    def server(self, key: bytes) -> Transaction[U] | None:
        """The server transaction with this key, of any peer."""
        return self._servers.get(key)

    def server_of(self, key: bytes, peer: Peer) -> Transaction[U] | None:
        """The server transaction with this key that this peer began.

        A trusted peer shares its address with others on the same host, and with who forges it over
        UDP. So a peer that isn't trusted gets no transaction of one that is.
        """
        transaction = self._servers.get(key)
        if transaction is None or transaction.peer is None:
            return transaction
        began = transaction.peer
        theirs = peer.is_same_peer(began) and (peer.trusted or not began.trusted)
        return transaction if theirs else None

    def is_merged(self, merged: bytes) -> bool:
        """Whether this request has come already on another path (RFC 3261 §8.2.2.2)."""
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
        """Begin a server transaction for a new request; `respond` sends its responses."""
        steps, state = (_INVITE_SERVER, PROCEEDING) if invite else (_SERVER, TRYING)
        transaction = Transaction(key, steps, state, flow, user, b"", peer, flow, tag, merged)
        flow.hold()
        self._servers[key] = transaction
        if merged is not None:
            self._merged.add(merged)
        return transaction

    def respond(self, transaction: Transaction[U], status: int, data: bytes, now: float) -> None:
        """Send a response."""
        transaction.message = data
        self.handle_event(transaction, event_of(status), now)
        if status >= 200 and transaction.held is not None:
            _release(transaction)
        if transaction.state is ACCEPTED:
            transaction.message = b""  # the user retransmits a 2xx (RFC 6026 §7.1)

    def repeated(self, transaction: Transaction[U], flow: Flow, now: float) -> None:
        """Handle a retransmission of its request that came over this flow."""
        transaction.flow = flow
        self.handle_event(transaction, TransactionEvent.REQUEST, now)

    # -- clients ------------------------------------------------------------------------------

    def client(self, key: bytes | None) -> Transaction[U] | None:
        """The client transaction with this key."""
        return None if key is None else self._clients.get(key)

    def request(
        self, key: bytes, data: bytes, flow: Flow, user: U, now: float, *, invite: bool = False
    ) -> Transaction[U]:
        """Send a request other than ACK."""
        steps, state = (_INVITE_CLIENT, CALLING) if invite else (_CLIENT, TRYING)
        transaction = Transaction(key, steps, state, flow, user, data)
        self._clients[key] = transaction
        self._out.append(Send(flow, data, user))
        transaction.due = transaction.end_at = now + TIMEOUT  # timers B and F
        if not reliable(flow):
            transaction.due = transaction.resend_at = now + T1  # timers A and E
        self._changed(transaction)
        return transaction

    def refused(self, transaction: Transaction[U], ack: bytes, now: float) -> bool:
        """Handle a 3xx to 6xx response to an INVITE, or its retransmission.

        The ACK (RFC 3261 §17.1.1.3) replaces the INVITE; it is empty if it has replaced it already.

        Returns:
            Whether to notify the user.
        """
        if ack:
            transaction.message = ack
        return self.handle_event(transaction, TransactionEvent.FAILURE, now)

    def give_up(self, transaction: Transaction[U], now: float) -> None:
        """Wait at most 64*T1 for the response to an INVITE that was cancelled (§9.1)."""
        transaction.end_at = now + TIMEOUT
        transaction.due = min(transaction.resend_at, transaction.end_at)
        self._changed(transaction)

    # -- events of both -----------------------------------------------------------------------

    def handle_timers(self, transaction: Transaction[U], now: float) -> bool:
        """Do what is due; whether to notify the user of a timeout."""
        if now >= transaction.end_at:
            # in every table this event leads to TERMINATED, and nothing is sent
            step = transaction.steps.get((transaction.state, END))
            if step is None:
                return False
            self.end(transaction)
            return step[-1]
        if now >= transaction.resend_at:
            self.handle_event(transaction, RESEND, now)
        return False

    def handle_event(
        self, transaction: Transaction[U], event: TransactionEvent, now: float
    ) -> bool:
        """Do what the state machine says for an event; whether to notify the user."""
        step = transaction.steps.get((transaction.state, event))
        if step is None:
            return False
        transaction.state, send, quiet, resend, lasts, always, notify = step
        if send:
            self._out.append(Send(transaction.flow, transaction.message, transaction.user))
        if quiet:
            transaction.resend_at = inf
        elif resend is not None:
            resend(transaction, now)
        if lasts is not None:
            over = not always and reliable(transaction.flow)
            transaction.end_at = now if over else now + lasts
        resend_at, end_at = transaction.resend_at, transaction.end_at
        if now >= end_at or transaction.state is TERMINATED:
            self.end(transaction)
        else:
            transaction.due = due = resend_at if resend_at < end_at else end_at
            if due < transaction.queued:
                self._changed(transaction)
        return notify

    def end(self, transaction: Transaction[U]) -> None:
        """End a transaction, also one whose flow is gone (RFC 3261 §17.1.4, §17.2.4)."""
        table = self._clients if transaction.peer is None else self._servers
        if table.get(transaction.key) is transaction:
            del table[transaction.key]
        if transaction.merged is not None:
            self._merged.discard(transaction.merged)
        transaction.state = TERMINATED
        transaction.resend_at = transaction.end_at = transaction.due = inf
        transaction.user = None
        if transaction.held is not None:
            _release(transaction)


def _release(transaction: Transaction[U]) -> None:
    held, transaction.held = transaction.held, None
    if held is not None:
        held.release()
