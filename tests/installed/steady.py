"""A steady load of SIP requests in which each Call-ID is accounted for: a program of its own.

    python -m tests.installed.steady --udp 5060 --tcp 5060 --tls 5061 --ca a.pem --certificate c.pem

It sends until its standard input ends, waits for what is still to come, and prints one JSON object:
what was sent, what was never answered, which connections ended how. Its clients do what RFC 3261
wants of them: over UDP they retransmit (§17.1.1.2, §17.1.2.2), over TCP and TLS they connect again
when a connection has ended, and repeat what wasn't answered.
"""

import argparse
import asyncio
import contextlib
import heapq
import json
import re
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

HOST = "127.0.0.1"
T1, T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
DEADLINE = 64 * T1
"""Seconds after which a transaction has failed: timers B and F."""
UDP_RATE, TCP_RATE, TLS_RATE = 180, 120, 60
"""Requests a second."""
_TCP_CONNECTIONS, _TLS_CONNECTIONS = 12, 6
_TICK = 0.02
_TURNOVER = 40  # requests after which a connection is closed, and opened anew

_CALL_ID = re.compile(rb"(?im)^Call-ID: *([^\r\n]*)")
_CSEQ = re.compile(rb"(?im)^CSeq: *(\d+) (\w+)")
_LENGTH = re.compile(rb"(?im)^Content-Length: *(\d+)")


@dataclass(slots=True)
class Closing:
    """How a connection ended that the server has ended.

    Attributes:
        transport: tcp or tls.
        at: monotonic time.
        clean: whether after a goodbye; else by a reset.
        unanswered: Call-IDs of the requests that it has left without an answer.
    """

    transport: str
    at: float
    clean: bool
    unanswered: list[str]


@dataclass(slots=True)
class Account:
    """What happened.

    Attributes:
        sent: transactions by transport.
        late: seconds that answers took which took more than one: when it was sent, how long.
        failed: Call-IDs that were not answered in time.
        wrong: answers that weren't expected, a few of them.
        refused: connections that could not be made: why.
        closings: connections that the server has ended.
        retransmitted: datagrams beyond the first of a request.
        repeated: requests that were sent again on another connection.
    """

    sent: dict[str, int] = field(default_factory=dict)
    late: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    retransmitted: int = 0
    repeated: int = 0
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True, order=True)
class Open:
    """A request that waits for its answer."""

    call_id: bytes
    data: bytes
    invite: bool
    sent: float


class Caller:
    """Makes requests, takes answers, keeps the account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.number = 0

    def request(self, transport: str, local: tuple[str, int]) -> Open:
        """The next request: every third is a SUBSCRIBE, the others are INVITE."""
        self.number += 1
        self.account.sent[transport] = self.account.sent.get(transport, 0) + 1
        invite = self.number % 3 != 0
        method = b"INVITE" if invite else b"SUBSCRIBE"
        call_id = b"%s-%d@load" % (transport.encode(), self.number)
        at = b"%s:%d" % (local[0].encode(), local[1])
        event = b"" if invite else b"Event: presence\r\n"
        data = (
            b"%s sip:ocschat@contoso.com SIP/2.0\r\n"
            b"Via: SIP/2.0/%s %s;branch=z9hG4bK%s\r\n"
            b"Max-Forwards: 70\r\n"
            b"From: <sip:user%d@contoso.com>;tag=%d\r\n"
            b"To: <sip:ocschat@contoso.com>\r\n"
            b"Call-ID: %s\r\n"
            b"CSeq: 1 %s\r\n"
            b"Contact: <sip:%s>\r\n"
            b"%sContent-Length: 0\r\n\r\n"
        ) % (
            *(method, transport.upper().encode(), at, call_id.replace(b"@", b"")),
            *(self.number % 100, self.number, call_id, method, at, event),
        )
        return Open(call_id, data, invite, time.monotonic())

    def answered(self, request: Open, answer: bytes) -> None:
        """Note a final answer."""
        if not answer.startswith(b"SIP/2.0 302 ") and len(self.account.wrong) < 20:
            self.account.wrong.append(answer.partition(b"\r\n")[0].decode(errors="replace"))
        took = time.monotonic() - request.sent
        if took > DEADLINE:
            self.account.failed.append(request.call_id.decode())
        elif took > 1:
            self.account.late.append((request.sent, took))


def ack(request: Open, answer: bytes) -> bytes:
    """The ACK of an INVITE's final answer (RFC 3261 §17.1.1.3)."""
    to = re.search(rb"(?im)^To: *[^\r\n]*", answer)
    assert to is not None
    text = request.data.replace(b"INVITE", b"ACK")
    text = re.sub(rb"(?m)^Contact: [^\r\n]*\r\n", b"", text)
    return re.sub(rb"(?m)^To: [^\r\n]*", lambda _: to[0], text)


