"""A client of the real daemon over any transport, which reads messages with bodies."""

import socket
import ssl
from typing import Any

from tests.sent_message import SentMessage, read
from tests.service.daemon import PATIENCE


class Peer:
    """A socket to the daemon, or one that it has opened."""

    socket: Any

    def __init__(
        self,
        transport: str,
        to: tuple[str, int],
        context: ssl.SSLContext | None = None,
        accepted: socket.socket | None = None,
    ) -> None:
        self.transport = transport
        self._buffer = b""
        self._seen: set[bytes] = set()
        if accepted is not None:
            self.socket = accepted
            self.socket.settimeout(PATIENCE)
            return
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        if transport == "udp":
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.connect(to)
        else:
            self.socket = socket.create_connection(to, PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self.socket = context.wrap_socket(self.socket, server_hostname="sip.contoso.com")
        self.socket.settimeout(PATIENCE)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def local(self) -> str:
        """Our own address and port."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, data: bytes) -> None:
        """Send octets."""
        self.socket.sendall(data)

    def receive(self) -> SentMessage:
        """The next message."""
        message = self._receive()
        self._seen.add(message.raw)
        return message

    def receive_new(self) -> SentMessage:
        """The next message that hasn't come before: what waits for us half a second is repeated."""
        while (message := self._receive()).raw in self._seen:
            pass
        self._seen.add(message.raw)
        return message

    def _receive(self) -> SentMessage:
        if self.transport == "udp":
            return read(self.socket.recv(65536))
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if end:
                (length,) = [
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.startswith(b"Content-Length:")
                ]
                if len(rest) >= length:
                    self._buffer = rest[length:]
                    return read(head + end + rest[:length])
            more = self.socket.recv(65536)
            assert more, f"closed after {self._buffer!r}"
            self._buffer += more
