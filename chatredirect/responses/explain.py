"""What a message got and why, in words: for the log and for traces.

The words may hold the peer's octets: escape them before showing them.
"""

import re

import structlog

from chatredirect.responses.planned import PlannedResponse, reason
from chatredirect.sip.flow import peer_text
from chatredirect.sip.message import Message, Request, Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Transaction, U

log = structlog.get_logger()

_CONTACT = re.compile(rb"^Contact: (.+)\r$", re.MULTILINE)

_REASONS = {
    403: "the peer isn't trusted: its address isn't in trusted_peers, and it showed no certificate "
    "with a name in tls.allowed_peers",
    404: "no endpoint has this URI",
    405: "the method isn't one of the endpoint's",
    481: "it is in a dialog, or about a request, that isn't known here",
}

# Why a response isn't accepted; counted under these names.
NO_REQUEST = "response"
"""It answers no request of ours; over UDP it may simply be late."""
ELSEWHERE = "response_elsewhere"
"""It didn't come from where its request was sent to (RFC 3261 §18.2.2)."""
MALFORMED = "response_malformed"
"""What a proxy needs of it can't be read (RFC 3261 §16.7)."""
TOO_LATE = "response_too_late"
"""Its request has had its final response, and it doesn't name its receiver."""


def explain(planned: PlannedResponse) -> str:
    """Explain what the dispatcher decided."""
    address = None if planned.endpoint is None else planned.endpoint.address
    if planned.fault is not None:
        return explain_status(planned.status, address, f"malformed: {planned.fault}")
    return explain_status(planned.status, address, "", planned.fields)


def explain_status(status: int, endpoint: str | None, why: str, fields: bytes = b"") -> str:
    """Explain a response.

    Args:
        endpoint: the address of the endpoint that the request was for, if any.
        why: the reason; if empty, it is looked for in `fields`.
        fields: the response's further header fields, each with its CRLF.
    """
    whose = "" if endpoint is None else f"endpoint {endpoint}: "
    if not why and 300 <= status < 400:
        contacts = b", ".join(_CONTACT.findall(fields))
        return f"{whose}{status} to {contacts.decode('utf-8', 'backslashreplace')}"
    if not why:
        why = reason(fields)
    if status == 404 and endpoint is not None:
        why = "it is disabled"
    return f"{whose}{status}, {why or _REASONS.get(status, 'answered here')}"


def log_request(
    request: Request,
    peer: Peer,
    transport: str,
    status: int,
    endpoint: str | None,
    fault: str,
    fields: bytes = b"",
    target: str | None = None,
    why: str = "",
) -> None:
    """Log a request and its response in one line.

    Args:
        endpoint: the address of the endpoint that it was for, if any.
        fault: what is wrong with the request, or empty.
        fields: the response's further header fields; the Warning of a 480, 488 or 503 says why.
        target: the last target that the request was passed on to, if any.
        why: the reason of the response, where no Warning has it.
    """
    if not why and status in (480, 488, 503):
        why = reason(fields)
    log.info(
        "request",
        method=request.method,
        uri=request.uri,
        status=status,
        endpoint=endpoint,
        caller=request.from_,
        call_id=request.call_id,
        peer=_peer(peer, transport),
        **({"target": target} if target else {}),
        **({"fault": fault} if fault else {}),
        **({"why": why} if why else {}),
    )


def log_drop(why: str, peer: Peer, transport: str, message: Message | None = None) -> None:
    """Log, at level debug, a message that gets no response; `message` is None if unreadable."""
    about = {} if message is None else {"caller": message.from_, "call_id": message.call_id}
    log.debug("dropped", why=why, **about, peer=_peer(peer, transport))


def unwanted(
    transaction: Transaction[U], why: str, response: Response, peer: Peer, transport: str
) -> str:
    """Log that a response to a request of ours isn't accepted, once for each request.

    Returns:
        `why`, one of the constants above.
    """
    if not transaction.complained:
        transaction.complained = True
        log.info(
            "response_dropped",
            why=why,
            status=response.status,
            call_id=response.call_id,
            peer=_peer(peer, transport),
        )
    return why


def _peer(peer: Peer, transport: str) -> str:
    return peer_text(transport, peer.host.decode("ascii"), peer.port)
