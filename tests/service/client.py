"""A SIP client of a few lines: writes requests octet by octet, reads answers strictly.

It shares no code with the package: what both got wrong would never be seen.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from tests.service.daemon import PATIENCE

_numbers = count(1)


def request(
    method: str = "INVITE",
    uri: str = "sip:ocschat@contoso.com",
    *,
    via: str | None = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{n};rport",
    from_: str | None = "<sip:user1@contoso.com>;tag=f{n}",
    to: str | None = "<{uri}>",
    call_id: str | None = "{n}@192.0.2.1",
    cseq: str | None = "1 {method}",
    more: str = "",
    body: str = "",
    version: str = "SIP/2.0",
    number: int | None = None,
) -> bytes:
    """A request; None leaves a header field out, `{n}` is a number of its own.

    `more` is further header lines, each with its CRLF.
    """
    n = next(_numbers) if number is None else number
    lines = [f"{method} {uri} {version}"]
    fields = (("Via", via), ("From", from_), ("To", to), ("Call-ID", call_id), ("CSeq", cseq))
    lines += [
        f"{name}: {value.format(n=n, uri=uri, method=method)}"
        for name, value in fields
        if value is not None
    ]
    text = "\r\n".join(lines) + f"\r\n{more}Content-Length: {len(body.encode())}\r\n\r\n{body}"
    return text.encode()


@dataclass
class Answer:
    """A response: status code, reason phrase and its header fields in their order."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    raw: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header field."""
        return [value for key, value in self.fields if key == name]

    def __getitem__(self, name: str) -> str:
        """The value of a header field that must be there once."""
        (value,) = self.all(name)
        return value

    @property
    def to_tag(self) -> str:
        """The tag that the To ends with."""
        _, tag, value = self["To"].rpartition(";tag=")
        assert tag, self.raw
        return value


def read_answer(raw: bytes) -> Answer:
    """Read a response as strictly as it should have been written."""
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end == b"\r\n\r\n", raw
    assert not body, raw
    # a folded line belongs to the one before it (RFC 3261 §7.3.1)
    lines = re.split(r"\r\n(?![ \t])", head.decode("utf-8", "surrogateescape"))
    version, status, reason = lines[0].split(" ", 2)
    assert version == "SIP/2.0", raw
    assert 200 <= int(status) < 700, raw
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(": ")
        assert colon, raw
        fields.append((name, value))
    answer = Answer(int(status), reason, fields, raw)
    assert answer["Content-Length"] == "0", raw
    return answer


class Udp:
    """A UDP socket that talks to one address, and hears whoever answers from there."""

    transport = "udp"

    def __init__(self, to: tuple[str, int], bind: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((bind or ("::1" if family == socket.AF_INET6 else "127.0.0.1"), 0))
        self.socket.settimeout(PATIENCE)
        self.to = to
        self.host, self.port = self.socket.getsockname()[:2]

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        self.socket.sendto(data, self.to)

    def receive(self) -> Answer:
        """The next answer, which must come from where the requests went to."""
        raw, sender = self.socket.recvfrom(65536)
        assert sender[:2] == self.to[:2]
        return read_answer(raw)

    def close(self) -> None:
        """End."""
        self.socket.close()


class Tcp:
    """A TCP connection; answers are cut by their empty line, having no body."""

    transport = "tcp"

    def __init__(
        self, to: tuple[str, int], bind: str | None = None, *, receive_buffer: int | None = None
    ) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        if receive_buffer is not None:  # before the window is told
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if bind is not None:
            self.socket.bind((bind, 0))
        try:
            self.socket.connect(to)
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = self.socket.getsockname()[:2]
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send octets."""
        self.socket.sendall(data)

    def receive(self) -> Answer:
        """The next answer."""
        while b"\r\n\r\n" not in self._buffer:
            more = self.socket.recv(65536)
            assert more, f"closed after {self._buffer!r}"
            self._buffer += more
        head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return read_answer(head + end)

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        try:
            while more := self.socket.recv(65536):
                self._buffer += more
        except ConnectionResetError:
            self._buffer += b"<reset>"
        rest, self._buffer = self._buffer, b""
        return rest

    def close(self) -> None:
        """End."""
        self.socket.close()


Client = Udp | Tcp


@contextmanager
def talk(transport: str, to: tuple[str, int], bind: str | None = None) -> Iterator[Client]:
    """A client over a transport."""
    client = Udp(to, bind) if transport == "udp" else Tcp(to, bind)
    try:
        yield client
    finally:
        client.close()


def ask(client: Client, data: bytes) -> Answer | None:
    """Send a message and give its answer, None if it gets none.

    What shows that there is none is that a request sent behind it is answered first.
    """
    fence = request("OPTIONS", "sip:nobody@fence.invalid", call_id="fence{n}")
    client.send(data)
    client.send(fence)
    first = client.receive()
    if _is_fence(first):
        return None
    second = client.receive()
    assert _is_fence(second), second.raw
    return first


def _is_fence(answer: Answer) -> bool:
    return answer.status == 404 and answer["Call-ID"].startswith("fence")
