"""A pool member as a process, to be killed: `python member.py HOST PORT FILE [CERTIFICATE KEY CA]`.

It takes every call and answers every request with 200, over UDP and TCP, or TLS on the same port
if it is given certificates; the 200 to an INVITE again until its ACK comes. It writes a line for
each request into FILE before it answers, and `ready` once it listens.
"""

import asyncio
import os
import re
import ssl
import sys
from collections.abc import Callable

LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
COPIED = re.compile(rb"^(?:Via|Record-Route|From|Call-ID|CSeq): .*$", re.IGNORECASE | re.MULTILINE)
TO = re.compile(rb"^To: (.*?)\r$", re.IGNORECASE | re.MULTILINE)
CALL_ID = re.compile(rb"^Call-ID: (.*?)\r$", re.IGNORECASE | re.MULTILINE)

Send = Callable[[bytes], None]


class Member:
    """Answers requests."""

    def __init__(self, host: str, port: int, file: str, transport: str) -> None:
        self.contact = f"Contact: <sip:room@{host}:{port};transport={transport}>".encode()
        self.tag = os.urandom(4).hex().encode()
        self.waiting: dict[bytes, asyncio.TimerHandle] = {}
        self.file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, line: bytes) -> None:
        os.write(self.file, line + b"\n")

    def take(self, message: bytes, send: Send) -> None:
        if message.startswith(b"SIP/2.0 "):
            return
        method = message.partition(b" ")[0]
        call_id, to = CALL_ID.search(message), TO.search(message)
        assert call_id is not None
        assert to is not None
        self.note(b"%b %b" % (method, call_id[1]))
        if method == b"ACK":
            waiting = self.waiting.pop(call_id[1], None)
            if waiting is not None:
                waiting.cancel()
            return
        copied = [line.rstrip(b"\r") for line in COPIED.findall(message)]
        if b";tag=" in to[1]:
            copied.append(b"To: " + to[1])
        else:
            copied += [b"To: %b;tag=%b" % (to[1], self.tag), self.contact]
        answer = b"\r\n".join((b"SIP/2.0 200 OK", *copied, b"Content-Length: 0", b"", b""))
        send(answer)
        if method == b"INVITE" and call_id[1] not in self.waiting:
            self.send_again(call_id[1], answer, send, 0.5)

    def send_again(self, call_id: bytes, answer: bytes, send: Send, wait: float) -> None:
        """RFC 3261 §13.3.1.4."""

        def again() -> None:
            send(answer)
            self.send_again(call_id, answer, send, min(2 * wait, 4.0))

        self.waiting[call_id] = asyncio.get_running_loop().call_later(wait, again)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.take(head.lstrip(b"\r\n") + body, writer.write)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Datagrams(asyncio.DatagramProtocol):
    """UDP."""

    def __init__(self, member: Member) -> None:
        self.member = member

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.member.take(data, lambda answer: self.transport.sendto(answer, addr))  # type: ignore[attr-defined]


async def main(host: str, port: str, file: str, *files: str) -> None:
    context = None
    if files:
        certificate, key, ca = files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    member = Member(host, int(port), file, "tls" if context else "tcp")
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(member.serve, host, int(port), ssl=context)
    await loop.create_datagram_endpoint(lambda: Datagrams(member), local_addr=(host, int(port)))
    member.note(b"ready")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
