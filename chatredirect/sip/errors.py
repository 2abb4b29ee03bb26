"""What can be wrong with a SIP message.

Each class is one fault, with the status code and reason phrase of its response, the section of the
RFC and the name of its counter. An instance has the offending bytes. All are `SipError`s:

    dropped  Unanswerable: NotSip, EmptyDatagram, BadStatusLine
    400      BadRequest: BadStartLine, BadHeaderLine, BareLineBreak, BadRequestUri, NoHeaderEnd,
             MissingHeader, BadHeaderValue, RepeatedHeader, CSeqMethodMismatch, BadContentLength,
             MissingContentLength, TruncatedBody
    414      UriTooLong
    416      UnsupportedUriScheme
    505      VersionNotSupported
    513      MessageTooLarge: HeaderLineTooLong, TooManyHeaders, TooManyVias
"""

from typing import ClassVar

_SHOWN = 64  # octets of the offending bytes that are shown


class SipError(Exception):
    """A fault of a message.

    Attributes:
        status: the status code of the response; None if the message can only be dropped.
        phrase: the reason phrase, ASCII.
        section: the section of the RFC with the rule.
        counter: the name of its counter, snake_case; never made from a peer's octets.
        offending: the bytes that are wrong, as received.
        about: the header field that they are in.
    """

    status: ClassVar[int | None] = None
    phrase: ClassVar[str] = ""
    section: ClassVar[str] = ""
    counter: ClassVar[str] = "sip_error"

    def __init__(self, offending: bytes = b"", about: str = "") -> None:
        """A fault of these bytes, in the header field `about`."""
        super().__init__(offending, about)
        self.offending = offending
        self.about = about

    @property
    def reason(self) -> str:
        """The reason phrase with the header field's name, for the status line (ASCII)."""
        return f"{self.phrase} {self.about}" if self.about else self.phrase

    def __str__(self) -> str:
        """The fault for people: the offending bytes are escaped and truncated."""
        if not self.offending:
            return f"{self.reason} ({self.section})"
        # a bytes literal has no line break and is unambiguous
        shown = repr(self.offending[:_SHOWN])[1:]
        more = "..." if len(self.offending) > _SHOWN else ""
        return f"{self.reason} ({self.section}): {shown}{more}"


class Unanswerable(SipError):
    """Dropped and counted: no response is possible."""


class NotSip(Unanswerable):
    """The first line is neither a Request-Line nor a Status-Line."""

    phrase, section, counter = "Not SIP", "RFC 3261 §7.1", "not_sip"


class EmptyDatagram(Unanswerable):
    """Only line breaks: some clients keep a NAT binding open with them."""

    phrase, section, counter = "Empty Datagram", "RFC 3261 §7.5", "empty_datagram"


class BadStatusLine(Unanswerable):
    """A malformed Status-Line. Nothing answers a response."""

    phrase, section, counter = "Bad Status-Line", "RFC 3261 §7.2", "bad_status_line"


class BadRequest(SipError):
    """400: the request is malformed."""

    status = 400
    phrase, section, counter = "Bad Request", "RFC 3261 §21.4.1", "bad_request"


class BadStartLine(BadRequest):
    """A Request-Line with too many spaces, or with control characters."""

    phrase, section, counter = "Bad Request-Line", "RFC 3261 §7.1", "bad_start_line"


class BadHeaderLine(BadRequest):
    """A header line without a colon, or with a name that isn't a token."""

    phrase, section, counter = "Bad Header Line", "RFC 3261 §7.3.1", "bad_header_line"


class NoHeaderEnd(BadRequest):
    """A datagram without the empty line that ends the header fields: some may be missing."""

    phrase, section, counter = "No End Of Header Fields", "RFC 3261 §7", "no_header_end"


class BareLineBreak(BadRequest):
    """A CR without LF, or LF without CR, among the header fields: a way to smuggle lines."""

    phrase, section, counter = "Bare Line Break", "RFC 3261 §25.1", "bare_line_break"


class BadRequestUri(BadRequest):
    """A Request-URI that isn't a URI, or a malformed SIP URI."""

    phrase, section, counter = "Bad Request-URI", "RFC 3261 §19.1.1", "bad_request_uri"


class MissingHeader(BadRequest):
    """Via, From, To, Call-ID or CSeq is missing."""

    phrase, section, counter = "Missing", "RFC 3261 §8.1.1", "missing_header"


class BadHeaderValue(BadRequest):
    """Via, From, To, Call-ID or CSeq can't be read."""

    phrase, section, counter = "Bad", "RFC 3261 §20", "bad_header_value"


class RepeatedHeader(BadRequest):
    """A header field that may occur once occurs again."""

    phrase, section, counter = "Repeated", "RFC 3261 §7.3.1", "repeated_header"


class CSeqMethodMismatch(BadRequest):
    """The CSeq's method is not the request's."""

    phrase, section, counter = "CSeq Method Mismatch", "RFC 3261 §8.1.1.5", "cseq_method_mismatch"


class BadContentLength(BadRequest):
    """A Content-Length that isn't a number, or two that differ. It ends a stream."""

    phrase, section, counter = "Bad Content-Length", "RFC 3261 §20.14", "bad_content_length"


class MissingContentLength(BadRequest):
    """No Content-Length on a stream: where the next message begins is unknown."""

    phrase, section = "Missing Content-Length", "RFC 3261 §18.3"
    counter = "missing_content_length"


class TruncatedBody(BadRequest):
    """A datagram that is shorter than its Content-Length."""

    phrase, section, counter = "Truncated Body", "RFC 3261 §18.3", "truncated_body"


class UriTooLong(SipError):
    """The Request-URI is longer than the limit."""

    status = 414
    phrase, section, counter = "Request-URI Too Long", "RFC 3261 §21.4.12", "uri_too_long"


class UnsupportedUriScheme(SipError):
    """A Request-URI that is well-formed, but neither sip nor sips."""

    status = 416
    phrase, section = "Unsupported URI Scheme", "RFC 3261 §8.2.2.1"
    counter = "unsupported_uri_scheme"


class VersionNotSupported(SipError):
    """Not SIP/2.0."""

    status = 505
    phrase, section = "Version Not Supported", "RFC 3261 §21.5.6"
    counter = "version_not_supported"


class MessageTooLarge(SipError):
    """The message is larger than the limit."""

    status = 513
    phrase, section, counter = "Message Too Large", "RFC 3261 §21.5.7", "message_too_large"


class HeaderLineTooLong(MessageTooLarge):
    """One header field is longer than the limit."""

    phrase, counter = "Header Line Too Long", "header_line_too_long"


class TooManyHeaders(MessageTooLarge):
    """More header fields than the limit."""

    phrase, counter = "Too Many Header Fields", "too_many_headers"


class TooManyVias(MessageTooLarge):
    """More Via values than the limit."""

    phrase, counter = "Too Many Via Values", "too_many_vias"
