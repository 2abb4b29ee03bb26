"""The state machines of RFC 3261 §17 and RFC 6026 §7, as tables.

A row says: in this state, when this happens, do that and go there. What has no row is passed over
without a trace, which is what the RFC's figures mean by an arrow that isn't there.

Each transaction has two timers. One resends what was sent last: it is called A, E or G in the RFC.
The other ends the state: B, D, F, H, I, J, K, L or M. Their values stand with the actions that
start them.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias


class TransactionState(Enum):
    """Where a transaction is."""

    __hash__ = object.__hash__  # a name's takes longer than all else that a table costs

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class TransactionEvent(Enum):
    """What happens to a transaction."""

    __hash__ = object.__hash__

    REQUEST = auto()  # the same request again
    ACK = auto()  # of an answer that isn't 2xx
    PROVISIONAL = auto()  # a response: to a server from its user, to a client from the peer
    SUCCESS = auto()
    FAILURE = auto()  # 3xx to 6xx
    RESEND = auto()  # the timer that resends
    END = auto()  # the timer that ends the state


class TransactionAction(Enum):
    """What a transaction does."""

    SEND = auto()  # what was sent last, or is now to be sent
    TELL = auto()  # its user hears of it
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

#: RFC 3261 figure 7 with RFC 6026 figure 1. A 2xx is repeated by the user until its ACK comes.
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
    (TransactionAction.NO_RESEND, TransactionAction.TELL, TransactionAction.LINGER),
)
#: RFC 3261 figure 6.
CLIENT: Table = {
    (TransactionState.TRYING, TransactionEvent.RESEND): (
        TransactionState.TRYING,
        (TransactionAction.SEND, TransactionAction.BACK_OFF),
    ),
    # timer E goes on; it is T2 from its next ringing on (§17.1.2.2)
    (TransactionState.TRYING, TransactionEvent.PROVISIONAL): (TransactionState.PROCEEDING, ()),
    (TransactionState.TRYING, TransactionEvent.SUCCESS): _ANSWERED,
    (TransactionState.TRYING, TransactionEvent.FAILURE): _ANSWERED,
    (TransactionState.TRYING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.TELL,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.RESEND): (
        TransactionState.PROCEEDING,
        (TransactionAction.SEND, TransactionAction.SLOWLY),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): _ANSWERED,
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): _ANSWERED,
    (TransactionState.PROCEEDING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.TELL,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}

_ACCEPTED: Row = (
    TransactionState.ACCEPTED,
    (TransactionAction.NO_RESEND, TransactionAction.TELL, TransactionAction.WAIT),
)
# what is sent is the ACK (§17.1.1.3)
_REFUSED: Row = (
    TransactionState.COMPLETED,
    (
        TransactionAction.NO_RESEND,
        TransactionAction.SEND,
        TransactionAction.TELL,
        TransactionAction.ABSORB,
    ),
)
#: RFC 3261 figure 5 with RFC 6026 figure 2. Once there is a provisional response only the user's
#: patience ends it (§16.8), which makes itself known as `END`.
INVITE_CLIENT: Table = {
    (TransactionState.CALLING, TransactionEvent.RESEND): (
        TransactionState.CALLING,
        (TransactionAction.SEND, TransactionAction.DOUBLE),
    ),
    (TransactionState.CALLING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.NO_RESEND, TransactionAction.NO_END, TransactionAction.TELL),
    ),
    (TransactionState.CALLING, TransactionEvent.SUCCESS): _ACCEPTED,
    (TransactionState.CALLING, TransactionEvent.FAILURE): _REFUSED,
    (TransactionState.CALLING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.TELL,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.PROVISIONAL): (
        TransactionState.PROCEEDING,
        (TransactionAction.TELL,),
    ),
    (TransactionState.PROCEEDING, TransactionEvent.SUCCESS): _ACCEPTED,
    (TransactionState.PROCEEDING, TransactionEvent.FAILURE): _REFUSED,
    (TransactionState.PROCEEDING, TransactionEvent.END): (
        TransactionState.TERMINATED,
        (TransactionAction.TELL,),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.SUCCESS): (
        TransactionState.ACCEPTED,
        (TransactionAction.TELL,),
    ),
    (TransactionState.ACCEPTED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
    (TransactionState.COMPLETED, TransactionEvent.FAILURE): (
        TransactionState.COMPLETED,
        (TransactionAction.SEND,),
    ),
    (TransactionState.COMPLETED, TransactionEvent.END): (TransactionState.TERMINATED, ()),
}


def event_of(status: int) -> TransactionEvent:
    """The event that a response with this status code is."""
    if status < 200:
        return TransactionEvent.PROVISIONAL
    return TransactionEvent.SUCCESS if status < 300 else TransactionEvent.FAILURE


T1 = 0.5
"""What a round trip is taken to be."""
T2 = 4.0
"""The longest pause between two sendings of a non-INVITE request or of an INVITE's answer."""
T4 = 5.0
"""The longest that a message stays in the network."""
TIMEOUT = 64 * T1
"""Timers B, D, F, H, J, L and M: when nothing more is to be expected."""
