"""A request to be forwarded, as it came in: what each is checked for, and how it is refused.

`new_requests` and `in_dialog` begin with an `IncomingRequest` and make an `OutgoingRequest` of it
(RFC 3261 §16.3 to §16.6). Of a request that is refused nothing is kept (§16.2, §8.2.7).
"""

from dataclasses import dataclass, field

from chatredirect.net.target import Target
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.events import ProxyAnswered
from chatredirect.proxy.outgoing_request import OutgoingRequest, Record, token_in
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
from chatredirect.sip.forwarding import HeaderEditor, Route
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, reply_port, stamp
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
        via = self.headers.via
        self.flow = self.return_path.flow(reply_port(via, self.peer))
        self.via = stamp(self.request.vias[0], via, self.peer)

    @property
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
            raise RequestRefused(PlannedResponse(482), "other_peer")
        core.counters.retransmissions += 1
        core.transactions.repeated(transaction, self.flow, self.now)
        return True

    def check(self, core: ProxyCore, editor: HeaderEditor, routes: list[Route]) -> bytes:
        """Check Max-Forwards, Proxy-Require and loops, and count Max-Forwards down.

        Args:
            routes: its Route entries, as they came.

        Returns:
            The loop mark that its branch will carry (§16.6 step 8).

        Raises:
            RequestRefused: it isn't forwarded.
            SipError: Max-Forwards or Proxy-Require can't be read.
        """
        request = self.request
        hops = editor.hops()
        if hops == 0:
            if request.method == b"OPTIONS":  # §16.3 step 3
                raise RequestRefused(PlannedResponse(200, capabilities(None)), "max_forwards")
            raise RequestRefused(PlannedResponse(483), "max_forwards")
        known = core.settings.proxy_require
        unknown = [tag for tag in editor.required() if tag.lower() not in known]
        if unknown:
            raise RequestRefused(unsupported(unknown), "proxy_require")
        identity = (request.uri, request.call_id, request.from_, request.to, request.cseq)
        # without the method of CSeq
        same = b"\n".join(part or b"" for part in identity).rpartition(b" ")[0]
        if routes:
            same += b"".join(b"\n" + route.raw for route in routes)
        loop = core.settings.loops(same)
        if any(loop in via for via in request.vias):
            raise RequestRefused(PlannedResponse(482), "loop")
        editor.count_down(hops)
        return loop

    def pack(
        self, editor: HeaderEditor, uri: bytes, loop: bytes, record: Record | None
    ) -> OutgoingRequest:
        """Write what is sent on; for `loop` and `record` see `OutgoingRequest`."""
        request = self.request
        editor.stamp(self.via)
        start_line = b"%b %b SIP/2.0" % (request.method, uri)
        return OutgoingRequest(request.method, start_line, editor.rest(request.body), loop, record)

    def admit(
        self,
        core: ProxyCore,
        key: bytes,
        outgoing: OutgoingRequest,
        targets: list[Target],
        *,
        endpoint: str | None = None,
        secure: bool = False,
    ) -> ResponseContext:
        """Open a server transaction with this key, and the response context of the request."""
        request, headers, peer = self.request, self.headers, self.peer
        invite = request.method == b"INVITE"
        server = core.transactions.serve(key, self.flow, None, peer, invite=invite)
        context = ResponseContext(
            proxy=core,
            request=request,
            invite=invite,
            number=headers.number,
            peer=peer,
            via=self.via,
            tagged=headers.in_dialog,
            endpoint=endpoint,
            outgoing=outgoing,
            targets=targets,
            began=self.now,
            server=server,
            secure=secure,
        )
        server.user = context
        with core.ending_at_fault(context, self.now):
            core.open_context(context, self.now)
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


def overload(core: ProxyCore, reason: str) -> RequestRefused:
    """503: there is no room for another request, or no new one is accepted any more."""
    retry_after = b"Retry-After: %d\r\n" % core.settings.retry_after
    return RequestRefused(PlannedResponse(503, retry_after), reason)


def no_tls(core: ProxyCore) -> RequestRefused:
    """480: a request must go over TLS, which its target doesn't offer (RFC 5630 §6.2)."""
    settings = core.settings
    fields = unavailable(settings.retry_after, settings.agent, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
    return RequestRefused(PlannedResponse(480, fields), "sips")


def needs_tls(uri: bytes) -> bool:
    """Whether every hop of a request with this Request-URI must use TLS (RFC 3261 §26.2.2)."""
    return uri[:5].lower() == b"sips:"


def names_us_alone(core: ProxyCore, route: bytes) -> bool:
    """Whether a Route's URI names this server and no dialog: an outbound proxy's (§16.4)."""
    try:
        return token_in(route) is None and core.settings.names.names(parse_uri(route))
    except SipError:
        return False
