"""What a message got and why, in words: for the log and for traces.

The words may hold the peer's octets: escape them before showing them.
"""

import re

import structlog

from chatredirect.responses.planned import PlannedResponse, reason
from chatredirect.sip.caller import user_agent
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import peer_text
from chatredirect.sip.headers import read_from_to
from chatredirect.sip.message import Message, Request, Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Transaction, U
from chatredirect.usage.identity import UNREADABLE, canonical_caller

log = structlog.get_logger()

_CONTACT = re.compile(rb"^Contact: (.+)\r$", re.MULTILINE)

_REASONS = {
    403: "the peer isn't trusted: its address isn't in trusted_peers, and it showed no certificate "
    "with a name in tls.allowed_peers",
    404: "no endpoint has this URI",
    405: "the method isn't one of the endpoint's",
    413: "its body is longer than a lookup takes",
    415: "its body isn't understood: Accept or Accept-Encoding says what is",
    420: "it requires an extension that isn't supported: Unsupported names it",
    430: "the caller's connection is gone, and no other way leads there",
    481: "it is in a dialog, or about a request, that isn't known here",
    482: "it has come before, by another way or from another peer",
    487: "it was cancelled",
    491: "an offer of ours has no answer yet",
    500: "too much at once in this dialog",
    503: "this server is about to stop",
    513: "what a lookup keeps of its header fields is too long",
}

_WITHOUT_RESPONSE = {
    "ack": "an ACK gets no response",
    "benotify": "a BENOTIFY gets no response",
}
"""Messages with which nothing is wrong."""

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


def explain_no_response(reason: str) -> str:
    """Explain why a message gets no response; `reason` is the name under which that is counted."""
    return _WITHOUT_RESPONSE.get(reason) or f"dropped: {reason}"


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
    agent = user_agent(request)
    log.info(
        "request",
        method=request.method,
        uri=request.uri,
        status=status,
        endpoint=endpoint,
        caller=caller_text(request.from_),
        call_id=request.call_id,
        peer=_peer(peer, transport),
        **({"user_agent": agent} if agent else {}),
        **({"target": target} if target else {}),
        **({"fault": fault} if fault else {}),
        **({"why": why} if why else {}),
    )


def caller_text(from_: bytes | None) -> str | bytes | None:
    """The caller for the log: one spelling of one SIP address, so that callers can be counted.

    What is none is shown as it came.
    """
    if from_ is None:
        return None
    try:
        uri = read_from_to(from_, "From").uri
    except SipError:
        return from_
    caller = canonical_caller(uri)
    return uri if caller == UNREADABLE else caller


class _DroppedCaller:
    """A message's caller, worked out only if the line is written: nearly always it isn't."""

    __slots__ = ("_message",)

    def __init__(self, message: Message) -> None:
        self._message = message

    def __str__(self) -> str:
        caller = caller_text(self._message.from_)
        if isinstance(caller, bytes):
            return caller.decode("utf-8", "backslashreplace")
        return caller or ""


def log_drop(why: str, peer: Peer, transport: str, message: Message | None = None) -> None:
    """Log, at level debug, a message without a response; `message` is None if it can't be read."""
    about: dict[str, object] = {}
    if message is not None:
        about = {"caller": _DroppedCaller(message), "call_id": message.call_id}
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
