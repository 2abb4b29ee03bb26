"""What the lookups tell: for the log and for the counters, not for the wire."""

from dataclasses import dataclass, field

from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer


@dataclass(frozen=True, slots=True)
class LookupAnswered:
    """A request got its first answer.

    Attributes:
        request: the request.
        source: the peer that sent it.
        status: the answer's status code.
        endpoint: the address of the endpoint that it was for.
        transport: what it came on.
        why: the answer's reason phrase, if it isn't the usual one.
        fields: the answer's further header fields, each with its CRLF.
    """

    request: Request
    source: Peer
    status: int
    endpoint: str | None
    transport: str
    why: str = ""
    fields: bytes = b""


@dataclass(frozen=True, slots=True)
class ChannelTold:
    """A caller was told the URI of a channel service; None: that there is none, and `why` not."""

    endpoint: str
    caller: bytes
    call_id: bytes
    uri: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class LookupEnded:
    """A lookup is over, for another reason than its client's BYE."""

    endpoint: str
    caller: bytes
    call_id: bytes
    why: str


LookupEvent = LookupAnswered | ChannelTold | LookupEnded


@dataclass(slots=True)
class LookupCounters:
    """Counts since the start.

    Attributes:
        begun: dialogs that were accepted.
        found: URIs of channel services that were given out.
        not_found: questions for one when none was usable.
        unknown: commands that aren't understood.
        ended: dialogs that are over, by reason.
        retransmissions: requests that came again.
        resent: messages that were sent again.
    """

    begun: int = 0
    found: int = 0
    not_found: int = 0
    unknown: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    retransmissions: int = 0
    resent: int = 0
