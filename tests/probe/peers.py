"""Peers for a probe: a few lines of socket each, that say what a test tells them to.

They share no code with the package, and run in threads of the test's own process.
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

#: Given a request and its number, counted from 0: what to send back, message by message.
Script = Callable[[bytes, int], list[bytes]]


def header(message: bytes, name: str) -> bytes:
    """The value of a header field that is there once."""
    (value,) = re.findall(rb"(?im)^%b: *(.*?)\r$" % name.encode(), message)
    return bytes(value)


def answer(request: bytes, status: str, more: str = "", body: str = "") -> bytes:
    """A response to a request: `302 Moved Temporarily`, further header lines each with CRLF."""
    to = header(request, "To")
    tag = b"" if b";tag=" in to else b";tag=theirs"
    return b"".join(
        (
            f"SIP/2.0 {status}\r\n".encode("utf-8", "surrogateescape"),
            b"Via: %b\r\n" % header(request, "Via"),
            b"From: %b\r\n" % header(request, "From"),
            b"To: %b%b\r\n" % (to, tag),
            b"Call-ID: %b\r\n" % header(request, "Call-ID"),
            b"CSeq: %b\r\n" % header(request, "CSeq"),
            more.encode("utf-8", "surrogateescape"),
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body.encode()),
        )
    )


def method(message: bytes) -> str:
    """The first word of a request, or the status code of a response."""
    words = message.split(b" ", 2)
    return (words[1] if words[0] == b"SIP/2.0" else words[0]).decode()


def only(*methods: str) -> Callable[[Script], Script]:
    """Answer these methods and nothing else."""

    def decorate(script: Script) -> Script:
        return lambda request, number: script(request, number) if method(request) in methods else []

    return decorate


def always(status: str, more: str = "", body: str = "") -> Script:
    """One and the same answer to everything but ACK."""

    def script(request: bytes, _: int) -> list[bytes]:
        return [] if method(request) == "ACK" else [answer(request, status, more, body)]

    return script


def redirect(*contacts: str, status: str = "302 Moved Temporarily") -> Script:
    """A 3xx to everything but ACK."""
    return always(status, "".join(f"Contact: {contact}\r\n" for contact in contacts))


@dataclass
class Peer:
    """A peer that runs.

    Attributes:
        port: on 127.0.0.1.
        received: the messages that have come, in order.
        certificates: what came with each TLS handshake that succeeded; empty: none was shown.
        names: the server names that TLS clients asked for.
    """

    port: int
    received: list[bytes] = field(default_factory=list)
    certificates: list[dict[str, object]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    @property
    def distinct(self) -> list[bytes]:
        """The messages without retransmissions, which are the same octets."""
        return list(dict.fromkeys(self.received))

    @property
    def methods(self) -> list[str]:
        """The first word of each of the `distinct` messages, or its status code."""
        return [method(message) for message in self.distinct]


@contextmanager
def udp_peer(script: Script, host: str = "127.0.0.1") -> Iterator[Peer]:
    """A UDP peer; it answers to where a request came from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        peer = Peer(sock.getsockname()[1])
        stopped = threading.Event()

        def serve() -> None:
            sock.settimeout(0.05)
            while True:
                try:
                    data, source = sock.recvfrom(65536)
                except OSError:
                    if stopped.is_set():
                        return  # and what came before, the last ACK for instance, has been read
                    continue
                peer.received.append(data)
                for each in script(data, len(peer.received) - 1):
                    with suppress(OSError):
                        sock.sendto(each, source)

        with _thread(serve, stopped):
            yield peer


@contextmanager
def tcp_peer(
    script: Script,
    *,
    close: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Peer]:
    """A TCP peer for one connection after the other. `close`: it hangs up after its first words."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        peer = Peer(listener.getsockname()[1])
        stopped = threading.Event()

        def serve() -> None:
            listener.settimeout(0.05)
            while not stopped.is_set():
                with suppress(OSError):
                    accepted, _ = listener.accept()
                    with accepted, secured(accepted) as connection:
                        talk(connection)

        def secured(connection: socket.socket) -> socket.socket:
            if tls is None:
                return connection
            connection.settimeout(10)
            wrapped = tls.wrap_socket(connection, server_side=True)
            peer.certificates.append(dict(wrapped.getpeercert() or {}))
            return wrapped

        def talk(connection: socket.socket) -> None:
            connection.settimeout(0.05)
            data = b""
            while True:
                try:
                    piece = connection.recv(65536)
                except TimeoutError:
                    if stopped.is_set():
                        return
                    continue
                if not piece:
                    return
                data += piece
                while b"\r\n\r\n" in data:
                    head, _, rest = data.partition(b"\r\n\r\n")
                    size = int(header(head + b"\r\n", "Content-Length"))
                    if len(rest) < size:
                        break
                    data = rest[size:]
                    peer.received.append(head + b"\r\n\r\n" + rest[:size])
                    for each in script(peer.received[-1], len(peer.received) - 1):
                        connection.sendall(each)
                    if close:
                        return

        if tls is not None:
            tls.sni_callback = lambda _, name, __: peer.names.append(name)
        with _thread(serve, stopped):
            yield peer


@contextmanager
def _thread(serve: Callable[[], None], stopped: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(10)
