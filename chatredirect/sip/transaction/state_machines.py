"""The state machines of RFC 3261 §17 and RFC 6026 §7, as tables.

A row says for a state and an event: the next state, and the actions. An event without a row is
ignored, as it has no arrow in the RFC's figures.

Each transaction has two timers. One retransmits: A, E or G of the RFC. The other ends the state: B,
D, F, H, I, J, K, L or M. Their values stand with the actions that start them.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

T1 = 0.5
"""Seconds: the assumed round-trip time (RFC 3261 §17.1.1.1)."""
T2 = 4.0
"""Seconds: the longest pause between retransmissions, except of an INVITE (§17.1.2.2)."""
T4 = 5.0
"""Seconds: the longest that a message stays in the network."""
TIMEOUT = 64 * T1
"""Seconds of the timers B, D, F, H, J, L and M."""


class TransactionState(Enum):
    """A state of RFC 3261 figures 5 to 8, or ACCEPTED of RFC 6026."""

    __hash__ = object.__hash__  # Enum's hash of the name would be most of a table's cost

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class TransactionEvent(Enum):
    """An event of a transaction."""

    __hash__ = object.__hash__

    REQUEST = auto()  # a retransmission of the request
    ACK = auto()  # of a response that isn't 2xx
    PROVISIONAL = auto()  # a response: from the user of a server, from the peer of a client
    SUCCESS = auto()
    FAILURE = auto()  # 3xx to 6xx
    RESEND = auto()  # the timer that retransmits
    END = auto()  # the timer that ends the state


class TransactionAction(Enum):
    """An action of a transaction."""

    SEND = auto()  # the new message, or the last one again
    NOTIFY = auto()  # the user
    RESEND_LATER = auto()  # timers E and G begin at T1, unless the transport is reliable
    BACK_OFF = auto()  # and double up to T2
    DOUBLE = auto()  # timer A doubles without end
    SLOWLY = auto()  # timer E in PROCEEDING: T2
    NO_RESEND = auto()
    WAIT = auto()  # timers F, H, L and M: 64*T1
    NO_END = auto()  # no timer B any more
    ABSORB = auto()  # timers D and J: 64*T1; none where the transport is reliable
    LINGER = auto()  # timers I and K: T4; none where the transport is reliable


Row: TypeAlias = tuple[TransactionState, tuple[TransactionAction, ...]]
Table: TypeAlias = Mapping[tuple[TransactionState, TransactionEvent], Row]

#: RFC 3261 figure 7 with RFC 6026 figure 1. The user retransmits a 2xx until its ACK comes.
INVITE_SERVER: Table = {
    (TransactionState.PROCEEDING, TransactionEvent.REQUEST): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): (
        TransactionState.ACCEPTED,
        (TransactionAction.SEND, TransactionAction.WAIT),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.RESEND_LATER, TransactionAction.WAIT),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.SUCCESS): (
        TransactionState.ACCEPTED,
        (TransactionAction.SEND,),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
    (TransactionState.COMPLETED, TransactionEvent.REQUEST): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.RESEND): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.BACK_OFF),
    ),
    (TransactionState.COMPLETED, TransactionEvent.ACK): (
        TransactionState.CONFIRMED,
        (TransactionAction.NO_RESEND, TransactionAction.LINGER),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
    (TransactionState.CONFIRMED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}

#: RFC 3261 figure 8.
SERVER: Table = {
    (TransactionState.TRYING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND,),
    ),
    (TransactionState.TRYING, TransactionEvent.SUCCESS): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.ABSORB),
    ),
    (TransactionState.TRYING, TransactionEvent.FAILURE): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.ABSORB),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.REQUEST): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.ABSORB),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND, TransactionAction.ABSORB),
    ),
    (TransactionState.COMPLETED, TransactionEvent.REQUEST): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}

_ANSWERED: Row = (
    TransactionState.COMPLETED,
    (TransactionAction.NO_RESEND, TransactionAction.NOTIFY, TransactionAction.LINGER),
)
#: RFC 3261 figure 6.
CLIENT: Table = {
    (TransactionState.TRYING, TransactionEvent.RESEND): (
        TransactionState.TRYING,
        (TransactionAction.SEND, TransactionAction.BACK_OFF),
    ),
    # timer E goes on; from its next expiry it is T2 (§17.1.2.2)
    (TransactionState.TRYING, TransactionEvent.PROVISIONAL): (TransactionState.PROCEEDING, ()),
    (TransactionState.TRYING, TransactionEvent.SUCCESS): _ANSWERED,
    (TransactionState.TRYING, TransactionEvent.FAILURE): _ANSWERED,
    (TransactionState.TRYING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.RESEND): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND, TransactionAction.SLOWLY),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): _ANSWERED,
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): _ANSWERED,
    (TransactionState.PROCEEDING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}

_ACCEPTED: Row = (
    TransactionState.ACCEPTED,
    (TransactionAction.NO_RESEND, TransactionAction.NOTIFY, TransactionAction.WAIT),
)
# SEND sends the ACK (§17.1.1.3)
_REFUSED: Row = (
    TransactionState.COMPLETED,
    (
        TransactionAction.NO_RESEND,
        TransactionAction.SEND,
        TransactionAction.NOTIFY,
        TransactionAction.ABSORB,
    ),
)
#: RFC 3261 figure 5 with RFC 6026 figure 2. After a provisional response only the user ends it
#: (timer C, §16.8), with `END`.
INVITE_CLIENT: Table = {
    (TransactionState.CALLING, TransactionEvent.RESEND): (
        TransactionState.CALLING,
        (TransactionAction.SEND, TransactionAction.DOUBLE),
    ),
    (TransactionState.CALLING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.NO_RESEND, TransactionAction.NO_END, TransactionAction.NOTIFY),
    ),
    (TransactionState.CALLING, TransactionEvent.SUCCESS): _ACCEPTED,
    (TransactionState.CALLING, TransactionEvent.FAILURE): _REFUSED,
    (TransactionState.CALLING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): _ACCEPTED,
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): _REFUSED,
    (TransactionState.PROCEEDING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.SUCCESS): (
        TransactionState.ACCEPTED,
        (TransactionAction.NOTIFY,),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
    (TransactionState.COMPLETED, TransactionEvent.FAILURE): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}


def event_of(status: int) -> TransactionEvent:
    """The event of a response with this status code."""
    if status < 200:
        return TransactionEvent.PROVISIONAL
    return TransactionEvent.SUCCESS if status < 300 else TransactionEvent.FAILURE
