"""What happens to one branch: one sending of a request to one place (RFC 3261 §16.7 calls it so).

The request goes to one target after the other and never to two at once, so of all branches one at
most is the one that is waited for. A branch that is waited for no longer may still answer; over UDP
nobody knows whether it has got the request at all. So it is remembered until its client transaction
ends: it is told to stop as soon as it shows that it lives, and a 2xx of it is passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from chatredirect.net.target import Target
from chatredirect.sip.flow import Flow
from chatredirect.sip.transaction.layer import Transaction

if TYPE_CHECKING:
    from chatredirect.proxy.response_context import Context, User


class State(Enum):
    """Where a branch is."""

    __hash__ = object.__hash__  # a name's takes longer than all else that a table costs

    WAITING = auto()  # for a way to its target
    TRIED = auto()  # sent, nothing heard
    PROCEEDING = auto()  # a provisional response was heard
    STOPPING = auto()  # cancelled before anything was heard: CANCEL has to wait (§9.1)
    CANCELLED = auto()  # CANCEL is sent, the final response is waited for
    ABANDONED = auto()  # nothing was heard in time, the next target is being tried
    DISCARDED = auto()  # the same, and CANCEL is sent
    OVER = auto()


class Event(Enum):
    """What happens to a branch."""

    __hash__ = object.__hash__

    WAY = auto()  # there is a way to its target
    NO_WAY = auto()
    PROVISIONAL = auto()
    FINAL = auto()
    LATE = auto()  # the attempt timer
    TOO_LONG = auto()  # Timer C (§16.8)
    SILENCE = auto()  # timer B or F, or 64*T1 after CANCEL
    LOST = auto()  # its flow is gone
    UNREACHABLE = auto()  # ICMP says so (§18.4), and nothing has been heard
    CANCEL = auto()  # nobody wants its answer any more


class Act(Enum):
    """What is done."""

    SEND = auto()  # the request
    FORWARD = auto()  # the provisional response
    TAKE = auto()  # the final response
    TAKE_LATE = auto()  # the same, of a branch that is waited for no longer
    FAIL = auto()  # as if it were 503 or 408 (§16.9): the next target, or an answer of our own
    CANCEL = auto()  # send CANCEL
    QUIT = auto()  # answer 487: nothing has been sent


Row: TypeAlias = tuple[State, tuple[Act, ...]]

_FAILED: Row = (State.OVER, (Act.FAIL,))
_TAKEN: Row = (State.OVER, (Act.TAKE,))
_STOPPED: Row = (State.CANCELLED, (Act.CANCEL,))
_TAKEN_LATE: Row = (State.OVER, (Act.TAKE_LATE,))
_FORGOTTEN: Row = (State.OVER, ())

#: What has no row is passed over without a trace.
TABLE: Mapping[tuple[State, Event], Row] = {
    (State.WAITING, Event.WAY): (State.TRIED, (Act.SEND,)),
    (State.WAITING, Event.NO_WAY): _FAILED,
    (State.WAITING, Event.LATE): _FAILED,
    (State.WAITING, Event.TOO_LONG): _FAILED,
    (State.WAITING, Event.CANCEL): (State.OVER, (Act.QUIT,)),
    (State.TRIED, Event.PROVISIONAL): (State.PROCEEDING, (Act.FORWARD,)),
    (State.TRIED, Event.FINAL): _TAKEN,
    (State.TRIED, Event.LATE): (State.ABANDONED, (Act.FAIL,)),
    (State.TRIED, Event.TOO_LONG): _FAILED,
    (State.TRIED, Event.SILENCE): _FAILED,
    (State.TRIED, Event.LOST): _FAILED,
    (State.TRIED, Event.UNREACHABLE): _FAILED,
    (State.TRIED, Event.CANCEL): (State.STOPPING, ()),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, (Act.FORWARD,)),
    (State.PROCEEDING, Event.FINAL): _TAKEN,
    (State.PROCEEDING, Event.TOO_LONG): _STOPPED,
    (State.PROCEEDING, Event.SILENCE): _FAILED,
    (State.PROCEEDING, Event.LOST): _FAILED,
    (State.PROCEEDING, Event.CANCEL): _STOPPED,
    (State.STOPPING, Event.PROVISIONAL): _STOPPED,
    (State.STOPPING, Event.FINAL): _TAKEN,
    (State.STOPPING, Event.SILENCE): _FAILED,
    (State.STOPPING, Event.LOST): _FAILED,
    (State.STOPPING, Event.UNREACHABLE): _FAILED,
    (State.CANCELLED, Event.FINAL): _TAKEN,
    (State.CANCELLED, Event.SILENCE): _FAILED,
    (State.CANCELLED, Event.LOST): _FAILED,
    (State.ABANDONED, Event.PROVISIONAL): (State.DISCARDED, (Act.CANCEL,)),
    (State.ABANDONED, Event.FINAL): _TAKEN_LATE,
    (State.ABANDONED, Event.SILENCE): _FORGOTTEN,
    (State.ABANDONED, Event.LOST): _FORGOTTEN,
    (State.DISCARDED, Event.FINAL): _TAKEN_LATE,
    (State.DISCARDED, Event.SILENCE): _FORGOTTEN,
    (State.DISCARDED, Event.LOST): _FORGOTTEN,
    # further 2xx of an INVITE, retransmitted ones as well (RFC 6026 §7.2)
    (State.OVER, Event.FINAL): (State.OVER, (Act.TAKE_LATE,)),
}


@dataclass(slots=True, eq=False)
class Branch:
    """One branch.

    Attributes:
        context: what it belongs to.
        target: where it goes; None for the caller of a dialog, who has a flow.
        state: where it is.
        flow: what it was sent over, once it was.
        transaction: its client transaction, likewise.
        again: whether it has been sent once more, its first connection being gone.
    """

    context: "Context"
    target: Target | None
    state: State = State.WAITING
    flow: Flow | None = None
    transaction: "Transaction[User] | None" = None
    again: bool = False