class UdpClient(asyncio.DatagramProtocol):
    """A client over UDP, with the retransmissions that make it reliable."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.open: dict[bytes, Open] = {}
        self.due: list[tuple[float, int, Open]] = []  # a heap: when, times before, what

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # 3.11's is no asyncio.DatagramTransport, though it is one
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.local = transport.get_extra_info("sockname")

    def send_new(self) -> None:
        request = self.caller.request("udp", self.local)
        self.open[request.call_id] = request
        self.transport.sendto(request.data)
        heapq.heappush(self.due, (request.sent + T1, 1, request))

    def datagram_received(self, data: bytes, _addr: object) -> None:
        call_id = _CALL_ID.search(data)
        request = self.open.pop(call_id[1], None) if call_id else None
        if request is None:
            return  # of a retransmission
        if request.invite:
            self.transport.sendto(ack(request, data))
        self.caller.answered(request, data)

    def retransmit(self, now: float) -> None:
        """Send again what is due: timer A doubles, timer E doubles up to T2."""
        while self.due and self.due[0][0] <= now:
            _, times, request = heapq.heappop(self.due)
            if request.call_id not in self.open:
                continue
            if now - request.sent >= DEADLINE:
                del self.open[request.call_id]
                self.caller.account.failed.append(request.call_id.decode())
                continue
            self.transport.sendto(request.data)
            self.caller.account.retransmitted += 1
            wait = T1 * 2**times if request.invite else min(T1 * 2**times, T2)
            at = min(now + wait, request.sent + DEADLINE)
            heapq.heappush(self.due, (at, times + 1, request))

    def waiting(self) -> int:
        return len(self.open)


class StreamClient(asyncio.Protocol):
    """A client over TCP or TLS: one connection at a time, and another when that has ended."""

    def __init__(self, caller: Caller, port: int, context: ssl.SSLContext | None) -> None:
        self.caller = caller
        self.name = "tcp" if context is None else "tls"
        self.port = port
        self.context = context
        self.open: dict[bytes, Open] = {}
        self.buffer = b""
        self.connected: asyncio.Event = asyncio.Event()
        self.count = 0
        self.leaving = self.lost = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(
                loop.create_connection(
                    lambda: self,
                    HOST,
                    self.port,
                    ssl=self.context,
                    server_hostname="chatredirect.contoso.com" if self.context else None,
                    ssl_handshake_timeout=DEADLINE if self.context else None,
                ),
                DEADLINE,
            )
        except ConnectionRefusedError as error:
            self.caller.account.refused.append(f"{self.name}: {error}")
            await asyncio.sleep(0.1)
            self.reconnect()
        except OSError:  # let in, and then the server was killed: like any connection that ends
            self.caller.account.closings.append(Closing(self.name, time.monotonic(), False, []))
            self.reconnect()

    def reconnect(self) -> None:
        task = asyncio.get_running_loop().create_task(self.connect())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.local = transport.get_extra_info("sockname")
        self.buffer, self.count, self.leaving, self.lost = b"", 0, False, False
        self.connected.set()
        for request in self.open.values():
            self.caller.account.repeated += 1
            transport.write(request.data)

    def send_new(self) -> None:
        request = self.caller.request(self.name, self.local)
        self.open[request.call_id] = request
        self.count += 1
        if self.connected.is_set():
            self.transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.buffer, 0, end + 2)
            end += 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < end:
                break
            answer, self.buffer = self.buffer[:end], self.buffer[end:]
            self.take(answer)
        if self.count >= _TURNOVER and not self.open and self.connected.is_set():
            self.leaving = True
            self.connected.clear()
            self.transport.close()

    def take(self, answer: bytes) -> None:
        call_id = _CALL_ID.search(answer)
        request = self.open.pop(call_id[1], None) if call_id else None
        if request is not None:
            if request.invite:
                self.transport.write(ack(request, answer))
            self.caller.answered(request, answer)

    def eof_received(self) -> bool:
        self.ended(True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended(exc is None)
        self.connected.clear()
        self.reconnect()

    def ended(self, clean: bool) -> None:
        """Note once how the server has ended it."""
        if self.leaving or self.lost:
            return
        self.lost = True
        now = time.monotonic()
        left = [call_id.decode() for call_id in self.open]
        self.caller.account.closings.append(Closing(self.name, now, clean, left))

    def waiting(self) -> int:
        return len(self.open)

    def expire(self, now: float) -> None:
        for request in list(self.open.values()):
            if now - request.sent >= DEADLINE:
                del self.open[request.call_id]
                self.caller.account.failed.append(request.call_id.decode())


def spread(clients: list[StreamClient]) -> Iterator[StreamClient]:
    """Each in its turn, for ever."""
    while True:
        yield from clients


async def run(options: argparse.Namespace) -> Account:
    """Send until standard input ends."""
    loop = asyncio.get_running_loop()
    account = Account()
    caller = Caller(account)
    _, udp = await loop.create_datagram_endpoint(
        lambda: UdpClient(caller), remote_addr=(HOST, options.udp)
    )
    context = ssl.create_default_context(cafile=options.ca)
    context.load_cert_chain(options.certificate, options.key)
    tcp = [StreamClient(caller, options.tcp, None) for _ in range(_TCP_CONNECTIONS)]
    tls = [StreamClient(caller, options.tls, context) for _ in range(_TLS_CONNECTIONS)]
    for client in (*tcp, *tls):
        await client.connect()
        await client.connected.wait()
    stopping = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1() or stopping.set())
    print("sending", flush=True)
    turns = {"tcp": spread(tcp), "tls": spread(tls)}
    rates = {"udp": UDP_RATE, "tcp": TCP_RATE, "tls": TLS_RATE}
    account.began = time.monotonic()
    made = dict.fromkeys(rates, 0)
    while not stopping.is_set():
        now = time.monotonic()
        for name, rate in rates.items():
            for _ in range(int((now - account.began) * rate) - made[name]):
                made[name] += 1
                if name == "udp":
                    udp.send_new()
                else:
                    next(turns[name]).send_new()
        tend(udp, tcp + tls, now)
        await asyncio.sleep(_TICK)
    account.ended = time.monotonic()
    while udp.waiting() or any(client.waiting() for client in tcp + tls):
        tend(udp, tcp + tls, time.monotonic())
        await asyncio.sleep(_TICK)
    return account


def tend(udp: UdpClient, streams: list[StreamClient], now: float) -> None:
    """What time brings."""
    udp.retransmit(now)
    for stream in streams:
        stream.expire(now)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("udp", "tcp", "tls"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("ca", "certificate", "key"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        print(json.dumps(asdict(asyncio.run(run(parser.parse_args())))), flush=True)


if __name__ == "__main__":
    main()
