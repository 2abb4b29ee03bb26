"""Messages in datagrams, and on a stream, delimited by Content-Length (RFC 3261 §18.3).

After a message that can't be framed nothing on a stream is read as a message: where the next one
begins is unknown, and guessing is how requests get smuggled. So a framing fault is the last event
of a framer. A message that is too large but well delimited is no framing fault if its sender is
trusted, since others' messages share the connection.
"""

from dataclasses import dataclass

from chatredirect.sip import errors
from chatredirect.sip.codec import read_datagram, read_stream
from chatredirect.sip.errors import SipError
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import HEAD_END, Message, values
from chatredirect.sip.parser import parse_head, read_head

#: A keep-alive of a connection (RFC 5626 §4.4.1), and its answer.
PING = b"\r\n\r\n"
PONG = b"\r\n"
PASSED_OVER = 16
"""A message larger than this many times `limits.message` isn't skipped, but ends the stream."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer's keep-alive, which is answered with `PONG`."""


@dataclass(frozen=True, slots=True)
class FramingFault:
    """The stream is broken: respond to `message` if there is one, then close.

    `message` is the one whose end can't be found, as far as it could be read.
    """

    error: SipError
    message: Message | None


Event = Message | Ping | FramingFault
_PING = Ping()
_CR = 0x0D


