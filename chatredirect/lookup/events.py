"""What comes to the lookup core, and what it reports for the log and the counters."""

from dataclasses import dataclass, field

from chatredirect.lookup.session import LookupSession
from chatredirect.responses.planned import PlannedResponse
from chatredirect.sip.flow import Flow
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer
from chatredirect.usage.recorder import LOOKED_UP, UsageRecorder


@dataclass(slots=True)
class ReceivedRequest:
    """A request of a trusted peer, neither ACK nor CANCEL.

    Attributes:
        key: the key of its server transaction.
        flow: the flow that its response goes over.
        now: when it came, in seconds on the clock of all calls.
    """

    request: Request
    headers: MandatoryHeaders
    peer: Peer
    key: bytes
    flow: Flow
    now: float


@dataclass(slots=True)
class LookupAnswered:
    """A request got its first response; `endpoint` is the address of the endpoint it was for."""

    received: ReceivedRequest
    response: PlannedResponse
    endpoint: str | None


@dataclass(slots=True)
class ChannelGiven:
    """A caller got the URI of a channel service, or None and the reason."""

    lookup: LookupSession
    uri: str | None
    why: str


@dataclass(slots=True)
class LookupEnded:
    """A lookup is over, for another reason than its client's BYE."""

    lookup: LookupSession


LookupEvent = LookupAnswered | ChannelGiven | LookupEnded


@dataclass(slots=True)
class LookupCounters:
    """Counts since the start.

    Attributes:
        begun: dialogs that were accepted.
        found: URIs of channel services that were given out.
        not_found: times that a client asked for one and none was usable.
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


def count_use(lookup: LookupSession, usage: UsageRecorder | None) -> None:
    """Count the first channel service of a dialog."""
    if usage is not None and usage.on and not lookup.counted:
        lookup.counted = True
        client = b"%b\n%b" % (lookup.caller, lookup.agent)
        address, call_id, proof = lookup.endpoint.address, lookup.dialog.call_id, lookup.proof
        usage.used(address, call_id, client, LOOKED_UP, True, proof)
