"""Callers and their pool, with a proxy in between: `python -m benchmarks.proxy_load PORT [FILES]`.

What it is to do comes as JSON on standard input, one object a line; each gets its account as JSON
on standard output. A call is INVITE/200/ACK/BYE/200, the last three by the 200's Record-Route.
Every response and every request that arrives is looked at; what is wrong or doesn't come is
counted and never hides. Its own cost isn't measured, so it may be Python.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.messages import redirect_exchange

_PATIENCE = 10.0  # seconds without anything new after which the rest counts as lost
_BUFFER = 8 * 1024 * 1024
_URI = b"sip:ocschat@contoso.com"
_NUMBER = re.compile(rb"\r\nCall-ID: (\d+)@bench\r\n")
_CSEQ = re.compile(rb"\r\nCSeq: \d+ ([A-Z]+)\r\n")
_TO = re.compile(rb"\r\nTo: ([^\r]*)")
_CONTACT = re.compile(rb"\r\nContact: <([^>]*)>")
_RECORD_ROUTE = re.compile(rb"\r\nRecord-Route: ([^\r]*)")
_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n")
_COPIED = re.compile(rb"\r\n(?:Via|Record-Route|From|Call-ID|CSeq): [^\r]*")

Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What to do.

    Attributes:
        what: `calls`, `open` for INVITEs that the pool leaves without an answer, or `dialogs` that
            are left after the ACK.
        transport: `udp`, `tcp` or `tls`, on both sides.
        port: the proxy's, on 127.0.0.1.
        calls: how many.
        outstanding: at any time, where there is no rate.
        first: the number of the first; none may come twice.
        rate: how many begin in a second, however many are outstanding; 0 for no rate.
    """

    what: str
    transport: str
    port: int
    calls: int
    outstanding: int
    first: int
    rate: float = 0.0


@dataclass(slots=True)
class Account:
    """What came of it: calls that ended well, wrong messages, ACKs that the pool got."""

    calls: int
    done: int = 0
    wrong: int = 0
    acks: int = 0
    complaint: str = ""


class Ends:
    """The callers and the pool."""

    def __init__(self, pool_port: int, certificates: tuple[str, str, str] | None) -> None:
        """Begin; with certificate, key and CA files the pool speaks TLS on the next port, too."""
        self.pool_port = pool_port
        self.certificates = certificates
        self.task = Task("calls", "udp", 0, 0, 1, 0)
        self.account = Account(0)
        self.next = 0
        self.moved = 0.0
        self.over = asyncio.Event()
        self.waiting: dict[bytes, bytes] = {}  # the method whose response each call waits for
        self.callers: dict[tuple[str, int], tuple[Send, bytes, asyncio.BaseTransport]] = {}
        self.invite, self.within = (b"", b""), b""
        self.send: Send = print

    async def listen(self) -> None:
        """Be there for the proxy."""
        loop, port = asyncio.get_running_loop(), self.pool_port
        await loop.create_datagram_endpoint(
            lambda: Datagrams(self.called), local_addr=("127.0.0.1", port)
        )
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        await loop.create_server(lambda: Stream(self.called), "127.0.0.1", port)
        if context is not None:
            await loop.create_server(
                lambda: Stream(self.called), "127.0.0.1", port + 1, ssl=context
            )

    async def run(self, task: Task) -> Account:
        """Do it."""
        key = (task.transport, task.port)
        if key not in self.callers:
            self.callers[key] = await self._connect(*key)
        self.send, local, _ = self.callers[key]
        self.invite, self.within = _templates(task.transport.upper().encode(), local)
        self.task, self.account = task, Account(task.calls)
        self.next, self.over = 0, asyncio.Event()
        self.waiting.clear()
        self.moved = time.monotonic()
        if task.rate:
            await self._begin_at_rate(task.rate)
        else:
            for _ in range(min(task.outstanding, task.calls)):
                self._begin()
        while not self.over.is_set() and time.monotonic() - self.moved < _PATIENCE:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.over.wait()
        return self.account

    async def _begin_at_rate(self, rate: float) -> None:
        begun = time.monotonic()
        while self.next < self.task.calls:
            self._begin()
            await asyncio.sleep(max(begun + self.next / rate - time.monotonic(), 0))

    async def _connect(
        self, transport: str, port: int
    ) -> tuple[Send, bytes, asyncio.BaseTransport]:
        loop = asyncio.get_running_loop()
        if transport == "udp":
            datagrams, _ = await loop.create_datagram_endpoint(
                lambda: Datagrams(self.answered), remote_addr=("127.0.0.1", port)
            )
            host, own = datagrams.get_extra_info("sockname")
            return datagrams.sendto, f"{host}:{own}".encode(), datagrams
        context = self._context(ssl.PROTOCOL_TLS_CLIENT) if transport == "tls" else None
        stream, _ = await loop.create_connection(
            lambda: Stream(self.answered), "127.0.0.1", port, ssl=context
        )
        host, own = stream.get_extra_info("sockname")
        return stream.write, f"{host}:{own}".encode(), stream

    def _context(self, kind: int) -> ssl.SSLContext | None:
        if self.certificates is None:
            return None
        certificate, key, ca = self.certificates
        context = ssl.SSLContext(kind)
        context.check_hostname = False
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _begin(self) -> None:
        number = b"%08d" % (self.task.first + self.next)
        self.next += 1
        self.waiting[number] = b"INVITE"
        self.send(number.join(self.invite))

    def answered(self, message: bytes, _: Send) -> None:
        """A response to a caller."""
        self.moved = time.monotonic()
        number, method = _NUMBER.search(message), _CSEQ.search(message)
        if number is None or method is None or not message.startswith(b"SIP/2.0 "):
            self._wrong(message)
            return
        status, what, call = message[8:11], self.task.what, number[1]
        if self.waiting.get(call) != method[1]:
            return  # a repetition: somebody was too busy to answer in time
        if status[:1] == b"1":
            if what == "open" and status == b"100":
                self._done(call)
            return
        if status != b"200":
            self._wrong(message)
            self._done(call)
        elif method[1] == b"BYE":
            self._done(call)
        else:
            to, contact = _TO.search(message), _CONTACT.search(message)
            routes = _RECORD_ROUTE.findall(message)[::-1]
            if to is None or contact is None or not routes:
                self._wrong(message)
                self._done(call)
                return
            more = b"".join(b"Route: %b\r\n" % each for each in routes)
            uri = contact[1]
            self.send(self.within % (b"ACK", uri, b"a", call, more, call, to[1], call, 1, b"ACK"))
            if what == "dialogs":
                self._done(call)
                return
            self.waiting[call] = b"BYE"
            self.send(self.within % (b"BYE", uri, b"b", call, more, call, to[1], call, 2, b"BYE"))

    def called(self, message: bytes, send: Send) -> None:
        """A request to the pool."""
        method = message.partition(b" ")[0]
        if method == b"ACK":
            self.account.acks += 1
            return
        if method == b"INVITE" and self.task.what == "open":
            return
        to = _TO.search(message)
        if method not in (b"INVITE", b"BYE") or to is None:
            self._wrong(message)
            return
        copied = b"".join(_COPIED.findall(message))
        more = b";tag=b1\r\nContact: <sip:room@127.0.0.1:%d>" % self.pool_port
        send(
            b"SIP/2.0 200 OK%b\r\nTo: %b%b\r\nContent-Length: 0\r\n\r\n"
            % (copied, to[1], more if method == b"INVITE" else b"")
        )

    def _done(self, call: bytes) -> None:
        del self.waiting[call]
        self.account.done += 1
        if self.next < self.task.calls:
            if not self.task.rate:
                self._begin()
        elif self.account.done == self.task.calls:
            self.over.set()

    def _wrong(self, message: bytes) -> None:
        self.account.wrong += 1
        self.account.complaint = self.account.complaint or repr(message[:600])