class StreamFramer:
    """Splits one connection's octets into messages and keep-alives.

    `receive` takes octets, `next_event` returns the next event in them. Nothing is parsed before,
    so the caller decides how much work is done at a time.

    Attributes:
        passes_over: for trusted peers: whether a message that is too large but well delimited is
            returned with the fault `MessageTooLarge` and without its body, and its octets are
            skipped. It may be changed at any time.
        position: how many octets have been handled of those that were left after the last
            `receive`; only the framer changes it.
    """

    __slots__ = (
        "_broken", "_buffer", "_head", "_left_over", "_limits", "_line_breaks", "_searched",
        "passes_over", "position",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        """Begin with an empty stream."""
        self._limits = limits
        self._buffer = b""
        self.position = 0
        self._searched = 0  # the head doesn't end before this position in the buffer
        self._head: Message | None = None
        self._line_breaks = 0  # consecutive CRLFs between messages
        self._left_over = 0  # octets that are still to be skipped of a message that is too large
        self._broken = False
        self.passes_over = False

    @property
    def partial(self) -> bool:
        """Whether octets are left without an event, or still to be skipped.

        When `next_event` returns None, they are an incomplete message, and a transport closes
        connections that never complete one.
        """
        return bool(self._head is not None or self._left_over or self.position < len(self._buffer))

    @property
    def passing_over(self) -> bool:
        """Whether octets of a message that is too large are still to be skipped."""
        return self._left_over > 0

    def begins_with(self, octets: bytes) -> bool:
        """Whether the octets that are left begin with these."""
        return self._head is None and self._buffer.startswith(octets, self.position)

    def receive(self, data: bytes) -> None:
        """Take octets from the peer; after a `FramingFault` they are discarded."""
        if self._broken:
            return
        position = self.position
        if position < len(self._buffer):
            self._buffer = self._buffer[position:] + data
            self._searched = max(0, self._searched - position)
        else:
            self._buffer = data
            self._searched = 0
        self.position = 0

    def next_event(self) -> Event | None:
        """The next event; None if it needs more octets, and always after a `FramingFault`."""
        buffer = self._buffer  # empty after a fault
        if self._head is None:
            if self._left_over and not self._pass_over():
                return None
            position = self.position
            if position < len(buffer) and buffer[position] == _CR:
                if self._skip_line_breaks():
                    return _PING
                position = self.position
            if position >= len(buffer):
                return None
            if read_stream is not None and not self._searched:
                read = read_stream(buffer, position, self._limits)
                if read is not None:
                    self._line_breaks = 0
                    message, self.position = read
                    return message
            end = buffer.find(HEAD_END, max(position, self._searched))
            # whether it is over the limit must not depend on how the octets were split
            octets = (len(buffer) if end < 0 else end + len(HEAD_END) - 1) - position
            if octets >= self._limits.message:
                return self._overflow(buffer[position : position + self._limits.message])
            if end < 0:
                # the end of the head may be split between this piece and the next
                self._searched = max(position, len(buffer) - len(HEAD_END) + 1)
                return None
            self._line_breaks = 0
            fault = self._read_head(buffer[position:end])
            if isinstance(fault, FramingFault):
                return fault
            self.position = end + len(HEAD_END)
            self._searched = 0
            if fault is not None:
                return fault
        assert self._head is not None
        message, position = self._head, self.position
        size = message.content_length or 0
        if len(buffer) - position < size:
            return None
        message.body = buffer[position : position + size]
        self._head = None
        self.position = position + size
        return message

    def feed(self, data: bytes) -> list[Event]:
        """Take octets from the peer; all events that they complete."""
        self.receive(data)
        events: list[Event] = []
        while (event := self.next_event()) is not None:
            events.append(event)
        return events

    def _skip_line_breaks(self) -> bool:
        """Skip CRLFs between messages, up to a keep-alive; whether there was one."""
        while self._buffer.startswith(b"\r\n", self.position):
            self.position += 2
            self._line_breaks += 1
            if self._line_breaks == 2:  # RFC 5626 §3.5.1
                self._line_breaks = 0
                return True
        return False

    def _pass_over(self) -> bool:
        """Skip octets of a message that is too large; whether all of them have come."""
        octets = min(self._left_over, len(self._buffer) - self.position)
        self.position += octets
        self._left_over -= octets
        return not self._left_over

    def _read_head(self, head: bytes) -> FramingFault | Message | None:
        """Read a head, whose body follows; the event if no body is waited for."""
        try:
            message = read_head(head, self._limits)
        except SipError as error:
            return self._fail(error, None)
        size = message.content_length
        if size is None:
            return self._fail(message.fault or errors.MissingContentLength(), message)
        octets = len(head) + len(HEAD_END) + size
        if octets > self._limits.message:
            within = octets <= PASSED_OVER * self._limits.message
            if self.passes_over and within and _well_delimited(message):
                self._left_over = size
                message.fault = errors.MessageTooLarge(b"%d" % size)
                return message
            return self._fail(errors.MessageTooLarge(b"%d" % size), message)
        self._head = message
        return None

    def _overflow(self, begun: bytes) -> FramingFault:
        """The fault of a head over the limit; its first lines may be enough for a response."""
        whole_lines = begun.rpartition(b"\r\n")[0]
        message = None
        if whole_lines:
            try:
                message = parse_head(whole_lines, self._limits)
            except SipError:
                message = None  # not SIP: nothing to respond to
        return self._fail(errors.MessageTooLarge(whole_lines), message)

    def _fail(self, error: SipError, message: Message | None) -> FramingFault:
        self._broken = True
        self._buffer = b""
        self.position = 0
        self._head = None
        return FramingFault(error, message)


def _well_delimited(message: Message) -> bool:
    """Whether a head is certainly SIP, with exactly one Content-Length."""
    needed = (message.from_, message.to, message.call_id, message.cseq)
    return (
        message.fault is None
        and bool(message.vias)
        and None not in needed
        and len(values(message, b"content-length")) == 1
    )


def parse_datagram(data: bytes, limits: Limits) -> Message:
    """Read one datagram as one message.

    Raises:
        Unanswerable: it isn't a SIP message.
    """
    if read_datagram is not None:
        message = read_datagram(data, limits)
        if message is not None:
            return message
    if not data or data[0] in b"\r\n":
        data = data.lstrip(b"\r\n")  # §7.5: empty lines before the start-line are ignored
        if not data:
            raise errors.EmptyDatagram
    end = data.find(HEAD_END)
    if end < 0:
        return _read_beginning(data, limits)
    message = read_head(data[:end], limits)
    body = data[end + 4 :]
    size = message.content_length
    if size is not None and size != len(body):
        if size > len(body):
            message.fault = message.fault or errors.TruncatedBody(b"%d" % size)
        body = body[:size]
    if len(data) > limits.message:
        message.fault = message.fault or errors.MessageTooLarge(data)
    message.body = body
    return message


def _read_beginning(data: bytes, limits: Limits) -> Message:
    """A message whose head doesn't end: its complete lines are enough for a response.

    An incomplete last line is ignored: it may be cut anywhere, and would mean something else.
    """
    head, line_end, _ = data.rpartition(b"\r\n")
    if not line_end:
        raise errors.NotSip(data)
    message = parse_head(head, limits)
    if not isinstance(message.fault, errors.BareLineBreak):
        message.fault = errors.NoHeaderEnd(data)
    return message
