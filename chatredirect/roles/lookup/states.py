"""The states of a lookup, as a table.

A lookup is one dialog: our 2xx, repeated until its ACK comes (RFC 3261 §13.3.1.4), the commands and
replies, and its end: the client's BYE as a rule, ours if the client is silent. A dialog whose flow
is gone ends without a word.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias


class State(Enum):
    """Where a lookup is."""

    ANSWERED = auto()  # a 2xx went out, its ACK hasn't come
    CONFIRMED = auto()  # the ACK has come
    CLOSING = auto()  # our BYE went out, its answer hasn't come
    OVER = auto()


class Event(Enum):
    """What happens to it."""

    ACCEPTED = auto()  # another INVITE within it was answered with 2xx
    ACK = auto()
    ACTIVE = auto()  # any other request within it
    BYE = auto()
    RESEND = auto()  # the 2xx is due again
    EXPIRED = auto()  # nobody sends an ACK, or nothing at all
    REFUSED = auto()  # the peer says, by 481, 408 or silence, that it doesn't know the dialog
    CLOSED = auto()  # our BYE was answered, or never will be
    LOST = auto()  # its flow is gone
    STOPPING = auto()  # we are about to stop


class Act(Enum):
    """What is done then."""

    RESEND_LATER = auto()  # timer of §13.3.1.4: from T1
    RESEND = auto()  # and doubles up to T2
    NO_RESEND = auto()
    AWAIT_ACK = auto()  # 64*T1
    AWAIT_REQUEST = auto()  # the idle time
    SEND_BYE = auto()
    FORGET = auto()


Row: TypeAlias = tuple[State, tuple[Act, ...]]

_OVER: Row = (State.OVER, (Act.FORGET,))
_HANG_UP: Row = (State.CLOSING, (Act.NO_RESEND, Act.SEND_BYE))

#: What isn't here changes nothing. The 2xx that begins a lookup is an ACCEPTED in ANSWERED.
TABLE: Mapping[tuple[State, Event], Row] = {
    (State.ANSWERED, Event.ACCEPTED): (State.ANSWERED, (Act.RESEND_LATER, Act.AWAIT_ACK)),
    (State.ANSWERED, Event.RESEND): (State.ANSWERED, (Act.RESEND,)),
    (State.ANSWERED, Event.ACK): (State.CONFIRMED, (Act.NO_RESEND, Act.AWAIT_REQUEST)),
    (State.ANSWERED, Event.BYE): _OVER,
    # §15: not before the ACK, or when it can't be expected any more
    (State.ANSWERED, Event.EXPIRED): _HANG_UP,
    (State.ANSWERED, Event.REFUSED): _OVER,
    (State.ANSWERED, Event.LOST): _OVER,
    (State.CONFIRMED, Event.ACCEPTED): (State.ANSWERED, (Act.RESEND_LATER, Act.AWAIT_ACK)),
    (State.CONFIRMED, Event.ACTIVE): (State.CONFIRMED, (Act.AWAIT_REQUEST,)),
    (State.CONFIRMED, Event.BYE): _OVER,
    (State.CONFIRMED, Event.EXPIRED): _HANG_UP,
    (State.CONFIRMED, Event.REFUSED): _HANG_UP,
    (State.CONFIRMED, Event.LOST): _OVER,
    (State.CONFIRMED, Event.STOPPING): _HANG_UP,
    (State.CLOSING, Event.BYE): _OVER,
    (State.CLOSING, Event.CLOSED): _OVER,
    (State.CLOSING, Event.LOST): _OVER,
}
