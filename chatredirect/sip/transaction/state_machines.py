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


class State(Enum):
    """Where a transaction is."""

    __hash__ = object.__hash__  # a name's takes longer than all else that a table costs

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Event(Enum):
    """What happens to a transaction."""

    __hash__ = object.__hash__

    REQUEST = auto()  # the same request again
    ACK = auto()  # of an answer that isn't 2xx
    PROVISIONAL = auto()  # a response: to a server from its user, to a client from the peer
    SUCCESS = auto()
    FAILURE = auto()  # 3xx to 6xx
    RESEND = auto()  # the timer that resends
    END = auto()  # the timer that ends the state


class Act(Enum):
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


Row: TypeAlias = tuple[State, tuple[Act, ...]]
Table: TypeAlias = Mapping[tuple[State, Event], Row]

#: RFC 3261 figure 7 with RFC 6026 figure 1. A 2xx is repeated by the user until its ACK comes.
INVITE_SERVER: Table = {
    (State.PROCEEDING, Event.REQUEST): (State.PROCEEDING, (Act.SEND,)),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, (Act.SEND,)),
    (State.PROCEEDING, Event.SUCCESS): (State.ACCEPTED, (Act.SEND, Act.WAIT)),
    (State.PROCEEDING, Event.FAILURE): (
        State.COMPLETED,
        (Act.SEND, Act.RESEND_LATER, Act.WAIT),
    ),
    (State.ACCEPTED, Event.SUCCESS): (State.ACCEPTED, (Act.SEND,)),
    (State.ACCEPTED, Event.END): (State.TERMINATED, ()),
    (State.COMPLETED, Event.REQUEST): (State.COMPLETED, (Act.SEND,)),
    (State.COMPLETED, Event.RESEND): (State.COMPLETED, (Act.SEND, Act.BACK_OFF)),
    (State.COMPLETED, Event.ACK): (State.CONFIRMED, (Act.NO_RESEND, Act.LINGER)),
    (State.COMPLETED, Event.END): (State.TERMINATED, ()),
    (State.CONFIRMED, Event.END): (State.TERMINATED, ()),
}

#: RFC 3261 figure 8.
SERVER: Table = {
    (State.TRYING, Event.PROVISIONAL): (State.PROCEEDING, (Act.SEND,)),
    (State.TRYING, Event.SUCCESS): (State.COMPLETED, (Act.SEND, Act.ABSORB)),
    (State.TRYING, Event.FAILURE): (State.COMPLETED, (Act.SEND, Act.ABSORB)),
    (State.PROCEEDING, Event.REQUEST): (State.PROCEEDING, (Act.SEND,)),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, (Act.SEND,)),
    (State.PROCEEDING, Event.SUCCESS): (State.COMPLETED, (Act.SEND, Act.ABSORB)),
    (State.PROCEEDING, Event.FAILURE): (State.COMPLETED, (Act.SEND, Act.ABSORB)),
    (State.COMPLETED, Event.REQUEST): (State.COMPLETED, (Act.SEND,)),
    (State.COMPLETED, Event.END): (State.TERMINATED, ()),
}

_ANSWERED: Row = (State.COMPLETED, (Act.NO_RESEND, Act.TELL, Act.LINGER))
#: RFC 3261 figure 6.
CLIENT: Table = {
    (State.TRYING, Event.RESEND): (State.TRYING, (Act.SEND, Act.BACK_OFF)),
    # timer E goes on; it is T2 from its next ringing on (§17.1.2.2)
    (State.TRYING, Event.PROVISIONAL): (State.PROCEEDING, ()),
    (State.TRYING, Event.SUCCESS): _ANSWERED,
    (State.TRYING, Event.FAILURE): _ANSWERED,
    (State.TRYING, Event.END): (State.TERMINATED, (Act.TELL,)),
    (State.PROCEEDING, Event.RESEND): (State.PROCEEDING, (Act.SEND, Act.SLOWLY)),
    (State.PROCEEDING, Event.SUCCESS): _ANSWERED,
    (State.PROCEEDING, Event.FAILURE): _ANSWERED,
    (State.PROCEEDING, Event.END): (State.TERMINATED, (Act.TELL,)),
    (State.COMPLETED, Event.END): (State.TERMINATED, ()),
}

_ACCEPTED: Row = (State.ACCEPTED, (Act.NO_RESEND, Act.TELL, Act.WAIT))
# what is sent is the ACK (§17.1.1.3)
_REFUSED: Row = (State.COMPLETED, (Act.NO_RESEND, Act.SEND, Act.TELL, Act.ABSORB))
#: RFC 3261 figure 5 with RFC 6026 figure 2. Once there is a provisional response only the user's
#: patience ends it (§16.8), which makes itself known as `END`.
INVITE_CLIENT: Table = {
    (State.CALLING, Event.RESEND): (State.CALLING, (Act.SEND, Act.DOUBLE)),
    (State.CALLING, Event.PROVISIONAL): (State.PROCEEDING, (Act.NO_RESEND, Act.NO_END, Act.TELL)),
    (State.CALLING, Event.SUCCESS): _ACCEPTED,
    (State.CALLING, Event.FAILURE): _REFUSED,
    (State.CALLING, Event.END): (State.TERMINATED, (Act.TELL,)),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, (Act.TELL,)),
    (State.PROCEEDING, Event.SUCCESS): _ACCEPTED,
    (State.PROCEEDING, Event.FAILURE): _REFUSED,
    (State.PROCEEDING, Event.END): (State.TERMINATED, (Act.TELL,)),
    (State.ACCEPTED, Event.SUCCESS): (State.ACCEPTED, (Act.TELL,)),
    (State.ACCEPTED, Event.END): (State.TERMINATED, ()),
    (State.COMPLETED, Event.FAILURE): (State.COMPLETED, (Act.SEND,)),
    (State.COMPLETED, Event.END): (State.TERMINATED, ()),
}


def event_of(status: int) -> Event:
    """The event that a response with this status code is."""
    if status < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if status < 300 else Event.FAILURE


T1 = 0.5
"""What a round trip is taken to be."""
T2 = 4.0
"""The longest pause between two sendings of a non-INVITE request or of an INVITE's answer."""
T4 = 5.0
"""The longest that a message stays in the network."""
TIMEOUT = 64 * T1
"""Timers B, D, F, H, J, L and M: when nothing more is to be expected."""
