"""One lookup: a dialog with a client, its state, and the replies that are still to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import TypeAlias

from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.sip.dialog import ServerDialog
from chatredirect.sip.flow import Flow
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.state_machines import T1


class SessionState(Enum):
    """The state of a lookup."""

    __hash__ = object.__hash__  # Enum's hash of the name would be most of a table's cost

    ANSWERED = auto()  # our 2xx was sent, its ACK hasn't come
    CONFIRMED = auto()  # the ACK has come
    CLOSING = auto()  # our BYE was sent, its response hasn't come
    OVER = auto()


class SessionEvent(Enum):
    """What happens to a lookup."""

    __hash__ = object.__hash__

    ACCEPTED = auto()  # an INVITE in its dialog was answered with 2xx
    ACK = auto()
    ACTIVE = auto()  # any other request came in its dialog
    BYE = auto()
    RESEND = auto()  # the 2xx is due again
    EXPIRED = auto()  # no ACK came in time, or no request
    REFUSED = auto()  # by 481, 408 or a timeout: the peer doesn't know the dialog
    CLOSED = auto()  # our BYE was answered, or timed out
    LOST = auto()  # its flow is gone
    STOPPING = auto()  # the daemon is about to stop


class SessionAction(Enum):
    """What is done for an event."""

    RESEND_LATER = auto()  # the timer of §13.3.1.4 starts with T1
    RESEND = auto()  # and doubles up to T2
    NO_RESEND = auto()
    AWAIT_ACK = auto()  # for 64*T1
    AWAIT_REQUEST = auto()  # for `IDLE`
    SEND_BYE = auto()
    FORGET = auto()


# The members by name, in the order of their class.
RESEND_LATER, RESEND, NO_RESEND, AWAIT_ACK, AWAIT_REQUEST, SEND_BYE, FORGET = SessionAction

MAX_WAITING = 4
"""Replies that wait for the response to the one before."""

Row: TypeAlias = tuple[SessionState, tuple[SessionAction, ...]]

_AWAIT_ACK: Row = (
    SessionState.ANSWERED,
    (SessionAction.RESEND_LATER, SessionAction.AWAIT_ACK),
)
_OVER: Row = (SessionState.OVER, (SessionAction.FORGET,))
_HANG_UP: Row = (SessionState.CLOSING, (SessionAction.NO_RESEND, SessionAction.SEND_BYE))

#: An event that isn't listed changes nothing. A lookup begins with ACCEPTED in ANSWERED.
TABLE: Mapping[tuple[SessionState, SessionEvent], Row] = {
    (SessionState.ANSWERED, SessionEvent.ACCEPTED): _AWAIT_ACK,
    (SessionState.ANSWERED, SessionEvent.RESEND): (SessionState.ANSWERED, (SessionAction.RESEND,)),
    (SessionState.ANSWERED, SessionEvent.ACK): (
        SessionState.CONFIRMED,
        (SessionAction.NO_RESEND, SessionAction.AWAIT_REQUEST),
    ),
    (SessionState.ANSWERED, SessionEvent.BYE): _OVER,
    # §15: no BYE before the ACK has come or is overdue
    (SessionState.ANSWERED, SessionEvent.EXPIRED): _HANG_UP,
    (SessionState.ANSWERED, SessionEvent.REFUSED): _OVER,
    (SessionState.ANSWERED, SessionEvent.LOST): _OVER,
    (SessionState.CONFIRMED, SessionEvent.ACCEPTED): _AWAIT_ACK,
    (SessionState.CONFIRMED, SessionEvent.ACTIVE): (
        SessionState.CONFIRMED,
        (SessionAction.AWAIT_REQUEST,),
    ),
    (SessionState.CONFIRMED, SessionEvent.BYE): _OVER,
    (SessionState.CONFIRMED, SessionEvent.EXPIRED): _HANG_UP,
    (SessionState.CONFIRMED, SessionEvent.REFUSED): _HANG_UP,
    (SessionState.CONFIRMED, SessionEvent.LOST): _OVER,
    (SessionState.CONFIRMED, SessionEvent.STOPPING): _HANG_UP,
    (SessionState.CLOSING, SessionEvent.BYE): _OVER,
    (SessionState.CLOSING, SessionEvent.CLOSED): _OVER,
    (SessionState.CLOSING, SessionEvent.LOST): _OVER,
}


@dataclass(slots=True, eq=False)
class LookupSession:
    """One lookup.

    Attributes:
        endpoint: the endpoint that was called.
        peer: the peer that sent its INVITE.
        flow: the flow that this peer used last.
        caller: the From URI.
        sips: whether our Contact must be a SIPS URI.
        agent: the User-Agent of its INVITE.
        proof: what says that a probe of ours sent it; else empty.
        session: the hash of our last session description.
        answer: our last 2xx to an INVITE, until its ACK comes.
        answer_number: the CSeq number of that INVITE.
        offering: whether our last session description is an offer that hasn't been answered.
        session_version: the version of our last session description.
        pause: seconds until the 2xx is sent again.
        resend_at: when the 2xx is sent again; infinite for never.
        expire_at: when `EXPIRED` happens; infinite for never.
        replies: how many replies there were; the last has this envid.
        waiting: replies that wait for the response to the one before.
        sent: the key of our open INFO or BYE; empty if there is none.
        why: why it ends; empty while it doesn't.
        closed: why its endpoint served nobody when it began; empty if it did.
        counted: whether it has been counted as a use.
        held: the flow that is kept open as long as its dialog is.
        queued: for the timer heap.
    """

    dialog: ServerDialog
    endpoint: LookupEndpoint
    peer: Peer
    flow: Flow
    caller: bytes
    sips: bool
    agent: bytes
    proof: bytes
    session: int = 0
    state: SessionState = SessionState.ANSWERED
    answer: bytes = b""
    answer_number: int = 0
    offering: bool = False
    session_version: int = 0
    pause: float = T1
    resend_at: float = inf
    expire_at: float = inf
    replies: int = 0
    waiting: tuple[bytes, ...] = ()
    sent: bytes = b""
    why: str = ""
    closed: str = ""
    counted: bool = False
    held: Flow | None = None
    queued: float = inf

    @property
    def due(self) -> float:
        """When one of its timers fires."""
        return self.resend_at if self.resend_at < self.expire_at else self.expire_at
