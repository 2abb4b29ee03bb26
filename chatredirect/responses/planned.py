"""What a request gets, before it is written: the pieces of the table of answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from chatredirect.endpoints.directory import Endpoint
from chatredirect.sip import headers
from chatredirect.sip.errors import BadHeaderValue, SipError
from chatredirect.sip.flow import peer_text
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Message, Request
from chatredirect.sip.reason_phrases import status_line
from chatredirect.sip.response import Peer, respond, stamp

log = structlog.get_logger()

# RFC 3261 §20.43 and RFC 5630 §6.2
NO_SUCH_MEDIA = b"304"
SIPS_NOT_ALLOWED = b"380"
MISCELLANEOUS = b"399"
_MAX_TEXT = 200  # octets of a Warning's text
# inside quotes: no quote, no backslash, no control character
_QUOTED_TEXT = bytes(
    octet if 0x20 <= octet < 0x7F and octet not in b'"\\' else 0x27 for octet in range(256)
)

_WARNING = re.compile(rb'^Warning: \d{3} \S+ "(.*)"\r$', re.MULTILINE)
_MAX_TAGS = 256  # octets of unknown option tags that a 420 names
_ALWAYS_ALLOWED = (b"ACK", b"CANCEL", b"OPTIONS")
#: What is named in Allow when every method is redirected.
_ANY_METHOD = (b"INVITE", b"MESSAGE", b"SUBSCRIBE")


def unavailable(retry_after: int, agent: bytes, code: bytes, why: str) -> bytes:
    """Retry-After and Warning.

    Args:
        retry_after: seconds.
        agent: our name.
        code: one of the above.
        why: one line.
    """
    return b"Retry-After: %d\r\n%b" % (retry_after, warning(agent, code, why))


def warning(agent: bytes, code: bytes, why: str) -> bytes:
    """Warning; for the arguments see `unavailable`."""
    text = why.encode("ascii", "replace").translate(_QUOTED_TEXT)[:_MAX_TEXT]
    return b'Warning: %b %b "%b"\r\n' % (code, agent, text)


def reason(fields: bytes) -> str:
    """The text of the Warning among header fields, empty if there is none."""
    warning = _WARNING.search(fields)
    return "" if warning is None else warning[1].decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class PlannedResponse:
    """What a request gets, before it is written.

    Attributes:
        status: the status code.
        fields: further header fields, each with its CRLF.
        phrase: the reason phrase; None for the usual one.
        tagged: whether our To tag is added.
        endpoint: the endpoint that the request was for, if any.
        fault: what was wrong with the request, if anything.
    """

    status: int
    fields: bytes = b""
    phrase: str | None = None
    tagged: bool = True
    endpoint: Endpoint | None = None
    fault: SipError | None = None

    @property
    def status_line(self) -> bytes:
        """The Status-Line without its CRLF."""
        return status_line(self.status, self.phrase)


def unsupported(tags: Sequence[bytes]) -> PlannedResponse:
    """420 for option tags that aren't known here (RFC 3261 §8.2.2.3, §16.3 step 5).

    Args:
        tags: the unknown ones, at least one. What doesn't fit is left out: the peer that
            requires them knows them.
    """
    named = b", ".join(tags)
    if len(named) > _MAX_TAGS:
        named = named[:_MAX_TAGS].rpartition(b",")[0]
    return PlannedResponse(420, b"Unsupported: %b\r\n" % named if named else b"")


def write(
    request: Request, envelope: MandatoryHeaders, source: Peer, planned: PlannedResponse, tag: bytes
) -> bytes:
    """An answer without a body.

    Args:
        request: what it answers.
        envelope: its envelope.
        source: where it came from.
        planned: the response.
        tag: our tag if its To has none, else `b""`.
    """
    return respond(
        request,
        planned.status_line,
        stamp(request.vias[0], envelope.via, source),
        tag,
        planned.fields,
    )


def refusal(request: Request, error: SipError) -> PlannedResponse:
    """The answer to a malformed request; its To gets no tag if it can't take one."""
    status = error.status or 400
    complete = None not in (request.from_, request.call_id, request.cseq)
    readable = request.to is not None and "To" not in request.overlong
    tagged = complete and readable and _has_no_tag(request.to or b"")
    return PlannedResponse(status, phrase=error.reason, tagged=tagged, fault=error)


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
    source: Peer | None,
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
        request: the request that was answered.
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


def log_drop(why: str, source: Peer, transport: str, message: Message | None = None) -> None:
    """A message that gets no answer, for who looks closer: at level debug.

    Args:
        why: the counter's name for it, or more.
        source: where it came from.
        transport: what it came on.
        message: the message, if its header fields could be read.
    """
    peer = peer_text(transport, source.host.decode("ascii"), source.port)
    about = {} if message is None else {"caller": message.from_, "call_id": message.call_id}
    log.debug("dropped", why=why, **about, peer=peer)
