"""Responses that are decided and not yet written, and the header fields that they have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chatredirect.endpoints.directory import Endpoint
from chatredirect.net.refusals import RefusalReason
from chatredirect.sip.errors import BadHeaderValue, SipError
from chatredirect.sip.headers import MandatoryHeaders, read_tag
from chatredirect.sip.message import Request
from chatredirect.sip.response import Peer, respond, stamp, status_line, write_answer

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
    """The header fields Retry-After, in seconds, and Warning; see `warning`."""
    return b"Retry-After: %d\r\n%b" % (retry_after, warning(agent, code, why))


def warning(agent: bytes, code: bytes, why: str) -> bytes:
    """The header field Warning, with our name, a warn-code and one line for people."""
    text = why.encode("ascii", "replace").translate(_QUOTED_TEXT)[:_MAX_TEXT]
    return b'Warning: %b %b "%b"\r\n' % (code, agent, text)


def reason(fields: bytes) -> str:
    """The text of the Warning among header fields, empty if there is none."""
    warning = _WARNING.search(fields)
    return "" if warning is None else warning[1].decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class PlannedResponse:
    """A response that isn't written yet.

    Attributes:
        status: the status code.
        fields: further header fields, each with its CRLF.
        phrase: the reason phrase; None for the usual one.
        tagged: whether our To tag is added.
        endpoint: the endpoint that the request was for, if any.
        fault: what is wrong with the request, if anything.
        refusal: why the peer is refused, or which limit is reached, if that is the reason.
    """

    status: int
    fields: bytes = b""
    phrase: str | None = None
    tagged: bool = True
    endpoint: Endpoint | None = None
    fault: SipError | None = None
    refusal: RefusalReason | None = None

    @property
    def status_line(self) -> bytes:
        """The Status-Line without its CRLF."""
        return status_line(self.status, self.phrase)


def unsupported(tags: Sequence[bytes]) -> PlannedResponse:
    """420 for unknown option tags, at least one (RFC 3261 §8.2.2.3, §16.3 step 5).

    Those that don't fit are left out: the peer that requires them knows them.
    """
    named = b", ".join(tags)
    if len(named) > _MAX_TAGS:
        named = named[:_MAX_TAGS].rpartition(b",")[0]
    return PlannedResponse(420, b"Unsupported: %b\r\n" % named if named else b"")


def write(
    request: Request, headers: MandatoryHeaders, peer: Peer, planned: PlannedResponse, tag: bytes
) -> bytes:
    """Write a response without a body; `tag` is our To tag if the request has none, else `b""`."""
    if not tag:
        line, fields = planned.status_line, planned.fields
        return write_answer(request, headers.via, headers.number, peer, line, fields, None)[0]
    via = stamp(request.vias[0], headers.via, peer)
    return respond(request, planned.status_line, via, tag, planned.fields)


def refusal(request: Request, error: SipError) -> PlannedResponse:
    """The response to a malformed request; its To gets no tag if it can't take one."""
    status = error.status or 400
    complete = None not in (request.from_, request.call_id, request.cseq)
    readable = request.to is not None and "To" not in request.overlong
    tagged = complete and readable and _has_no_tag(request.to or b"")
    # without its traceback, by which it would hold whoever holds this response: a cycle
    fault = error.with_traceback(None)
    return PlannedResponse(status, phrase=error.reason, tagged=tagged, fault=fault)


def _has_no_tag(to: bytes) -> bool:
    try:
        return read_tag(to, "To") is None
    except BadHeaderValue:
        return False


def allow(methods: frozenset[bytes] | None) -> bytes:
    """The Allow header field of an endpoint with these methods, None for all."""
    listed = _ANY_METHOD if methods is None else methods
    return b"Allow: %b\r\n" % b", ".join(sorted({*listed, *_ALWAYS_ALLOWED}))


def capabilities(methods: frozenset[bytes] | None) -> bytes:
    """The header fields of a 200 to OPTIONS where no body is understood."""
    return described(allow(methods), b"")


def described(allowed: bytes, accept: bytes) -> bytes:
    """The header fields of a 200 to OPTIONS (RFC 3261 §11.2): we support no extension.

    `allowed` is the whole header field Allow, `accept` the value of Accept.
    """
    return (
        b"%bAccept: %b\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: \r\n"
        % (allowed, accept)
    )
