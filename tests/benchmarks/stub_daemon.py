"""A daemon to measure that does as it is told: `stub_daemon.py FAULT run --config FILE`.

FAULT is what it does wrong over UDP and TCP from its hundredth request on:

    none        nothing
    contact     another pool in the Contact
    to-tag      no tag in the To
    twice       every answer is sent twice
    one-lost    one request in all gets no answer
    some-lost   one request in twenty gets no answer
    silent      nothing is answered any more
"""

import asyncio
import re
import sys
from pathlib import Path

from benchmarks.messages import POOL


class Answers:
    """What a request gets, by its number in the whole run."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._count = 0

    def to(self, request: bytes) -> bytes:
        self._count += 1
        fault = self._fault if self._count >= 100 else "none"
        lost = {
            "one-lost": self._count == 100,
            "some-lost": self._count % 20 == 0,
            "silent": True,
        }
        if lost.get(fault, False):
            return b""
        answer = redirect(request, fault)
        return answer * 2 if fault == "twice" else answer


def redirect(request: bytes, fault: str) -> bytes:
    """A 302 as it must be, but for the fault."""
    start, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines)
    user = start.partition(b"sip:")[2].partition(b"@")[0]
    pool = b"elsewhere.contoso.com" if fault == "contact" else POOL.encode()
    tag = b"" if fault == "to-tag" else b";tag=stub"
    return (
        b"SIP/2.0 302 Moved Temporarily\r\n"
        + b"".join(b"%b: %b\r\n" % (name, fields[name]) for name in (b"From", b"Call-ID", b"CSeq"))
        + b"Via: %b=1;received=127.0.0.1\r\n" % fields[b"Via"]
        + b"To: %b%b\r\n" % (fields[b"To"], tag)
        + b"Contact: <sip:%b@%b>\r\nContent-Length: 0\r\n\r\n" % (user, pool)
    )


class Udp(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in re.findall(rb"(?s)SIP.*?\r\n\r\n", self._answers.to(data)):
            self._transport.sendto(answer, addr)


async def serve_stream(
    answers: Answers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
            writer.write(answers.to(head))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(fault: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    # Over UDP and over TCP each has its own count: the fault comes in both.
    await loop.create_datagram_endpoint(lambda: Udp(Answers(fault)), local_addr=("127.0.0.1", port))
    over_tcp = Answers(fault)
    server = await asyncio.start_server(
        lambda reader, writer: serve_stream(over_tcp, reader, writer), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[-1] == "--version":
        print("stub")
    else:
        config = Path(sys.argv[-1]).read_text()
        asyncio.run(serve(sys.argv[1], int(re.search(r"udp://127\.0\.0\.1:(\d+)", config)[1])))
