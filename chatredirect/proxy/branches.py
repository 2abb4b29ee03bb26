"""The states of a branch: a request as it is sent to one target (RFC 3261 §16.7), as a table.

The request goes to one target after the other and never to two at once, so at most one branch is
active. A branch that isn't active any more may still get a response, so it is kept until its client
transaction ends: it is cancelled at its first provisional response, and its 2xx is forwarded.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias


class BranchState(Enum):
    """Where a branch is."""

    __hash__ = object.__hash__  # Enum's own takes longer than all else that a table costs

    WAITING = auto()  # for a connection to its target
    TRIED = auto()  # sent, no response yet
    PROCEEDING = auto()  # a provisional response has come
    STOPPING = auto()  # cancelled before any response: CANCEL has to wait for one (§9.1)
    CANCELLED = auto()  # CANCEL is sent, the final response is waited for
    ABANDONED = auto()  # no response in time, the next target is being tried
    DISCARDED = auto()  # the same, and CANCEL is sent
    OVER = auto()


class BranchEvent(Enum):
    """What happens to a branch."""

    __hash__ = object.__hash__

    CONNECTED = auto()  # there is a flow to its target
    NO_CONNECTION = auto()
    PROVISIONAL = auto()
    FINAL = auto()
    LATE = auto()  # the attempt timer has fired
    TOO_LONG = auto()  # Timer C has fired (§16.8)
    SILENCE = auto()  # timer B or F has fired, or it is 64*T1 after CANCEL
    LOST = auto()  # its flow is gone
    UNREACHABLE = auto()  # ICMP says so (§18.4), and there has been no response
    CANCEL = auto()  # its response isn't wanted any more


class BranchAction(Enum):
    """What is done."""

    SEND = auto()  # the request
    FORWARD = auto()  # the provisional response
    TAKE = auto()  # the final response
    TAKE_LATE = auto()  # the final response of a branch that isn't active any more
    FAIL = auto()  # as if it were 503 or 408 (§16.9): next target, or a response of our own
    CANCEL = auto()  # send CANCEL
    QUIT = auto()  # respond with 487: the request hasn't been sent


# The members by name: a lookup in the class takes five times as long.
CONNECTED, FINAL = BranchEvent.CONNECTED, BranchEvent.FINAL
SEND, FORWARD, TAKE, TAKE_LATE, FAIL, CANCEL, QUIT = BranchAction

Row: TypeAlias = tuple[BranchState, tuple[BranchAction, ...]]

_SENT: Row = (BranchState.TRIED, (BranchAction.SEND,))
_FORWARDED: Row = (BranchState.PROCEEDING, (BranchAction.FORWARD,))
_FAILED: Row = (BranchState.OVER, (BranchAction.FAIL,))
_FAILED_OVER: Row = (BranchState.ABANDONED, (BranchAction.FAIL,))
_TAKEN: Row = (BranchState.OVER, (BranchAction.TAKE,))
_TAKEN_LATE: Row = (BranchState.OVER, (BranchAction.TAKE_LATE,))
_CANCELLED: Row = (BranchState.CANCELLED, (BranchAction.CANCEL,))
_DISCARDED: Row = (BranchState.DISCARDED, (BranchAction.CANCEL,))
_QUIT: Row = (BranchState.OVER, (BranchAction.QUIT,))
_FORGOTTEN: Row = (BranchState.OVER, ())

#: An event that has no row in a state is ignored.
TABLE: Mapping[tuple[BranchState, BranchEvent], Row] = {
    (BranchState.WAITING, BranchEvent.CONNECTED): _SENT,
    (BranchState.WAITING, BranchEvent.NO_CONNECTION): _FAILED,
    (BranchState.WAITING, BranchEvent.LATE): _FAILED,
    (BranchState.WAITING, BranchEvent.TOO_LONG): _FAILED,
    (BranchState.WAITING, BranchEvent.CANCEL): _QUIT,
    (BranchState.TRIED, BranchEvent.PROVISIONAL): _FORWARDED,
    (BranchState.TRIED, BranchEvent.FINAL): _TAKEN,
    (BranchState.TRIED, BranchEvent.LATE): _FAILED_OVER,
    (BranchState.TRIED, BranchEvent.TOO_LONG): _FAILED,
    (BranchState.TRIED, BranchEvent.SILENCE): _FAILED,
    (BranchState.TRIED, BranchEvent.LOST): _FAILED,
    (BranchState.TRIED, BranchEvent.UNREACHABLE): _FAILED,
    (BranchState.TRIED, BranchEvent.CANCEL): (BranchState.STOPPING, ()),
    (BranchState.PROCEEDING, BranchEvent.PROVISIONAL): _FORWARDED,
    (BranchState.PROCEEDING, BranchEvent.FINAL): _TAKEN,
    (BranchState.PROCEEDING, BranchEvent.TOO_LONG): _CANCELLED,
    (BranchState.PROCEEDING, BranchEvent.SILENCE): _FAILED,
    (BranchState.PROCEEDING, BranchEvent.LOST): _FAILED,
    (BranchState.PROCEEDING, BranchEvent.CANCEL): _CANCELLED,
    (BranchState.STOPPING, BranchEvent.PROVISIONAL): _CANCELLED,
    (BranchState.STOPPING, BranchEvent.FINAL): _TAKEN,
    (BranchState.STOPPING, BranchEvent.SILENCE): _FAILED,
    (BranchState.STOPPING, BranchEvent.LOST): _FAILED,
    (BranchState.STOPPING, BranchEvent.UNREACHABLE): _FAILED,
    (BranchState.CANCELLED, BranchEvent.FINAL): _TAKEN,
    (BranchState.CANCELLED, BranchEvent.SILENCE): _FAILED,
    (BranchState.CANCELLED, BranchEvent.LOST): _FAILED,
    (BranchState.ABANDONED, BranchEvent.PROVISIONAL): _DISCARDED,
    (BranchState.ABANDONED, BranchEvent.FINAL): _TAKEN_LATE,
    (BranchState.ABANDONED, BranchEvent.SILENCE): _FORGOTTEN,
    (BranchState.ABANDONED, BranchEvent.LOST): _FORGOTTEN,
    (BranchState.DISCARDED, BranchEvent.FINAL): _TAKEN_LATE,
    (BranchState.DISCARDED, BranchEvent.SILENCE): _FORGOTTEN,
    (BranchState.DISCARDED, BranchEvent.LOST): _FORGOTTEN,
    # further 2xx of an INVITE, retransmitted ones as well (RFC 6026 §7.2)
    (BranchState.OVER, BranchEvent.FINAL): _TAKEN_LATE,
}
