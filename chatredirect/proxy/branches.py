"""The states of a branch: a request as it is sent to one target (RFC 3261 §16.7), as a table.

The request goes to one target after the other and never to two at once, so at most one branch is
active. A branch that isn't active any more may still answer; over UDP nobody knows whether its
target has got the request at all. So a branch is kept until its client transaction ends: it is
cancelled as soon as it sends a provisional response, and its 2xx is forwarded.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias


class BranchState(Enum):
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


class BranchEvent(Enum):
    """What happens to a branch."""

    __hash__ = object.__hash__

    CONNECTED = auto()  # there is a flow to its target
    NO_CONNECTION = auto()
    PROVISIONAL = auto()
    FINAL = auto()
    LATE = auto()  # the attempt timer
    TOO_LONG = auto()  # Timer C (§16.8)
    SILENCE = auto()  # timer B or F, or 64*T1 after CANCEL
    LOST = auto()  # its flow is gone
    UNREACHABLE = auto()  # ICMP says so (§18.4), and nothing has been heard
    CANCEL = auto()  # nobody wants its answer any more


class BranchAction(Enum):
    """What is done."""

    SEND = auto()  # the request
    FORWARD = auto()  # the provisional response
    TAKE = auto()  # the final response
    TAKE_LATE = auto()  # the same, of a branch that is waited for no longer
    FAIL = auto()  # as if it were 503 or 408 (§16.9): the next target, or an answer of our own
    CANCEL = auto()  # send CANCEL
    QUIT = auto()  # answer 487: nothing has been sent


Row: TypeAlias = tuple[BranchState, tuple[BranchAction, ...]]

_FAILED: Row = (BranchState.OVER, (BranchAction.FAIL,))
_TAKEN: Row = (BranchState.OVER, (BranchAction.TAKE,))
_STOPPED: Row = (BranchState.CANCELLED, (BranchAction.CANCEL,))
_TAKEN_LATE: Row = (BranchState.OVER, (BranchAction.TAKE_LATE,))
_FORGOTTEN: Row = (BranchState.OVER, ())

#: What has no row is passed over without a trace.
TABLE: Mapping[tuple[BranchState, BranchEvent], Row] = {
    (BranchState.WAITING, BranchEvent.CONNECTED): (BranchState.TRIED, (BranchAction.SEND,)),
    (BranchState.WAITING, BranchEvent.NO_CONNECTION): _FAILED,
    (BranchState.WAITING, BranchEvent.LATE): _FAILED,
    (BranchState.WAITING, BranchEvent.TOO_LONG): _FAILED,
    (BranchState.WAITING, BranchEvent.CANCEL): (BranchState.OVER, (BranchAction.QUIT,)),
    (BranchState.TRIED, BranchEvent.PROVISIONAL): (BranchState.PROCEEDING, (BranchAction.FORWARD,)),
    (BranchState.TRIED, BranchEvent.FINAL): _TAKEN,
    (BranchState.TRIED, BranchEvent.LATE): (BranchState.ABANDONED, (BranchAction.FAIL,)),
    (BranchState.TRIED, BranchEvent.TOO_LONG): _FAILED,
    (BranchState.TRIED, BranchEvent.SILENCE): _FAILED,
    (BranchState.TRIED, BranchEvent.LOST): _FAILED,
    (BranchState.TRIED, BranchEvent.UNREACHABLE): _FAILED,
    (BranchState.TRIED, BranchEvent.CANCEL): (BranchState.STOPPING, ()),
    (BranchState.PROCEEDING, BranchEvent.PROVISIONAL): (
        BranchState.PROCEEDING,
        (BranchAction.FORWARD,),
    ),
    (BranchState.PROCEEDING, BranchEvent.FINAL): _TAKEN,
    (BranchState.PROCEEDING, BranchEvent.TOO_LONG): _STOPPED,
    (BranchState.PROCEEDING, BranchEvent.SILENCE): _FAILED,
    (BranchState.PROCEEDING, BranchEvent.LOST): _FAILED,
    (BranchState.PROCEEDING, BranchEvent.CANCEL): _STOPPED,
    (BranchState.STOPPING, BranchEvent.PROVISIONAL): _STOPPED,
    (BranchState.STOPPING, BranchEvent.FINAL): _TAKEN,
    (BranchState.STOPPING, BranchEvent.SILENCE): _FAILED,
    (BranchState.STOPPING, BranchEvent.LOST): _FAILED,
    (BranchState.STOPPING, BranchEvent.UNREACHABLE): _FAILED,
    (BranchState.CANCELLED, BranchEvent.FINAL): _TAKEN,
    (BranchState.CANCELLED, BranchEvent.SILENCE): _FAILED,
    (BranchState.CANCELLED, BranchEvent.LOST): _FAILED,
    (BranchState.ABANDONED, BranchEvent.PROVISIONAL): (
        BranchState.DISCARDED,
        (BranchAction.CANCEL,),
    ),
    (BranchState.ABANDONED, BranchEvent.FINAL): _TAKEN_LATE,
    (BranchState.ABANDONED, BranchEvent.SILENCE): _FORGOTTEN,
    (BranchState.ABANDONED, BranchEvent.LOST): _FORGOTTEN,
    (BranchState.DISCARDED, BranchEvent.FINAL): _TAKEN_LATE,
    (BranchState.DISCARDED, BranchEvent.SILENCE): _FORGOTTEN,
    (BranchState.DISCARDED, BranchEvent.LOST): _FORGOTTEN,
    # further 2xx of an INVITE, retransmitted ones as well (RFC 6026 §7.2)
    (BranchState.OVER, BranchEvent.FINAL): (BranchState.OVER, (BranchAction.TAKE_LATE,)),
}
