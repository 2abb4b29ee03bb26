"""One OPTIONS to one target, and whether its answer says that it works (RFC 3261 §11).

How bytes get there is a `Connect`, one for each transport: a UDP socket, a TCP connection; TLS is a
`Connect` that somebody hands in. A ping over UDP is sent again as RFC 3261 §17.1.2.2 says, so one
lost datagram is no lost ping.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from chatredirect import __version__
from chatredirect.config import Transport
from chatredirect.dns.target import Target
from chatredirect.health import Outcome
from chatredirect.oserror import words
from chatredirect.sip import headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import FramingFault, StreamFramer
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Message, Response, parse_datagram

T1 = 0.5
T2 = 4.0
"""Seconds: the first and the longest pause between retransmissions (RFC 3261 §17.1.2.2)."""
RETRY_ELSEWHERE = 503
"""Service Unavailable: the one answer that says that the target doesn't work (RFC 3261 §21.5.4)."""


class Wire(Protocol):
    """A way to one target, for one ping.

    Attributes:
        local: our own address and port on it.
        reliable: whether what is sent arrives, so that nothing is sent twice.
    """

    local: tuple[str, int]
    reliable: bool

    def send(self, data: bytes) -> None:
        """Send a message. Raises OSError."""

    async def receive(self) -> Message:
        """The next message. Raises OSError when the way is closed or broken."""

    def close(self) -> None:
        """Give it up."""


Connect: TypeAlias = Callable[[Target], Awaitable[Wire]]


@dataclass(frozen=True, slots=True)
class PingId:
    """What tells one ping's answer from everything else: 64 random bits and more."""

    branch: str
    call_id: str
    tag: str

    @classmethod
    def new(cls) -> "PingId":
        """One that nobody has had before (RFC 3261 §8.1.1.7, §8.1.1.4, §19.3)."""
        return cls("z9hG4bK" + secrets.token_hex(8), secrets.token_hex(12), secrets.token_hex(6))


async def ping(
    target: Target, connect: Connect, seconds: float, ping_id: PingId | None = None
) -> tuple[Outcome, str]:
    """Ping a target; what came of it, also in words. Never raises for what the target does.

    Args:
        target: whom.
        connect: how to get there.
        seconds: for all of it.
        ping_id: a new one unless given.
    """
    try:
        async with asyncio.timeout(seconds):
            wire = await connect(target)
            try:
                response = await _transaction(wire, target, ping_id or PingId.new())
            finally:
                wire.close()
    except TimeoutError:
        return Outcome.LOST, f"no response within {seconds:.3g} s"
    except OSError as error:
        return Outcome.LOST, words(error)
    reason = response.reason.decode("ascii", "replace")
    told = f"{response.status} {reason}"[:80].strip()
    outcome = Outcome.LOST if response.status == RETRY_ELSEWHERE else Outcome.ANSWERED
    return outcome, "".join(c if c.isprintable() else "?" for c in told)


async def _transaction(wire: Wire, target: Target, ping_id: PingId) -> Response:
    """A non-INVITE client transaction (RFC 3261 §17.1.2), as far as a ping needs one."""
    request = options(target, wire.local, ping_id)
    wire.send(request)
    resending = None if wire.reliable else asyncio.create_task(_resend(wire, request))
    try:
        while True:
            message = await wire.receive()
            # a provisional response says that somebody is there, not yet whether he works
            if not isinstance(message, Response) or message.status < 200:
                continue
            if _answers(message, ping_id):
                return message
    finally:
        if resending is not None:
            resending.cancel()


async def _resend(wire: Wire, request: bytes) -> None:
    pause = T1
    while True:
        await asyncio.sleep(pause)
        try:
            wire.send(request)
        except OSError:
            return  # who waits for the answer hears of it
        pause = min(2 * pause, T2)


def options(target: Target, local: tuple[str, int], ping_id: PingId) -> bytes:
    """The request (RFC 3261 §11.1). `local` is the address and port that it is sent from."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    parameter = "" if target.transport == "udp" else f";transport={target.transport}"
    uri = f"sip:{host}:{target.port}{parameter}"
    own = f"[{local[0]}]" if ":" in local[0] else local[0]
    return (
        f"OPTIONS {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{target.transport.upper()} {own}:{local[1]}"
        f";branch={ping_id.branch};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:chatredirect@{own}>;tag={ping_id.tag}\r\n"
        f"To: <{uri}>\r\n"
        f"Call-ID: {ping_id.call_id}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        f"User-Agent: chatredirect/{__version__}\r\n"
        "Accept: application/sdp\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode("ascii")


def _answers(response: Response, ping_id: PingId) -> bool:
    """Whether a response is the ping's: branch and CSeq method (RFC 3261 §17.1.3), and Call-ID."""
    if response.call_id != ping_id.call_id.encode() or not response.vias or response.cseq is None:
        return False
    try:
        branch = headers.param(headers.read_via(response.vias[0]).params, b"branch")
        return branch == ping_id.branch.encode() and headers.read_cseq(response.cseq) == (
            1,
            b"OPTIONS",
        )
    except SipError:
        return False


class _UdpWire(asyncio.DatagramProtocol):
    """A connected UDP socket: ICMP errors come back, other senders don't get through."""

    reliable = False

    def __init__(self) -> None:
        self.local = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._received: asyncio.Queue[Message | OSError] = asyncio.Queue(maxsize=16)

    @classmethod
    async def connect(cls, target: Target) -> Wire:
        wire = cls()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: wire, remote_addr=(target.address, target.port)
        )
        wire._transport = transport
        wire.local = transport.get_extra_info("sockname")[:2]
        return wire

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(data)

    async def receive(self) -> Message:
        received = await self._received.get()
        if isinstance(received, OSError):
            raise received
        return received

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        try:
            self._put(parse_datagram(data, DEFAULT))
        except SipError:
            return  # a keep-alive, or no SIP

    def error_received(self, exc: Exception) -> None:
        self._put(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def _put(self, received: Message | OSError) -> None:
        if not self._received.full():  # a target that floods gets its ping lost
            self._received.put_nowait(received)


class StreamWire:
    """A connection of asyncio's streams, TCP or TLS."""

    reliable = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a connection that is open."""
        self._reader = reader
        self._writer = writer
        self._framer = StreamFramer(DEFAULT)
        self._messages: list[Message] = []
        self.local: tuple[str, int] = writer.get_extra_info("sockname")[:2]

    def send(self, data: bytes) -> None:
        """Send a message; it is small, so nobody waits for it to leave."""
        self._writer.write(data)

    async def receive(self) -> Message:
        """The next message."""
        while not self._messages:
            data = await self._reader.read(4096)
            if not data:
                raise ConnectionError("closed the connection without a response")
            for event in self._framer.feed(data):
                if isinstance(event, FramingFault):
                    raise ConnectionError(f"sent no SIP ({event.error})")
                if isinstance(event, Message):
                    self._messages.append(event)
        return self._messages.pop(0)

    def close(self) -> None:
        """Close the connection without waiting for the peer's goodbye."""
        self._writer.transport.abort()


async def connect_tcp(target: Target) -> Wire:
    """A new TCP connection, for one ping: that it can be made is part of what is asked."""
    return StreamWire(*await asyncio.open_connection(target.address, target.port))


#: How to get to a target over each transport that can be pinged.
CONNECTS: Mapping[Transport, Connect] = {"udp": _UdpWire.connect, "tcp": connect_tcp}
