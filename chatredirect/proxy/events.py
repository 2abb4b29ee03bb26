"""What the proxy tells: for the log and for the counters, not for the wire."""

from dataclasses import dataclass, field

from chatredirect.runtime.histogram import Histogram
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer


@dataclass(slots=True)
class ProxyAnswered:
    """A request got its final response; `status` 0 is none, and right so (RFC 4320 §4.2).

    `began` is when it came, for those that went on to a target.
    """

    request: Request
    peer: Peer
    transport: str
    status: int
    endpoint: str | None
    target: str | None
    why: str
    began: float | None = None


@dataclass(slots=True)
class ProxyDropped:
    """A message gets no answer and goes nowhere; `reason` is a constant of ours."""

    call_id: bytes | None
    reason: str


@dataclass(slots=True)
class ProxyFailed:
    """A target is left for last for a while."""

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
    """Counts since the start.

    Attributes:
        forwarded: requests that were sent on, by method class: `dialog` for those with a To tag,
            `new` for others, `stateless` for ACK and BENOTIFY.
        responses: responses that were passed back.
        failovers: requests that went on to another target.
        failures: attempts that failed, by reason.
        retransmissions: requests that came again.
        resent: messages that were sent again.
        cancelled: requests that were cancelled.
        late: 2xx that came after another final response.
        refused: requests that were refused here, by reason.
        took: from a request to its final response.
    """

    forwarded: dict[str, int] = field(default_factory=dict)
    responses: int = 0
    failovers: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    retransmissions: int = 0
    resent: int = 0
    cancelled: int = 0
    late: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    took: Histogram = field(default_factory=Histogram)

    def sent_on(self, kind: str) -> None:
        """Count a request that is sent on."""
        self.forwarded[kind] = self.forwarded.get(kind, 0) + 1

    def failed(self, reason: str) -> None:
        """Count an attempt that failed; `reason` is a constant of ours."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def refusal(self, reason: str) -> None:
        """Count a request that is refused here; `reason` is a constant of ours."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
