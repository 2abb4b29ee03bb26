"""Responses to requests that the proxy refuses, of which it keeps nothing (RFC 3261 §16.2)."""

from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyAnswered
from chatredirect.responses.planned import PlannedResponse, write
from chatredirect.responses.planned import reason as warning_in
from chatredirect.sip.flow import Flow
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Send


def respond_stateless(
    core: ProxyCore,
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    flow: Flow,
    refusal: PlannedResponse,
    reason: str,
    endpoint: str | None = None,
) -> None:
    """Answer a request without keeping anything of it (RFC 3261 §16.2, §8.2.7).

    Args:
        core: the proxy.
        request: the request to refuse.
        envelope: its mandatory header fields.
        source: where it came from.
        flow: the flow that the response goes over.
        refusal: the response to send.
        reason: why, as a constant for counting.
        endpoint: the endpoint's address, if it was for one.
    """
    tag = b"" if envelope.in_dialog else core.settings.tags.tag(request, envelope.number)
    data = write(request, envelope, source, refusal, tag)
    core.sends.append(Send(flow, data, None))
    core.counters.refusal(reason)
    why = refusal.phrase or warning_in(refusal.fields) or reason
    core.events.append(
        ProxyAnswered(request, source, flow.transport, refusal.status, endpoint, None, why)
    )


def later(core: ProxyCore) -> PlannedResponse:
    """503: there is no room for another request, or none is taken any more."""
    return PlannedResponse(503, b"Retry-After: %d\r\n" % core.settings.retry_after)
