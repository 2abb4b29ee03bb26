"""One lookup: a dialog with a client, where it is, and what is still to be sent in it."""

from dataclasses import dataclass
from math import inf

from chatredirect.roles.lookup.endpoint import LookupEndpoint
from chatredirect.roles.lookup.states import State
from chatredirect.sip.dialog import UasDialog
from chatredirect.sip.flow import Flow
from chatredirect.sip.response import Source
from chatredirect.sip.transaction.timers import T1

MAX_WAITING = 4
"""Replies that wait for the answer to the one before."""


@dataclass(slots=True, eq=False)
class Lookup:
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

    dialog: UasDialog
    endpoint: LookupEndpoint
    peer: Source
    flow: Flow
    caller: bytes
    sips: bool
    session: int = 0
    state: State = State.ANSWERED
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
