"""The response context: one request that is being proxied, until it has its final response.

RFC 3261 §16 calls so what a proxy keeps between a server transaction and its client transactions.
"""

from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from chatredirect.net.target import Target
from chatredirect.proxy.branches import Branch
from chatredirect.proxy.outgoing_request import OutgoingRequest
from chatredirect.sip.message import Request, Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Transaction
from chatredirect.sip.uri import SipUri


@dataclass(slots=True, eq=False)
class ResponseContext:
    """One request on its way.

    Attributes:
        request: as it came; None once there is a final response.
        invite: whether it is an INVITE.
        number: its CSeq number.
        source: where it came from.
        via: its topmost Via value with where it came from, for answers of our own.
        tagged: whether its To has a tag.
        endpoint: the endpoint's address, for people; None within a dialog.
        outgoing: what is sent on; None once there is a final response.
        targets: those that haven't been tried, the next one first.
        server: its server transaction.
        active: the branch that is waited for.
        best: the final response that would be given now.
        why: what went wrong last, for people.
        silent: whether a target didn't answer at all.
        to_caller: whether it goes to a dialog's caller, over his flow.
        behind: its next Route, to be asked for should that flow prove to be gone.
        secure: whether it may only go over TLS on the way to the caller.
        reasons: the Reason fields of its CANCEL.
        cancelled: whether it has been cancelled.
        finished: whether it has had its final response.
        too_large: the target for which a large request has been tried over TCP before UDP.
        began: when it came.
        attempt_at: when the active branch has had time enough to say something.
        c_at: when Timer C fires (§16.8).
        trying_at: when a request other than INVITE gets its 100 (RFC 4320 §4.1).
        queued: for whoever keeps the times.
    """

    request: Request | None
    invite: bool
    number: int
    source: Peer
    via: bytes
    tagged: bool
    endpoint: str | None
    outgoing: OutgoingRequest | None
    targets: list[Target]
    began: float
    server: "Transaction[User] | None" = None
    active: Branch | None = None
    best: Response | None = None
    why: str = ""
    silent: bool = False
    to_caller: bool = False
    behind: SipUri | None = None
    secure: bool = False
    reasons: bytes = b""
    cancelled: bool = False
    finished: bool = False
    too_large: Target | None = None
    attempt_at: float = inf
    c_at: float = inf
    trying_at: float = inf
    queued: float = inf

    @property
    def due(self) -> float:
        """When something is to be done for it; infinite for never."""
        first = self.attempt_at if self.attempt_at < self.c_at else self.c_at
        return first if first < self.trying_at else self.trying_at


@dataclass(slots=True, eq=False)
class StatelessForward:
    """A request that is sent on without a transaction: the ACK of a 2xx, BENOTIFY (§16.11).

    Attributes:
        outgoing: what is sent on.
        target: where it goes; None for a dialog's caller.
        call_id: its Call-ID, for people.
        behind: its next Route, to be asked for should the caller's flow be gone.
        secure: whether it may only go over TLS.
    """

    outgoing: OutgoingRequest
    target: Target | None
    call_id: bytes | None
    behind: SipUri | None = None
    secure: bool = False


@dataclass(slots=True, eq=False)
class RetargetedResponse:
    """A response whose connection is gone, so that it needs another one (§18.2.2).

    Attributes:
        data: it.
        server: its server transaction.
    """

    data: bytes
    server: "Transaction[User]"


#: Whom a message is sent for: a client transaction's for a branch, a server's for a context.
User: TypeAlias = Branch | ResponseContext | StatelessForward | None
#: Who waits for a way, and who for targets.
Waiter: TypeAlias = Branch | StatelessForward | RetargetedResponse
Seeking: TypeAlias = ResponseContext | StatelessForward
