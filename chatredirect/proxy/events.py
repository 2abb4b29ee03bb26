"""What the proxy reports to the log and to the counters."""

from collections import Counter
from dataclasses import dataclass, field

from chatredirect.net.refusals import RefusalReason
from chatredirect.net.target import Target
from chatredirect.runtime.histogram import Histogram
from chatredirect.sip.caller import caller_and_client
from chatredirect.sip.message import Request, mandatory_headers_of
from chatredirect.sip.response import Peer
from chatredirect.usage.recorder import PROXIED, UsageRecorder


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
class ProxyRefusal:
    """A peer's message isn't forwarded, since the peer may not send it, or for a limit.

    Attributes:
        about: the endpoint's address, if the message was for one, or the option tags that aren't
            supported; may be empty.
    """

    reason: RefusalReason
    peer: Peer
    transport: str
    about: str = ""


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


ProxyEvent = ProxyAnswered | ProxyRefusal | ProxyDropped | ProxyFailed | ProxyFailedOver


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


def count_use(event: ProxyAnswered, usage: UsageRecorder | None) -> None:
    """Count a dialog that the pool accepted, or a request outside of dialogs; no request in one."""
    if usage is None or not usage.on or event.endpoint is None:
        return
    request = event.request
    if request.method == b"OPTIONS":
        return
    headers = mandatory_headers_of(request)
    if 200 <= event.status < 300 and not headers.in_dialog and request.call_id is not None:
        client = caller_and_client(request, headers.from_)
        trusted, head = event.peer.trusted, request.head
        usage.used(event.endpoint, request.call_id, client, PROXIED, trusted, head)
