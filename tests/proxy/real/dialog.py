"""Both ends of a dialog through the daemon, by hand: a pool's server, requests within dialogs."""

import contextlib
import itertools
import socket
from collections.abc import Iterator
from typing import Any

from tests.lookup.peer import Peer
from tests.ports import free_port
from tests.sent_message import SentMessage
from tests.service.daemon import PATIENCE, endpoint

POOL = "pcpool.contoso.com"
_numbers = itertools.count(1)


def proxied(port: int, transport: str | None = "tcp", **keys: Any) -> dict[str, Any]:
    """An endpoint in the mode `proxy` whose pool is on a port of 127.0.0.1."""
    return endpoint(mode="proxy", port=port, transport=transport, **keys)


def hosts(*addresses: str) -> dict[str, Any]:
    """DNS by which the pool is there, and nowhere else."""
    return {"hosts": {POOL: list(addresses or ("127.0.0.1",))}}


class Pool:
    """A pool's server on TCP and UDP; each connection to it is a `Peer`.

    Attributes:
        port: its port.
        datagrams: what comes by UDP.
    """

    def __init__(self, *, stream: bool = True, datagrams: bool = False) -> None:
        self.port = free_port()
        self._listening: socket.socket | None = None
        if stream:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self._listening.settimeout(PATIENCE)
        self.datagrams: Peer | None = None
        if datagrams:
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", self.port))
            self.datagrams = Peer("udp", ("", 0), accepted=sock)
        self._open: list[Peer] = []

    def accept(self) -> Peer:
        """The next connection."""
        assert self._listening is not None
        accepted, _ = self._listening.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer("tcp", ("", 0), accepted=accepted)
        self._open.append(peer)
        return peer

    def hang_up(self) -> None:
        """Close all connections, and wait until the other side has closed them as well."""
        for peer in self._open:
            with contextlib.suppress(OSError), peer.socket as sock:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        self._open.clear()

    def close(self) -> None:
        """Close everything."""
        for each in (self._listening, *(peer.socket for peer in self._open)):
            if each is not None:
                each.close()
        if self.datagrams is not None:
            self.datagrams.socket.close()


@contextlib.contextmanager
def pool(**keys: bool) -> Iterator[Pool]:
    """A pool that is closed at the end."""
    made = Pool(**keys)
    try:
        yield made
    finally:
        made.close()


def branch() -> str:
    """A new one."""
    return f"z9hG4bKtest{next(_numbers)}"


def answer(
    request: SentMessage, status: str = "200 OK", more: str = "", tag: str = "FE123"
) -> bytes:
    """A response to a request, as a UAS writes it (RFC 3261 §8.2.6.2)."""
    to = request["To"] if ";tag=" in request["To"] else f"{request['To']};tag={tag}"
    lines = [
        f"SIP/2.0 {status}",
        *(f"Via: {each}" for each in request.all("Via")),
        *(f"Record-Route: {each}" for each in request.all("Record-Route")),
        f"From: {request['From']}",
        f"To: {to}",
        f"Call-ID: {request['Call-ID']}",
        f"CSeq: {request['CSeq']}",
    ]
    return ("\r\n".join(lines) + f"\r\n{more}Content-Length: 0\r\n\r\n").encode()


def within(
    request: SentMessage,
    method: str,
    number: int,
    sent_by: str,
    *,
    body: str = "",
    tag: str = "FE123",
) -> bytes:
    """A request of the called side within the dialog that `request` began (RFC 3261 §12.2.1.1)."""
    contact = request["Contact"]
    target = contact[contact.index("<") + 1 : contact.index(">")]
    lines = [
        f"{method} {target} SIP/2.0",
        f"Via: SIP/2.0/TCP {sent_by};branch={branch()}",
        *(f"Route: {each}" for each in request.all("Record-Route")),
        "Max-Forwards: 70",
        f"From: {request['To']};tag={tag}",
        f"To: {request['From']}",
        f"Call-ID: {request['Call-ID']}",
        f"CSeq: {number} {method}",
    ]
    if body:
        lines.append("Content-Type: text/plain")
    return ("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def route_of(response: SentMessage) -> list[str]:
    """The caller's route set from the response to his first request (§12.1.2)."""
    values = [each.strip() for value in response.all("Record-Route") for each in value.split(",")]
    return values[::-1]


def routed(message: bytes, route: list[str]) -> bytes:
    """A message with these Routes behind its first line."""
    start, _, rest = message.partition(b"\r\n")
    fields = "".join(f"Route: {each}\r\n" for each in route).encode()
    return b"%b\r\n%b%b" % (start, fields, rest)
