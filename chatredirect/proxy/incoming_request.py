"""A request to be forwarded, as it came in: what each is checked for, and how it is refused.

`new_requests` and `in_dialog` begin with an `IncomingRequest` and make an `OutgoingRequest` of it
(RFC 3261 §16.3 to §16.6). Of a request that is refused nothing is kept (§16.2, §8.2.7).
"""

import re
from dataclasses import dataclass, field

from chatredirect.net.refusals import RefusalReason
from chatredirect.net.target import Target
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyAnswered, ProxyRefusal
from chatredirect.proxy.outgoing_request import OutgoingRequest, Record
from chatredirect.proxy.response_context import ResponseContext
from chatredirect.responses.planned import (
    SIPS_NOT_ALLOWED,
    PlannedResponse,
    capabilities,
    unavailable,
    unsupported,
    write,
)
from chatredirect.responses.planned import reason as warning_in
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.forwarded_head import ForwardedHead
from chatredirect.sip.forwarding import Route
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, stamped
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.uri import parse_uri

#: They make no dialog and renew none, so a Record-Route would have no effect (§16.6 step 4).
_WITHOUT_RECORD_ROUTE = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"MESSAGE", b"OPTIONS", b"PRACK", b"PUBLISH", b"REGISTER",
))  # fmt: skip

MAX_OWN_ROUTES = 8
"""Entries of Route that name this server and no dialog, which are passed over: each is read."""


@dataclass(slots=True)
class RequestRefused(Exception):
    """A request isn't forwarded but gets this response; `reason` is a constant for counting."""

    response: PlannedResponse
    reason: str


