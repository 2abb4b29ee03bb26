"""Answers of the proxy's own: what it refuses, and what it says where no target has."""

from typing import TYPE_CHECKING

from chatredirect.net.addresses import Transport
from chatredirect.net.target import Target
from chatredirect.proxy.events import ProxyAnswered
from chatredirect.proxy.interfaces import ConnectRequest
from chatredirect.proxy.response_context import ResponseContext, RetargetedResponse, User
from chatredirect.responses.planned import MISCELLANEOUS, Refusal, unavailable, write
from chatredirect.responses.planned import reason as warning_in
from chatredirect.sip.flow import Flow
from chatredirect.sip.headers import MandatoryHeaders, read_via
from chatredirect.sip.message import Request, values
from chatredirect.sip.reason_phrases import status_line
from chatredirect.sip.response import Peer, respond
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.uri import DEFAULT_PORT, DEFAULT_TLS_PORT

if TYPE_CHECKING:
    from chatredirect.proxy.core import ProxyCore

_LINES = {status: status_line(status) for status in (100, 408, 430, 487, 500)}


def respond_stateless(
    core: "ProxyCore",
    request: Request,
    envelope: MandatoryHeaders,
    source: Peer,
    flow: Flow,
    refusal: Refusal,
    reason: str,
    endpoint: str | None = None,
) -> None:
    """Answer a request without keeping anything of it (RFC 3261 §16.2, §8.2.7).

    Args:
        core: the proxy.
        request: it.
        envelope: its envelope.
        source: where it came from.
        flow: the way back.
        refusal: what it gets.
        reason: why, as a constant for counting.
        endpoint: the endpoint's address, if it was for one.
    """
    tag = b"" if envelope.in_dialog else core.rules.tags.tag(request, envelope.number)
    data = write(request, envelope, source, refusal, tag)
    core.sends.append(Send(flow, data, None))
    core.counters.refusal(reason)
    why = refusal.phrase or warning_in(refusal.fields) or reason
    core.events.append(
        ProxyAnswered(request, source, flow.transport, refusal.status, endpoint, None, why)
    )


def later(core: "ProxyCore") -> Refusal:
    """503: there is no room for another request, or none is taken any more."""
    return Refusal(503, b"Retry-After: %d\r\n" % core.rules.retry_after)


def send_100(core: "ProxyCore", context: ResponseContext, now: float) -> None:
    """100, which says only that the request has come (§8.2.6.1)."""
    request = context.request
    assert request is not None
    stamps = values(request, b"timestamp") if b"imestamp" in request.head else ()
    fields = b"".join(b"Timestamp: %b\r\n" % stamp for stamp in stamps)
    data = respond(request, _LINES[100], context.via, b"", fields)
    assert context.server is not None
    core.transactions.respond(context.server, 100, data, now)


def send_final_response(
    core: "ProxyCore", context: ResponseContext, status: int, now: float
) -> None:
    """Give a final response of our own, and close the context."""
    request, server = context.request, context.server
    assert request is not None
    assert server is not None
    tag = b"" if context.tagged else core.rules.tags.tag(request, context.number)
    fields = b""
    if status == 500:
        rules = core.rules
        fields = unavailable(rules.retry_after, rules.agent, MISCELLANEOUS, context.why)
    data = respond(request, _LINES[status], context.via, tag, fields)
    server.tag = tag or matching.tag_of(request.to or b"", "To")
    core.transactions.respond(server, status, data, now)
    done(core, context, status)


def answer_anew(core: "ProxyCore", context: ResponseContext, send: Send[User]) -> None:
    """Send a response to where its sender listens: the connection that it came on is gone.

    RFC 3261 §18.2.2: at the address that the request came from, at sent-by's port. Where that is
    the lost connection's own end nobody listens.
    """
    flow, server = send.flow, context.server
    via = read_via(context.via)
    port = via.port or (DEFAULT_TLS_PORT if flow.transport == "tls" else DEFAULT_PORT)
    if server is None or flow.transport == "udp" or port == flow.peer_port:
        return
    name = via.host.decode("ascii").strip("[]").lower().rstrip(".")
    transport: Transport = "tls" if flow.transport == "tls" else "tcp"
    target = Target(transport, flow.peer_host, port, name, domain=name)
    core.connect_requests.append(ConnectRequest(target, RetargetedResponse(send.data, server)))


def finish_without_response(core: "ProxyCore", context: ResponseContext) -> None:
    """Nobody answered a request other than INVITE: so nobody does (RFC 4320 §4.2)."""
    assert context.server is not None
    core.transactions.end(context.server)
    done(core, context, 0)


def done(core: "ProxyCore", context: ResponseContext, status: int) -> None:
    """Tell that a request has had its final response, and close its context."""
    request, server = context.request, context.server
    assert request is not None
    assert server is not None
    branch = context.active
    target = None
    if branch is not None and branch.target is not None:
        target = str(branch.target)
    core.events.append(
        ProxyAnswered(
            request, context.source, server.flow.transport, status, context.endpoint, target,
            context.why, None if target is None else context.began,
        )
    )  # fmt: skip
    core.close(context)
