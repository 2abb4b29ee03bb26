"""Clients that look up: many dialogs over one socket, so many begun in a second or open at a time.

    python -m benchmarks.lookup_load udp|tcp PORT RATE OUTSTANDING LOOKUPS

With a RATE of 0 a lookup begins when another one ends, and OUTSTANDING are open at any time.
A process of its own, so that its CPU isn't the daemon's. It sends what a Group Chat client sends,
and nothing twice: what isn't answered within some seconds after the last one is lost. A line of
JSON on standard output: done, lost, wrong, seconds, the longest a lookup took, and how late the
load was itself.
"""

import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

PATIENCE = 5.0
URI = b"sip:ocschat@contoso.com"
CHANNEL = b'<uib uri="sip:gc-channel@pcpool.contoso.com"'
_BUFFER = 8 * 1024 * 1024

_SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=message 5080 sip null\r\n"
    b"a=accept-types:text/plain text/html image/gif multipart/alternative "
    b"application/im-iscomposing+xml application/ms-imdn+xml text/x-msmsgsinvite\r\n"
)
_COMMAND = (
    b'<xccos ver="1" envid="741776619" xmlns="urn:parlano:xml:ns:xccos">'
    b'<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
)
_AGENT = (
    b"User-Agent: UCCAPI/3.5.6907.196 OC/3.5.6907.196 (Microsoft Office Communicator 2007 R2)\r\n"
)
_TO_TAG = re.compile(rb"\r\nTo: [^\r]*;tag=([0-9a-f]+)")
_TARGET = re.compile(rb"\r\nContact: <([^>]*)>")
_CALL_ID = re.compile(rb"\r\nCall-ID: (\d+)@")
_REPEATED = re.compile(rb"\r\n((?:Via|From|To|Call-ID|CSeq): [^\r]*)")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)")


@dataclass
class Result:
    """What came of it."""

    done: int = 0
    wrong: int = 0
    longest: float = 0.0
    late: float = 0.0
    complaint: str = ""
    begun: dict[int, float] = field(default_factory=dict)


