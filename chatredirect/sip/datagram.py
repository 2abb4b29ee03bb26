"""Messages in datagrams: one is one (RFC 3261 §18.3). `framing` is the same for streams."""

from chatredirect.sip.errors import (
    BareLineBreak,
    EmptyDatagram,
    MessageTooLarge,
    NoHeaderEnd,
    NotSip,
    TruncatedBody,
)
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import HEAD_END, Message, parse_head
from chatredirect.sip.plain import read_head


def parse_datagram(data: bytes, limits: Limits) -> Message:
    """Read one datagram as one message.

    Raises:
        Unanswerable: it is no SIP message.
    """
    if data[:1] in b"\r\n":
        data = data.lstrip(b"\r\n")  # §7.5: empty lines before the start-line are ignored
        if not data:
            raise EmptyDatagram
    end = data.find(HEAD_END)
    if end < 0:
        return _read_beginning(data, limits)
    message = read_head(data[:end], limits)
    body = data[end + 4 :]
    size = message.content_length
    if size is not None and size != len(body):
        if size > len(body):
            message.fault = message.fault or TruncatedBody(b"%d" % size)
        body = body[:size]
    if len(data) > limits.message:
        message.fault = message.fault or MessageTooLarge(data)
    message.body = body
    return message


def _read_beginning(data: bytes, limits: Limits) -> Message:
    """A message whose head doesn't end: its whole lines say whom to tell.

    A last line without a line's end may be cut anywhere, and would say something else then.
    """
    head, line_end, _ = data.rpartition(b"\r\n")
    if not line_end:
        raise NotSip(data)
    message = parse_head(head, limits)
    if not isinstance(message.fault, BareLineBreak):
        message.fault = NoHeaderEnd(data)
    return message