@dataclass(slots=True)
class IncomingRequest:
    """A request, with the peer that sent it and the time at which it came.

    Attributes:
        return_path: the way back, valid while the request is handled.
        now: seconds on the clock of all calls.
        epoch: seconds since the epoch.
        flow: the flow that its responses go over.
        via: its topmost Via value, stamped with the peer's address.
    """

    request: Request
    headers: MandatoryHeaders
    peer: Peer
    return_path: ReturnPath
    now: float
    epoch: float
    flow: Flow = field(init=False)
    via: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Find the way back, which every request needs."""
        self.via, port = stamped(self.request, self.headers, self.peer)
        self.flow = self.return_path.flow(port)

    def gets_record_route(self) -> bool:
        """Whether it gets our Record-Route."""
        return self.request.method not in _WITHOUT_RECORD_ROUTE

    def repeated(self, core: ProxyCore, key: bytes) -> bool:
        """Whether a request with this transaction key has come before; if so, answer it again.

        Raises:
            RequestRefused: another peer has sent it, which alone gets the response.
        """
        transaction = core.transactions.server(key)
        if transaction is None:
            return False
        if core.transactions.server_of(key, self.peer) is None:
            response = PlannedResponse(482, refusal=RefusalReason.OTHER_PEER)
            raise RequestRefused(response, "other_peer")
        core.counters.retransmissions += 1
        core.transactions.repeated(transaction, self.flow, self.now)
        return True

    def check(self, core: ProxyCore, head: ForwardedHead, routes: list[Route]) -> bytes:
        """Check Max-Forwards, Proxy-Require and loops.

        Args:
            routes: its Route entries, as they came.

        Returns:
            The loop mark that its branch will carry (§16.6 step 8).

        Raises:
            RequestRefused: it isn't forwarded.
            SipError: Max-Forwards or Proxy-Require can't be read.
        """
        request = self.request
        if head.hops() == 0:
            if request.method == b"OPTIONS":  # §16.3 step 3
                raise RequestRefused(PlannedResponse(200, capabilities(None)), "max_forwards")
            raise RequestRefused(PlannedResponse(483), "max_forwards")
        required = head.required()
        if required:
            known = core.settings.proxy_require
            unknown = [tag for tag in required if tag.lower() not in known]
            if unknown:
                response = unsupported(unknown)
                response.refusal = RefusalReason.PROXY_REQUIRE
                raise RequestRefused(response, "proxy_require")
        loop = core.settings.loops.mark(request, routes)
        for via in request.vias:
            if via.find(loop) >= 0:
                raise RequestRefused(PlannedResponse(482), "loop")
        return loop

    def pack(
        self,
        head: ForwardedHead,
        uri: bytes,
        routes: list[Route],
        loop: bytes,
        record: Record | None,
        *,
        last_route: bytes | None = None,
        left_out: re.Pattern[bytes] | None = None,
    ) -> OutgoingRequest:
        """Write what is sent on; see `OutgoingRequest` and `ForwardedHead.rest`."""
        request = self.request
        rest = head.rest(self.via, routes, request.body, last_route=last_route, left_out=left_out)
        start_line = request.method + b" " + uri + b" SIP/2.0"
        return OutgoingRequest(request.method, start_line, rest, loop, record)

    def admit(
        self,
        core: ProxyCore,
        key: bytes,
        outgoing: OutgoingRequest,
        targets: tuple[Target, ...],
        *,
        endpoint: str | None = None,
        secure: bool = False,
    ) -> ResponseContext:
        """Open a server transaction with this key, and make the response context of the request.

        `ProxyCore.open_context` has to follow.
        """
        request, headers, peer = self.request, self.headers, self.peer
        invite = request.method == b"INVITE"
        server = core.transactions.serve(key, self.flow, None, peer, invite=invite)
        context = ResponseContext(  # by position: names would make a dictionary
            core, request, invite, headers.number, peer, self.via, headers.in_dialog, endpoint,
            outgoing, targets, self.now, server, secure,
        )  # fmt: skip
        server.user = context
        return context

    def refuse(self, core: ProxyCore, refused: RequestRefused, endpoint: str | None = None) -> None:
        """Answer the request without keeping anything of it; `endpoint` is its address."""
        request, headers, response = self.request, self.headers, refused.response
        tag = b"" if headers.in_dialog else core.settings.tags.tag(request, headers.number)
        data = write(request, headers, self.peer, response, tag)
        core.sends.append(Send(self.flow, data, None))
        core.counters.refused[refused.reason] += 1
        why = response.phrase or warning_in(response.fields) or refused.reason
        transport = self.flow.transport
        core.events.append(
            ProxyAnswered(request, self.peer, transport, response.status, endpoint, None, why)
        )
        if response.refusal is not None:
            about = endpoint or ""
            if response.refusal is RefusalReason.PROXY_REQUIRE:
                tags = response.fields.partition(b" ")[2].rstrip()
                about = tags.decode("ascii", "backslashreplace")
            core.events.append(ProxyRefusal(response.refusal, self.peer, transport, about))


def overload(core: ProxyCore, limit: RefusalReason) -> RequestRefused:
    """503: there is no room for another request, since this limit is reached."""
    return RequestRefused(PlannedResponse(503, _retry_after(core), refusal=limit), "overload")


def draining(core: ProxyCore) -> RequestRefused:
    """503: no new request is accepted any more."""
    return RequestRefused(PlannedResponse(503, _retry_after(core)), "draining")


def _retry_after(core: ProxyCore) -> bytes:
    return b"Retry-After: %d\r\n" % core.settings.retry_after


def no_tls(core: ProxyCore) -> RequestRefused:
    """480: a request must go over TLS, which its target doesn't offer (RFC 5630 §6.2)."""
    settings = core.settings
    fields = unavailable(settings.retry_after, settings.agent, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
    return RequestRefused(PlannedResponse(480, fields), "sips")


def needs_tls(uri: bytes) -> bool:
    """Whether every hop of a request with this Request-URI must use TLS (RFC 3261 §26.2.2)."""
    return uri[:5].lower() == b"sips:"


def names_us(core: ProxyCore, route: bytes) -> bool:
    """Whether a Route's URI names this server: with no token in it, an outbound proxy's (§16.4)."""
    try:
        return core.settings.names.names(parse_uri(route))
    except SipError:
        return False
