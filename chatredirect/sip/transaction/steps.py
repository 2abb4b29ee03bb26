"""The tables of the state machines, made ready to be carried out.

Whoever handles an event finds what to do without comparing actions one by one.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol, TypeAlias

from chatredirect.sip.flow import Flow, reliable
from chatredirect.sip.transaction.state_machines import (
    ABSORB,
    BACK_OFF,
    DOUBLE,
    LINGER,
    NO_END,
    NO_RESEND,
    NOTIFY,
    RESEND_LATER,
    SEND,
    SLOWLY,
    T1,
    T2,
    T4,
    TIMEOUT,
    WAIT,
    Table,
    TransactionAction,
    TransactionEvent,
    TransactionState,
)


class _Timers(Protocol):
    """The timers of a transaction, whoever its user is."""

    flow: Flow
    pause: float
    resend_at: float


def _resend_later(transaction: _Timers, now: float) -> None:
    transaction.pause = T1
    transaction.resend_at = inf if reliable(transaction.flow) else now + T1


def _back_off(transaction: _Timers, now: float) -> None:
    transaction.pause = min(2 * transaction.pause, T2)
    transaction.resend_at = now + transaction.pause


def _double(transaction: _Timers, now: float) -> None:
    transaction.pause *= 2
    transaction.resend_at = now + transaction.pause


def _slowly(transaction: _Timers, now: float) -> None:
    transaction.resend_at = inf if reliable(transaction.flow) else now + T2


Resend: TypeAlias = Callable[[_Timers, float], None]

_RESENDS: dict[TransactionAction, Resend] = {
    RESEND_LATER: _resend_later,
    BACK_OFF: _back_off,
    DOUBLE: _double,
    SLOWLY: _slowly,
}
#: Seconds until the state ends, and whether also where the transport is reliable.
_LASTS: dict[TransactionAction, tuple[float, bool]] = {
    WAIT: (TIMEOUT, True),
    NO_END: (inf, True),
    ABSORB: (TIMEOUT, False),
    LINGER: (T4, False),
}

#: What an event leads to:
#: - the next state;
#: - whether to send;
#: - whether nothing is retransmitted any more;
#: - what else is done to the timer that retransmits, if anything;
#: - seconds until the state ends, None if that stays as it is;
#: - whether they also count where the transport is reliable: otherwise it ends at once there;
#: - whether to notify the user.
Step: TypeAlias = tuple[TransactionState, bool, bool, Resend | None, float | None, bool, bool]
Steps: TypeAlias = dict[tuple[TransactionState, TransactionEvent], Step]


def steps_of(table: Table) -> Steps:
    """A state machine with its actions looked up; their order among each other doesn't matter."""
    return {when: _step(state, actions) for when, (state, actions) in table.items()}


def _step(state: TransactionState, actions: tuple[TransactionAction, ...]) -> Step:
    resends = [_RESENDS[action] for action in actions if action in _RESENDS]
    lasts = [_LASTS[action] for action in actions if action in _LASTS]
    assert len(resends) <= 1  # there is one timer of each kind
    assert len(lasts) <= 1
    seconds, always = lasts[0] if lasts else (None, False)
    return (
        state,
        SEND in actions,
        NO_RESEND in actions,
        resends[0] if resends else None,
        seconds,
        always,
        NOTIFY in actions,
    )