class Datagrams(asyncio.DatagramProtocol):
    """UDP."""

    def __init__(self, take: Callable[[bytes, Send], None]) -> None:
        """Give what comes to `take`, with a way to answer."""
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; what comes while another process has the core mustn't be lost."""
        self._transport = transport
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A message."""
        self._take(data, lambda answer: self._transport.sendto(answer, addr))  # type: ignore[attr-defined]


class Stream(asyncio.Protocol):
    """A connection."""

    def __init__(self, take: Callable[[bytes, Send], None]) -> None:
        """Give what comes to `take`, with a way to answer."""
        self._take = take
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._send: Send = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Cut it into messages."""
        buffer = self._buffer + data
        while True:
            end = buffer.find(b"\r\n\r\n")
            length = _LENGTH.search(buffer[: end + 2]) if end >= 0 else None
            if length is None or len(buffer) < (whole := end + 4 + int(length[1])):
                break
            message, buffer = buffer[:whole], buffer[whole:]
            self._take(message, self._send)
        self._buffer = buffer


def _templates(transport: bytes, local: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """An INVITE, cut where the call's number stands, and a request within its dialog."""
    model = redirect_exchange("udp", "x").request
    rest = model[model.index(b"User-Agent:") :]  # the header fields of a Group Chat client
    invite = (
        b"INVITE %b SIP/2.0\r\nVia: SIP/2.0/%b %b;branch=z9hG4bKi@@\r\nMax-Forwards: 70\r\n"
        b"From: <sip:alice@contoso.com>;tag=@@;epid=d4716485a8\r\nTo: <%b>\r\n"
        b"Call-ID: @@@bench\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@%b>;proxy=replace\r\n"
        % (_URI, transport, local, _URI, local)
    ) + rest.replace(b"######", b"000000").replace(b"@@@@@@@@", b"00000000")
    within = (
        b"%%b %%b SIP/2.0\r\nVia: SIP/2.0/%b %b;branch=z9hG4bK%%b%%b\r\n%%bMax-Forwards: 70\r\n"
        b"From: <sip:alice@contoso.com>;tag=%%b;epid=d4716485a8\r\nTo: %%b\r\n"
        b"Call-ID: %%b@bench\r\nCSeq: %%d %%b\r\nContent-Length: 0\r\n\r\n" % (transport, local)
    )
    return tuple(invite.split(b"@@", 3)), within


async def main(pool_port: int, files: list[str]) -> None:
    """Do what standard input says until it ends."""
    ends = Ends(pool_port, (files[0], files[1], files[2]) if files else None)
    await ends.listen()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        account = await ends.run(Task(**json.loads(line)))
        print(json.dumps(asdict(account)), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
