"""The transaction layer does what the tables of its state machines say: every state, every event.

The layer has a shorter way for what each action does. Here an action does what its comment in
`state_machines` says, in as many words.
"""

from dataclasses import dataclass, replace
from itertools import product
from math import inf

import pytest

from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
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
)
from tests.recording_flow import RecordingFlow

NOW = 100.0
TABLES = {
    "INVITE_SERVER": INVITE_SERVER, "SERVER": SERVER, "CLIENT": CLIENT,
    "INVITE_CLIENT": INVITE_CLIENT,
}  # fmt: skip


@dataclass(slots=True)
class Expected:
    """What a table says of an event."""

    state: TransactionState
    resend_at: float
    end_at: float
    pause: float
    sends: int = 0
    notify: bool = False


def expected(
    table: Table, event: TransactionEvent, before: Expected, *, reliable: bool
) -> Expected:
    """The table's row, taken at its word."""
    after = replace(before)
    row = table.get((before.state, event))
    if row is None:
        return after
    if event is TransactionEvent.END:
        assert row[0] is TransactionState.TERMINATED
        assert TransactionAction.SEND not in row[1]
    after.state, actions = row
    for action in actions:
        match action:
            case TransactionAction.SEND:
                after.sends += 1
            case TransactionAction.NOTIFY:
                after.notify = True
            case TransactionAction.RESEND_LATER:
                after.pause = T1
                after.resend_at = inf if reliable else NOW + T1
            case TransactionAction.BACK_OFF:
                after.pause = min(2 * before.pause, T2)
                after.resend_at = NOW + after.pause
            case TransactionAction.DOUBLE:
                after.pause = 2 * before.pause
                after.resend_at = NOW + after.pause
            case TransactionAction.SLOWLY:
                after.resend_at = inf if reliable else NOW + T2
            case TransactionAction.NO_RESEND:
                after.resend_at = inf
            case TransactionAction.WAIT:
                after.end_at = NOW + TIMEOUT
            case TransactionAction.NO_END:
                after.end_at = inf
            case TransactionAction.ABSORB:
                after.end_at = NOW if reliable else NOW + TIMEOUT
            case TransactionAction.LINGER:
                after.end_at = NOW if reliable else NOW + T4
    if after.end_at <= NOW:
        after.state = TransactionState.TERMINATED
    if after.state is TransactionState.TERMINATED:
        after.resend_at = after.end_at = inf
    return after


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("name", TABLES)
def test_every_state_and_event(name: str, transport: str) -> None:
    """RFC 3261 figures 5 to 8, RFC 6026: messages, state, timers, and whether the user is told."""
    table = TABLES[name]
    states = (state for state in TransactionState if state is not TransactionState.TERMINATED)
    for state, event, pause in product(states, TransactionEvent, (T1, T2)):
        out: list[Send[str]] = []
        due: list[Transaction[str]] = []
        layer: Transactions[str] = Transactions(out, due.append)
        flow = RecordingFlow(transport)
        if table in (CLIENT, INVITE_CLIENT):
            invite = table is INVITE_CLIENT
            transaction = layer.request(b"key", b"message", flow, "user", 90.0, invite=invite)
        else:
            peer = Peer(b"192.0.2.1", 5060)
            invite = table is INVITE_SERVER
            transaction = layer.serve(b"key", flow, "user", peer, invite=invite)
        out.clear()
        due.clear()
        transaction.message = b"message"
        before = Expected(state, NOW + 1, NOW + 2, pause)
        transaction.state, transaction.pause = state, pause
        transaction.resend_at, transaction.end_at = before.resend_at, before.end_at
        transaction.queued = NOW + 1

        if event is TransactionEvent.END and (state, event) in table:  # it has its own way
            transaction.end_at = before.end_at = NOW
            notify = layer.handle_timers(transaction, NOW)
        else:
            notify = layer.handle_event(transaction, event, NOW)

        after = expected(table, event, before, reliable=transport != "udp")
        found = Expected(
            transaction.state, transaction.resend_at, transaction.end_at, transaction.pause,
            len(out), notify,
        )  # fmt: skip
        assert found == after, (state, event)
        assert all(send == Send(flow, b"message", "user") for send in out)
        ended = after.state is TransactionState.TERMINATED
        assert len(layer) == (not ended)
        assert flow.held == (not ended and name.endswith("SERVER"))
        # who keeps the time is told at least when it is earlier than known
        first = min(after.resend_at, after.end_at)
        assert due == [transaction] * (not ended and first < transaction.queued)
