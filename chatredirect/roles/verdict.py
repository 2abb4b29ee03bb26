"""What a request gets, before it is written: the pieces of the table of answers."""

from dataclasses import dataclass

import structlog

from chatredirect.directory import Endpoint
from chatredirect.roles.unavailable import reason
from chatredirect.sip import headers
from chatredirect.sip.errors import BadHeaderValue, SipError
from chatredirect.sip.flow import peer_text
from chatredirect.sip.message import Message, Request
from chatredirect.sip.response import Source
from chatredirect.sip.status import status_line

log = structlog.get_logger()

_ALWAYS_ALLOWED = (b"ACK", b"CANCEL", b"OPTIONS")
#: What is named in Allow when every method is redirected.
_ANY_METHOD = (b"INVITE", b"MESSAGE", b"SUBSCRIBE")


@dataclass(slots=True)
class Verdict:
    """What a request gets.

    Attributes:
        status: the status code.
        status_line: the Status-Line that goes with it.
        fields: further header fields, each with its CRLF.
        tagged: whether our To tag is added.
        endpoint: the endpoint that it was for, if any.
        fault: what was wrong with it, if anything.
    """

    status: int
    status_line: bytes
    fields: bytes = b""
    tagged: bool = True
    endpoint: Endpoint | None = None
    fault: SipError | None = None


def refusal(request: Request, error: SipError) -> Verdict:
    """The answer to a malformed request; its To gets no tag if it can't take one."""
    status = error.status or 400
    complete = None not in (request.from_, request.call_id, request.cseq)
    readable = request.to is not None and "To" not in request.overlong
    tagged = complete and readable and _has_no_tag(request.to or b"")
    return Verdict(status, status_line(status, error.reason), tagged=tagged, fault=error)


def _has_no_tag(to: bytes) -> bool:
    try:
        return headers.read_tag(to, "To") is None
    except BadHeaderValue:
        return False


def allow(methods: frozenset[bytes] | None) -> bytes:
    """The Allow header field of an endpoint with these methods, None for all."""
    listed = _ANY_METHOD if methods is None else methods
    return b"Allow: %b\r\n" % b", ".join(sorted({*listed, *_ALWAYS_ALLOWED}))


def capabilities(methods: frozenset[bytes] | None) -> bytes:
    """What an OPTIONS for a redirect is told: no body is understood."""
    return described(allow(methods), b"")


def described(allowed: bytes, accept: bytes) -> bytes:
    """What an OPTIONS is told (RFC 3261 §11.2): no extension is spoken, and reasons are English.

    Args:
        allowed: the Allow header field.
        accept: the value of Accept.
    """
    return (
        b"%bAccept: %b\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: \r\n"
        % (allowed, accept)
    )


def log_request(
    request: Request,
    source: Source | None,
    transport: str,
    status: int,
    endpoint: str | None,
    fault: str,
    fields: bytes = b"",
    target: str | None = None,
    why: str = "",
) -> None:
    """One line for a request and its answer.

    Args:
        request: it.
        source: where it came from.
        transport: what it came on.
        status: of its answer.
        endpoint: the endpoint's address, if it was for one.
        fault: what was wrong with it, or empty.
        fields: the answer's further header fields; the Warning of a 480, 488 or 503 says why.
        target: where it was passed on to, the last one tried.
        why: the reason of its answer, where that isn't in a Warning.
    """
    peer = None
    if not why and status in (480, 488, 503):
        why = reason(fields)
    if source is not None:
        peer = peer_text(transport, source.host.decode("ascii"), source.port)
    log.info(
        "request",
        method=request.method,
        uri=request.uri,
        status=status,
        endpoint=endpoint,
        caller=request.from_,
        call_id=request.call_id,
        peer=peer,
        **({"target": target} if target else {}),
        **({"fault": fault} if fault else {}),
        **({"why": why} if why else {}),
    )


def log_drop(why: str, source: Source, transport: str, message: Message | None = None) -> None:
    """A message that gets no answer, for who looks closer: at level debug.

    Args:
        why: the counter's name for it, or more.
        source: where it came from.
        transport: what it came on.
        message: it, if it could be read so far.
    """
    peer = peer_text(transport, source.host.decode("ascii"), source.port)
    about = {} if message is None else {"caller": message.from_, "call_id": message.call_id}
    log.debug("dropped", why=why, **about, peer=peer)
