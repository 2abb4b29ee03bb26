"""Whether a request may be forwarded at all (RFC 3261 §16.3), and what it becomes on the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatredirect.roles.proxy.parcel import Parcel, Record
from chatredirect.roles.refusal import Refusal, unsupported
from chatredirect.roles.verdict import capabilities
from chatredirect.sip.forwarding import Draft, Route
from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request
from chatredirect.sip.response import Source, stamp

if TYPE_CHECKING:
    from chatredirect.roles.proxy.core import Core

#: What makes no dialog and renews none, so that a Record-Route would be dead weight (§16.6 step 4).
_WITHOUT_RECORD_ROUTE = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"MESSAGE", b"OPTIONS", b"PRACK", b"PUBLISH", b"REGISTER",
))  # fmt: skip


@dataclass(slots=True)
class Refused(Exception):
    """A request that isn't forwarded.

    Attributes:
        refusal: what it gets.
        reason: why, as a constant for counting.
    """

    refusal: Refusal
    reason: str


def check(core: "Core", request: Request, draft: Draft, routes: list[Route]) -> bytes:
    """Look at Max-Forwards, Proxy-Require and loops, and count Max-Forwards down.

    Args:
        core: the proxy.
        request: it.
        draft: its header fields.
        routes: its Route, as it came.

    Returns:
        What it is known by should it come again unchanged.

    Raises:
        Refused: it isn't forwarded.
        SipError: Max-Forwards can't be read.
    """
    hops = draft.hops()
    if hops == 0:
        if request.method == b"OPTIONS":  # §16.3 step 3
            raise Refused(Refusal(200, capabilities(None)), "max_forwards")
        raise Refused(Refusal(483), "max_forwards")
    known = core.rules.proxy_require
    unknown = [tag for tag in draft.required() if tag.lower() not in known]
    if unknown:
        raise Refused(unsupported(unknown), "proxy_require")
    identity = (request.uri, request.call_id, request.from_, request.to, request.cseq)
    same = b"\n".join(part or b"" for part in identity).rpartition(b" ")[0]  # without the method
    if routes:
        same += b"".join(b"\n" + route.raw for route in routes)
    loop = core.rules.loops(same)
    if any(loop in via for via in request.vias):
        raise Refused(Refusal(482), "loop")
    draft.count_down(hops)
    return loop


def pack(
    request: Request,
    envelope: Envelope,
    source: Source,
    draft: Draft,
    uri: bytes,
    loop: bytes,
    record: Record | None,
) -> tuple[Parcel, bytes]:
    """What is sent on, and the stamped Via for answers of our own."""
    via = stamp(request.vias[0], envelope.via, source)
    draft.stamp(via)
    start_line = b"%b %b SIP/2.0" % (request.method, uri)
    return Parcel(request.method, start_line, draft.rest(request.body), loop, record), via


def records(method: bytes) -> bool:
    """Whether a request of this method gets our Record-Route."""
    return method not in _WITHOUT_RECORD_ROUTE
