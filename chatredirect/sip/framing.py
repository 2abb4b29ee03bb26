"""Messages on a stream: cut by Content-Length, over any split of the bytes (RFC 3261 §18.3).

What comes after a message that can't be framed is never taken for a message: where it begins is
exactly what is not known, and guessing is how requests get smuggled. So a framing fault is the
last thing that a framer ever says.
"""

from dataclasses import dataclass

from chatredirect.sip.errors import MessageTooLarge, MissingContentLength, SipError
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import HEAD_END, Message, parse_head
from chatredirect.sip.plain import read_head

#: Asks whether the connection lives (RFC 5626 §4.4.1), and the answer.
PING = b"\r\n\r\n"
PONG = b"\r\n"


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
    """Cuts one connection's bytes into messages and keep-alives.

    Attributes:
        partial: whether a message has begun that isn't complete; a transport uses it to end
            connections that never finish what they began.
    """

    __slots__ = ("_broken", "_buffer", "_head", "_limits", "_line_breaks", "_searched")

    def __init__(self, limits: Limits) -> None:
        """Begin with an empty stream, within the given limits."""
        self._limits = limits
        self._buffer = b""
        self._searched = 0  # octets of the buffer in which the head's end is known not to be
        self._head: Message | None = None
        self._line_breaks = 0  # consecutive CRLFs between messages
        self._broken = False

    @property
    def partial(self) -> bool:
        """Whether a message has begun that isn't complete."""
        return self._head is not None or bool(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take in what the peer sent; give what is complete with it, in order.

        After a `FramingFault` nothing more comes, whatever is fed.
        """
        events: list[Event] = []
        if self._broken:
            return events
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while True:
            if self._head is None:
                position = self._skip_line_breaks(buffer, position, events)
                if position >= len(buffer):
                    break
                end = buffer.find(HEAD_END, max(position, self._searched))
                # over the limit or not: that must not hang on how the octets were split
                octets = (len(buffer) if end < 0 else end + len(HEAD_END) - 1) - position
                if octets >= self._limits.message:
                    self._overflow(buffer[position:], events)
                    return events
                if end < 0:
                    break
                head = self._read_head(buffer[position:end], events)
                if head is None:
                    return events
                self._head = head
                position = end + len(HEAD_END)
                self._searched = 0
            size = self._head.content_length or 0
            if len(buffer) - position < size:
                break
            self._head.body = buffer[position : position + size]
            events.append(self._head)
            self._head = None
            position += size
        self._buffer = buffer[position:]
        if self._head is None:
            # the end of the head may stand across this piece and the next
            self._searched = max(0, len(self._buffer) - len(HEAD_END) + 1)
        return events

    def _skip_line_breaks(self, buffer: bytes, position: int, events: list[Event]) -> int:
        """Pass over what stands between messages; every second CRLF is a ping (RFC 5626 §3.5.1)."""
        while buffer.startswith(b"\r\n", position):
            position += 2
            self._line_breaks += 1
            if self._line_breaks == 2:
                self._line_breaks = 0
                events.append(_PING)
        return position

    def _read_head(self, head: bytes, events: list[Event]) -> Message | None:
        self._line_breaks = 0
        try:
            message = read_head(head, self._limits)
        except SipError as error:
            self._fail(events, error, None)
            return None
        size = message.content_length
        if size is None:
            self._fail(events, message.fault or MissingContentLength(), message)
            return None
        if len(head) + len(HEAD_END) + size > self._limits.message:
            self._fail(events, MessageTooLarge(b"%d" % size), message)
            return None
        return message

    def _overflow(self, begun: bytes, events: list[Event]) -> None:
        """A head that doesn't end in time: it is answered if its first lines say whose it is."""
        whole_lines = begun[: self._limits.message].rpartition(b"\r\n")[0]
        message = None
        if whole_lines:
            try:
                message = parse_head(whole_lines, self._limits)
            except SipError:
                message = None  # not SIP either: too large is all there is to say
        self._fail(events, MessageTooLarge(whole_lines), message)

    def _fail(self, events: list[Event], error: SipError, message: Message | None) -> None:
        self._broken = True
        self._buffer = b""
        self._head = None
        events.append(FramingFault(error, message))
