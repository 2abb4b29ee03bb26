"""The state machines of RFC 3261 §17 and RFC 6026 §7, as tables.

A row says for a state and an event: the next state, and the actions. An event without a row is
ignored, as it has no arrow in the RFC's figures.

Each transaction has two timers. One retransmits: A, E or G of the RFC. The other ends the state: B,
D, F, H, I, J, K, L or M. Their values stand with the actions that start them.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

T1 = 0.5  # seconds: the assumed round-trip time (RFC 3261 §17.1.1.1)
T2 = 4.0  # seconds: the longest pause between retransmissions, except of an INVITE (§17.1.2.2)
T4 = 5.0  # seconds: the longest that a message stays in the network
TIMEOUT = 64 * T1  # seconds of the timers B, D, F, H, J, L and M


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


# The members by name, in the order of their classes, so that a row of a table is one line.
CALLING, TRYING, PROCEEDING, ACCEPTED, COMPLETED, CONFIRMED, TERMINATED = TransactionState
REQUEST, ACK, PROVISIONAL, SUCCESS, FAILURE, RESEND, END = TransactionEvent
(
    SEND, NOTIFY, RESEND_LATER, BACK_OFF, DOUBLE, SLOWLY, NO_RESEND, WAIT, NO_END, ABSORB, LINGER,
) = TransactionAction  # fmt: skip

Row: TypeAlias = tuple[TransactionState, tuple[TransactionAction, ...]]
Table: TypeAlias = Mapping[tuple[TransactionState, TransactionEvent], Row]

#: RFC 3261 figure 7 with RFC 6026 figure 1. The user retransmits a 2xx until its ACK comes.
INVITE_SERVER: Table = {
    (PROCEEDING, REQUEST): (PROCEEDING, (SEND,)),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, (SEND,)),
    (PROCEEDING, SUCCESS): (ACCEPTED, (SEND, WAIT)),
    (PROCEEDING, FAILURE): (COMPLETED, (SEND, RESEND_LATER, WAIT)),
    (ACCEPTED, SUCCESS): (ACCEPTED, (SEND,)),
    (ACCEPTED, END): (TERMINATED, ()),
    (COMPLETED, REQUEST): (COMPLETED, (SEND,)),
    (COMPLETED, RESEND): (COMPLETED, (SEND, BACK_OFF)),
    (COMPLETED, ACK): (CONFIRMED, (NO_RESEND, LINGER)),
    (COMPLETED, END): (TERMINATED, ()),
    (CONFIRMED, END): (TERMINATED, ()),
}

#: RFC 3261 figure 8.
SERVER: Table = {
    (TRYING, PROVISIONAL): (PROCEEDING, (SEND,)),
    (TRYING, SUCCESS): (COMPLETED, (SEND, ABSORB)),
    (TRYING, FAILURE): (COMPLETED, (SEND, ABSORB)),
    (PROCEEDING, REQUEST): (PROCEEDING, (SEND,)),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, (SEND,)),
    (PROCEEDING, SUCCESS): (COMPLETED, (SEND, ABSORB)),
    (PROCEEDING, FAILURE): (COMPLETED, (SEND, ABSORB)),
    (COMPLETED, REQUEST): (COMPLETED, (SEND,)),
    (COMPLETED, END): (TERMINATED, ()),
}

_ANSWERED: Row = (COMPLETED, (NO_RESEND, NOTIFY, LINGER))
#: RFC 3261 figure 6.
CLIENT: Table = {
    (TRYING, RESEND): (TRYING, (SEND, BACK_OFF)),
    # timer E goes on; from its next expiry it is T2 (§17.1.2.2)
    (TRYING, PROVISIONAL): (PROCEEDING, ()),
    (TRYING, SUCCESS): _ANSWERED,
    (TRYING, FAILURE): _ANSWERED,
    (TRYING, END): (TERMINATED, (NOTIFY,)),
    (PROCEEDING, RESEND): (PROCEEDING, (SEND, SLOWLY)),
    (PROCEEDING, SUCCESS): _ANSWERED,
    (PROCEEDING, FAILURE): _ANSWERED,
    (PROCEEDING, END): (TERMINATED, (NOTIFY,)),
    (COMPLETED, END): (TERMINATED, ()),
}

_ACCEPTED: Row = (ACCEPTED, (NO_RESEND, NOTIFY, WAIT))
# SEND sends the ACK (§17.1.1.3)
_REFUSED: Row = (COMPLETED, (NO_RESEND, SEND, NOTIFY, ABSORB))
#: RFC 3261 figure 5 with RFC 6026 figure 2. After a provisional response only the user ends it
#: (timer C, §16.8), with `END`.
INVITE_CLIENT: Table = {
    (CALLING, RESEND): (CALLING, (SEND, DOUBLE)),
    (CALLING, PROVISIONAL): (PROCEEDING, (NO_RESEND, NO_END, NOTIFY)),
    (CALLING, SUCCESS): _ACCEPTED,
    (CALLING, FAILURE): _REFUSED,
    (CALLING, END): (TERMINATED, (NOTIFY,)),
    (PROCEEDING, PROVISIONAL): (PROCEEDING, (NOTIFY,)),
    (PROCEEDING, SUCCESS): _ACCEPTED,
    (PROCEEDING, FAILURE): _REFUSED,
    (PROCEEDING, END): (TERMINATED, (NOTIFY,)),
    (ACCEPTED, SUCCESS): (ACCEPTED, (NOTIFY,)),
    (ACCEPTED, END): (TERMINATED, ()),
    (COMPLETED, FAILURE): (COMPLETED, (SEND,)),
    (COMPLETED, END): (TERMINATED, ()),
}


def event_of(status: int) -> TransactionEvent:
    """The event of a response with this status code."""
    if status < 200:
        return PROVISIONAL
    return SUCCESS if status < 300 else FAILURE
