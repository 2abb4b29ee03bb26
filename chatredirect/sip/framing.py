"""Messages on a stream: cut by Content-Length, over any split of the bytes (RFC 3261 §18.3).

What comes after a message that can't be framed is never taken for a message: where it begins is
exactly what is not known, and guessing is how requests get smuggled. So a framing fault is the
last thing that a framer ever says. A message that is too large and says well where it ends is none
if its sender is trusted: others' messages come over the same connection.
"""

from dataclasses import dataclass

from chatredirect.sip.errors import (
    BareLineBreak,
    EmptyDatagram,
    MessageTooLarge,
    MissingContentLength,
    NoHeaderEnd,
    NotSip,
    SipError,
    TruncatedBody,
)
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import HEAD_END, Message, values
from chatredirect.sip.parser import parse_head, read_head

#: Asks whether the connection lives (RFC 5626 §4.4.1), and the answer.
PING = b"\r\n\r\n"
PONG = b"\r\n"
PASSED_OVER = 16
"""How many times `limits.message` a message may be that is passed over."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer's keep-alive, to be answered with `PONG`."""


@dataclass(frozen=True, slots=True)
class FramingFault:
    """The stream is broken: answer `message` with the fault if there is one, then close.

    Attributes:
        error: what is wrong.
        message: the message whose end can't be found, as far as it could be read.
    """

    error: SipError
    message: Message | None


Event = Message | Ping | FramingFault
_PING = Ping()


class StreamFramer:
    """Cuts one connection's bytes into messages and keep-alives, one at a time.

    `receive` takes in octets, `next_event` gives what they complete: nothing is read before it is
    asked for, so whoever asks decides how much work is done at a time.

    Attributes:
        passes_over: whether a message that is too large and well delimited is given with
            `MessageTooLarge` as its fault, without its body, and its octets are passed over. It is
            for trusted peers, and may be changed at any time.
        partial: whether octets are left that `next_event` hasn't given yet; when it gives nothing
            more, they are a message that isn't complete. A transport uses it to end connections
            that never finish what they began.
    """

    __slots__ = (
        "_broken", "_buffer", "_head", "_left_over", "_limits", "_line_breaks", "_position",
        "_searched", "passes_over",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        """Begin with an empty stream, within the given limits."""
        self._limits = limits
        self._buffer = b""
        self._position = 0  # octets of the buffer that are dealt with
        self._searched = 0  # position in the buffer before which the head's end is known not to be
        self._head: Message | None = None
        self._line_breaks = 0  # consecutive CRLFs between messages
        self._left_over = 0  # octets of a message that is passed over, still to come
        self._broken = False
        self.passes_over = False

    @property
    def partial(self) -> bool:
        """Whether octets are left that no event has been given for, or are still to come."""
        return bool(self._head is not None or self._left_over or self._position < len(self._buffer))

    @property
    def passing_over(self) -> bool:
        """Whether octets of a message that is too large are still to come."""
        return self._left_over > 0

    @property
    def position(self) -> int:
        """How many octets are dealt with of those that were left when `receive` was called last."""
        return self._position

    def begins_with(self, octets: bytes) -> bool:
        """Whether what is left begins with these octets."""
        return self._head is None and self._buffer.startswith(octets, self._position)

    def receive(self, data: bytes) -> None:
        """Take in what the peer sent; after a `FramingFault` it is thrown away."""
        if self._broken:
            return
        position = self._position
        if position < len(self._buffer):
            self._buffer = self._buffer[position:] + data
            self._searched = max(0, self._searched - position)
        else:
            self._buffer = data
            self._searched = 0
        self._position = 0

    def next_event(self) -> Event | None:
        """What comes next of what has been received; None if more octets are needed for it.

        After a `FramingFault` nothing more comes, whatever is received.
        """
        if self._broken:
            return None
        buffer = self._buffer
        if self._head is None:
            if self._left_over and not self._pass_over():
                return None
            while buffer.startswith(b"\r\n", self._position):
                self._position += 2
                self._line_breaks += 1
                if self._line_breaks == 2:  # RFC 5626 §3.5.1
                    self._line_breaks = 0
                    return _PING
            position = self._position
            if position >= len(buffer):
                return None
            end = buffer.find(HEAD_END, max(position, self._searched))
            # over the limit or not: that must not hang on how the octets were split
            octets = (len(buffer) if end < 0 else end + len(HEAD_END) - 1) - position
            if octets >= self._limits.message:
                return self._overflow(buffer[position : position + self._limits.message])
            if end < 0:
                # the end of the head may stand across this piece and the next
                self._searched = max(position, len(buffer) - len(HEAD_END) + 1)
                return None
            self._line_breaks = 0
            fault = self._read_head(buffer[position:end])
            if isinstance(fault, FramingFault):
                return fault
            self._position = end + len(HEAD_END)
            self._searched = 0
            if fault is not None:
                return fault
        assert self._head is not None
        message, position = self._head, self._position
        size = message.content_length or 0
        if len(buffer) - position < size:
            return None
        message.body = buffer[position : position + size]
        self._head = None
        self._position = position + size
        return message

    def feed(self, data: bytes) -> list[Event]:
        """Take in what the peer sent; give all that is complete with it, in order."""
        self.receive(data)
        events: list[Event] = []
        while (event := self.next_event()) is not None:
            events.append(event)
        return events

    def _pass_over(self) -> bool:
        """Pass over octets of a message that is too large; whether its end has come."""
        octets = min(self._left_over, len(self._buffer) - self._position)
        self._position += octets
        self._left_over -= octets
        return not self._left_over

    def _read_head(self, head: bytes) -> FramingFault | Message | None:
        """Begin a message; gives what its head alone is enough for."""
        try:
            message = read_head(head, self._limits)
        except SipError as error:
            return self._fail(error, None)
        size = message.content_length
        if size is None:
            return self._fail(message.fault or MissingContentLength(), message)
        octets = len(head) + len(HEAD_END) + size
        if octets > self._limits.message:
            within = octets <= PASSED_OVER * self._limits.message
            if self.passes_over and within and _well_delimited(message):
                self._left_over = size
                message.fault = MessageTooLarge(b"%d" % size)
                return message
            return self._fail(MessageTooLarge(b"%d" % size), message)
        self._head = message
        return None

    def _overflow(self, begun: bytes) -> FramingFault:
        """A head that doesn't end in time: it is answered if its first lines say whose it is."""
        whole_lines = begun.rpartition(b"\r\n")[0]
        message = None
        if whole_lines:
            try:
                message = parse_head(whole_lines, self._limits)
            except SipError:
                message = None  # not SIP either: too large is all there is to say
        return self._fail(MessageTooLarge(whole_lines), message)

    def _fail(self, error: SipError, message: Message | None) -> FramingFault:
        self._broken = True
        self._buffer = b""
        self._position = 0
        self._head = None
        return FramingFault(error, message)


def _well_delimited(message: Message) -> bool:
    """Whether a head is surely one of SIP, and says once where its message ends."""
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
