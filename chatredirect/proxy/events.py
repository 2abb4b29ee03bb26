"""What the proxy reports to the log and to the counters."""

from collections import Counter
from dataclasses import dataclass, field

from chatredirect.net.target import Target
from chatredirect.runtime.histogram import Histogram
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer


@dataclass(slots=True)
class ProxyAnswered:
    """A request got its final response.

    Attributes:
        status: 0 if no response may be sent (RFC 4320 §4.2).
        endpoint: the endpoint's address, if the request was for one.
        target: the last one tried, if any.
        why: for people; empty if nothing went wrong.
        began: when the request came, if it was sent to a target.
    """

    request: Request
    peer: Peer
    transport: str
    status: int
    endpoint: str | None
    target: Target | None
    why: str
    began: float | None = None


@dataclass(slots=True)
class ProxyDropped:
    """A message gets no response and isn't forwarded; `reason` is a constant of ours."""

    call_id: bytes | None
    reason: str


@dataclass(slots=True)
class ProxyFailed:
    """A target is tried last for a while."""

    target: str
    why: str
    seconds: float


@dataclass(slots=True)
class ProxyFailedOver:
    """A request goes on to another target; `why` is for people."""

    call_id: bytes | None
    why: str


ProxyEvent = ProxyAnswered | ProxyDropped | ProxyFailed | ProxyFailedOver


@dataclass(slots=True)
class ProxyCounters:
    """Counts since the start; of requests, unless the attribute says otherwise.

    Attributes:
        forwarded: `dialog` for those with a To tag, `new` for others, `stateless` for ACK and
            BENOTIFY.
        responses: forwarded responses.
        failures: attempts that failed, by reason.
        retransmissions: requests that came again.
        resent: messages that were sent again.
        late: 2xx that came after another final response.
        refused: by reason.
        took: seconds from a request to its final response.
    """

    forwarded: Counter[str] = field(default_factory=Counter)
    responses: int = 0
    failovers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    retransmissions: int = 0
    resent: int = 0
    cancelled: int = 0
    late: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    took: Histogram = field(default_factory=Histogram)
