"""One lookup: a dialog with a client, where it is, and what is still to be sent in it."""

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
    """Where a lookup is."""

    ANSWERED = auto()  # a 2xx went out, its ACK hasn't come
    CONFIRMED = auto()  # the ACK has come
    CLOSING = auto()  # our BYE went out, its answer hasn't come
    OVER = auto()


class SessionEvent(Enum):
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


class SessionAction(Enum):
    """What is done then."""

    RESEND_LATER = auto()  # timer of §13.3.1.4: from T1
    RESEND = auto()  # and doubles up to T2
    NO_RESEND = auto()
    AWAIT_ACK = auto()  # 64*T1
    AWAIT_REQUEST = auto()  # the idle time
    SEND_BYE = auto()
    FORGET = auto()


Row: TypeAlias = tuple[SessionState, tuple[SessionAction, ...]]

_OVER: Row = (SessionState.OVER, (SessionAction.FORGET,))
_HANG_UP: Row = (SessionState.CLOSING, (SessionAction.NO_RESEND, SessionAction.SEND_BYE))

#: What isn't here changes nothing. The 2xx that begins a lookup is an ACCEPTED in ANSWERED.
TABLE: Mapping[tuple[SessionState, SessionEvent], Row] = {
    (SessionState.ANSWERED, SessionEvent.ACCEPTED): (
        SessionState.ANSWERED,
        (SessionAction.RESEND_LATER, SessionAction.AWAIT_ACK),
    ),
    (SessionState.ANSWERED, SessionEvent.RESEND): (SessionState.ANSWERED, (SessionAction.RESEND,)),
    (SessionState.ANSWERED, SessionEvent.ACK): (
        SessionState.CONFIRMED,
        (SessionAction.NO_RESEND, SessionAction.AWAIT_REQUEST),
    ),
    (SessionState.ANSWERED, SessionEvent.BYE): _OVER,
    # §15: not before the ACK, or when it can't be expected any more
    (SessionState.ANSWERED, SessionEvent.EXPIRED): _HANG_UP,
    (SessionState.ANSWERED, SessionEvent.REFUSED): _OVER,
    (SessionState.ANSWERED, SessionEvent.LOST): _OVER,
    (SessionState.CONFIRMED, SessionEvent.ACCEPTED): (
        SessionState.ANSWERED,
        (SessionAction.RESEND_LATER, SessionAction.AWAIT_ACK),
    ),
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


MAX_WAITING = 4
"""Replies that wait for the answer to the one before."""


@dataclass(slots=True, eq=False)
class LookupSession:
    """One lookup.

    Attributes:
        dialog: the dialog.
        endpoint: the contact object that was called.
        peer: whom its INVITE came from.
        flow: where that peer was heard of last.
        caller: the From URI.
        sips: whether our Contact must be a SIPS URI.
        state: where it is.
        answer: our last 2xx to an INVITE, until its ACK comes.
        answer_number: the CSeq number of that INVITE.
        offering: whether our last session description is an offer whose answer hasn't come.
        session: the hash of our last session description, and `session_version` its version.
        pause: seconds until the 2xx is sent again.
        resend_at: when that is; infinite for never.
        expire_at: when nothing is waited for any longer.
        replies: how many replies there were: the envid of the last.
        waiting: replies that wait for their turn.
        sent: the key of our INFO or BYE that hasn't been answered, `b""` if there is none.
        why: why we end it; empty as long as we don't.
        closed: why its endpoint served nobody when it began; empty if it did.
        held: the flow that it keeps open, as long as its dialog is.
        queued: see `Deadlines`.
    """

    dialog: ServerDialog
    endpoint: LookupEndpoint
    peer: Peer
    flow: Flow
    caller: bytes
    sips: bool
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
    held: Flow | None = None
    queued: float = inf

    @property
    def due(self) -> float:
        """When something is to be done for it."""
        return min(self.resend_at, self.expire_at)
