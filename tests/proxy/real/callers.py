"""Many calls at a steady rate, each of which notes down how every one of its requests ended."""

import asyncio
import re
import ssl
from dataclasses import dataclass, field

from tests.proxy.real.dialog import branch
from tests.service.daemon import PATIENCE

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_BRANCH = re.compile(rb"branch=([^;\s,]+)")
_RECORD_ROUTE = re.compile(rb"^Record-Route: (.*?)\r$", re.IGNORECASE | re.MULTILINE)
_TO = re.compile(rb"^To: (.*?)\r$", re.IGNORECASE | re.MULTILINE)
_CONTACT = re.compile(rb"^Contact: <(.*?)>\r$", re.IGNORECASE | re.MULTILINE)
_T1 = 0.5  # seconds (RFC 3261 §17.1.1.1)


@dataclass
class Call:
    """One call.

    Attributes:
        call_id: its Call-ID.
        statuses: the final response of each request; 0 if there was none.
        began: when its INVITE was sent, by the loop's clock.
        ended: when its last request was answered.
    """

    call_id: str
    statuses: dict[str, int] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0


class Line(asyncio.DatagramProtocol):
    """A connection, or a UDP socket, to the daemon that many calls share."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self.local = ""
        self.transport = "udp"
        self._datagrams: asyncio.DatagramTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, transport: str, to: tuple[str, int], context: ssl.SSLContext | None = None
    ) -> "Line":
        """Begin."""
        line = cls()
        line.transport = transport
        if transport == "udp":
            loop = asyncio.get_running_loop()
            line._datagrams, _ = await loop.create_datagram_endpoint(lambda: line, remote_addr=to)
            line.local = "{}:{}".format(*line._datagrams.get_extra_info("sockname"))
        else:
            name = "sip.contoso.com" if context else None
            reader, line._writer = await asyncio.open_connection(
                *to, ssl=context, server_hostname=name
            )
            line.local = "{}:{}".format(*line._writer.get_extra_info("sockname"))
            line._reading = asyncio.create_task(line._read(reader))
        return line

    async def close(self) -> None:
        """End."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data)

    def send(self, data: bytes) -> None:
        """Send a message."""
        if self._datagrams is not None:
            self._datagrams.sendto(data)
        elif self._writer is not None:
            self._writer.write(data)

    async def ask(self, message: bytes) -> bytes:
        """Send a request and wait for its final response; as long as Timer B takes, and longer."""
        found = _BRANCH.search(message)
        assert found is not None
        future = self.waiting[found[1]] = asyncio.get_running_loop().create_future()
        wait, left = _T1, PATIENCE + 10
        while True:
            self.send(message)
            step = left if self.transport != "udp" else wait
            done, _ = await asyncio.wait([future], timeout=step)
            wait, left = min(2 * wait, 4.0), left - step
            if done or left <= 0:
                return future.result() if done else b"SIP/2.0 000 Nothing\r\n\r\n"

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            self._take(head + await reader.readexactly(int(length[1]) if length else 0))

    def _take(self, message: bytes) -> None:
        found = _BRANCH.search(message)
        if found is None or not message.startswith(b"SIP/2.0 ") or message[8:9] == b"1":
            return
        future = self.waiting.pop(found[1], None)
        if future is not None:
            future.set_result(message)


async def call(line: Line, call_id: str, hold: float, *middle: str) -> Call:
    """INVITE, ACK, what is in the middle, BYE: each on its way by the Record-Route.

    Args:
        line: what it goes over.
        call_id: its Call-ID.
        hold: seconds between INVITE and what follows.
        middle: methods of requests between.
    """
    made, loop = Call(call_id), asyncio.get_running_loop()
    made.began = loop.time()
    caller = f"<sip:{call_id}@contoso.com>;tag=1"

    def request(method: str, number: int, uri: str, to: str, more: str = "") -> bytes:
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{line.transport.upper()} {line.local};branch={branch()};rport\r\n"
            f"{more}Max-Forwards: 70\r\nFrom: {caller}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n"
            f"CSeq: {number} {method}\r\nContact: <sip:{call_id}@{line.local}>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    uri = "sip:ocschat@contoso.com"
    taken = await line.ask(request("INVITE", 1, uri, f"<{uri}>"))
    made.statuses["INVITE"] = int(taken[8:11])
    made.ended = loop.time()
    if made.statuses["INVITE"] != 200:
        return made
    to, contact = _TO.search(taken), _CONTACT.search(taken)
    assert to is not None
    assert contact is not None
    routes = [value.strip().decode() for value in _RECORD_ROUTE.findall(taken)][::-1]
    more = "".join(f"Route: {each}\r\n" for each in routes)
    target, called = contact[1].decode(), to[1].decode()
    line.send(request("ACK", 1, target, called, more))
    await asyncio.sleep(hold)
    for number, method in enumerate((*middle, "BYE"), 2):
        final = await line.ask(request(method, number, target, called, more))
        made.statuses[method] = int(final[8:11])
        made.ended = loop.time()
    return made