class Clients:
    """Clients that share a socket, as those behind a front end do.

    Attributes:
        accepted: the 200s to INVITEs that came.
        silent: whether nothing more is said after one.
    """

    def __init__(self, transport: str, port: int, *, silent: bool = False) -> None:
        """Connect to a port of 127.0.0.1."""
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.sock = socket.socket(socket.AF_INET, kind)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self.sock.connect(("127.0.0.1", port))
        if transport == "tcp":
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.transport = transport
        name = b"127.0.0.1:%d" % self.sock.getsockname()[1]
        self.via = b"Via: SIP/2.0/%b %b;branch=z9hG4bK" % (transport.encode(), name)
        self.contact = b"Contact: <sip:user@%b;transport=%b>;proxy=replace\r\n" % (
            name,
            transport.encode(),
        )
        self.result = Result()
        self.accepted = 0
        self.silent = silent
        self._targets: dict[int, tuple[bytes, bytes]] = {}
        self._received = b""
        self._unsent: list[bytes] = []

    def invite(self, n: int) -> None:
        """Begin a lookup."""
        self.result.begun[n] = time.monotonic()
        self._send(self._request(b"INVITE", n, 1, URI, b"", _SDP, b"application/sdp"))

    def _request(
        self, method: bytes, n: int, number: int, uri: bytes, tag: bytes, body: bytes, kind: bytes
    ) -> bytes:
        more = self.contact if method == b"INVITE" else b""
        if body:
            more += b"Content-Type: %b\r\n" % kind
        return (
            b"%b %b SIP/2.0\r\n%b%d-%d\r\n"
            b"From: <sip:user%d@contoso.com>;tag=f%d;epid=e6019fcb7892\r\n"
            b"To: <sip:ocschat@contoso.com>%b\r\nMax-Forwards: 70\r\nCSeq: %d %b\r\n%b"
            b"Call-ID: %d@127.0.0.1\r\nSupported: ms-sender\r\n%bContent-Length: %d\r\n\r\n%b"
        ) % (
            *(method, uri, self.via, n, number if method != b"ACK" else 9, n, n),
            *(tag, number, method, _AGENT, n, more, len(body), body),
        )

    def _send(self, *messages: bytes) -> None:
        for data in [b"".join(messages)] if self.transport == "tcp" else messages:
            self._unsent.append(data)
        self.flush()

    def flush(self) -> None:
        """Send what has waited for room."""
        while self._unsent:
            data = self._unsent[0]
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return
            if sent < len(data):
                self._unsent[0] = data[sent:]
            else:
                self._unsent.pop(0)

    def receive(self) -> None:
        """Deal with what has come."""
        if self.transport == "udp":
            while True:
                try:
                    self._message(self.sock.recv(65536))
                except BlockingIOError:
                    return
        try:
            self._received += self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        data, position = self._received, 0
        while True:
            end = data.find(b"\r\n\r\n", position)
            if end < 0:
                break
            length = _LENGTH.search(data, position, end + 2)
            total = end + 4 + (int(length[1]) if length else 0)
            if total > len(data):
                break
            self._message(data[position:total])
            position = total
        self._received = data[position:]

    def _message(self, data: bytes) -> None:
        found = _CALL_ID.search(data)
        if found is None:
            self._complain(data)
            return
        n = int(found[1])
        if data.startswith(b"SIP/2.0 200 OK\r\n"):
            if b" INVITE\r\n" in data:
                self._accepted(n, data)
            elif b" BYE\r\n" in data:
                self._over(n)
        elif data.startswith(b"INFO ") and CHANNEL in data:
            self._told(n, data)
        else:
            self._complain(data)

    def _accepted(self, n: int, data: bytes) -> None:
        self.accepted += 1
        if self.silent:
            return
        tag, target = _TO_TAG.search(data), _TARGET.search(data)
        if tag is None or target is None or n in self._targets:
            return
        to = (target[1], b";tag=" + tag[1])
        self._targets[n] = to
        self._send(
            self._request(b"ACK", n, 1, *to, b"", b""),
            self._request(b"INFO", n, 2, *to, _COMMAND, b"text/plain"),
        )

    def _told(self, n: int, data: bytes) -> None:
        repeated = b"\r\n".join(_REPEATED.findall(data))
        answer = b"SIP/2.0 200 OK\r\n%b\r\nContent-Length: 0\r\n\r\n" % repeated
        to = self._targets[n]
        self._send(answer, self._request(b"BYE", n, 3, *to, b"", b""))

    def _over(self, n: int) -> None:
        begun = self.result.begun.pop(n, None)
        if begun is not None:
            self.result.done += 1
            self.result.longest = max(self.result.longest, time.monotonic() - begun)
            del self._targets[n]

    def _complain(self, data: bytes) -> None:
        self.result.wrong += 1
        self.result.complaint = self.result.complaint or repr(data[:200])


def run(
    transport: str, port: int, rate: float, outstanding: int, lookups: int
) -> dict[str, object]:
    """Begin lookups at a rate, or without one so many at a time, and wait for the last."""
    clients = Clients(transport, port)
    result = clients.result
    first = int(time.monotonic() * 1000) % 1_000_000 * 1000
    selector = selectors.DefaultSelector()
    selector.register(clients.sock, selectors.EVENT_READ)
    begun = last = time.monotonic()
    n = 0
    while (n < lookups or result.begun) and time.monotonic() < last + PATIENCE:
        now = time.monotonic()
        wait = 0.1
        while n < lookups:
            if rate:
                wait = begun + n / rate - now
                if wait > 0:
                    break
                result.late = max(result.late, -wait)
            elif len(result.begun) >= outstanding:
                break
            clients.invite(first + n)
            n, last = n + 1, now
            if n % 8 == 0:
                wait = 0
                break
        if selector.select(max(wait, 0)):
            clients.receive()
        clients.flush()
    return {
        "done": result.done,
        "lost": lookups - result.done,
        "wrong": result.wrong,
        "seconds": time.monotonic() - begun,
        "longest": result.longest,
        "late": result.late,
        "complaint": result.complaint,
    }


if __name__ == "__main__":
    kind, port_text, rate_text, *counts = sys.argv[1:]
    print(json.dumps(run(kind, int(port_text), float(rate_text), *map(int, counts))))
