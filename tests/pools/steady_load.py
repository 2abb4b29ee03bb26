"""A steady stream of INVITEs over UDP, every one of which must be answered."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

from tests.waiting import wait_until

INVITE = (
    "INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{n};rport\r\n"
    "From: <sip:user{user}@contoso.com>;tag=f{n}\r\n"
    "To: <sip:ocschat@contoso.com>\r\n"
    "Call-ID: {n}@192.0.2.1\r\n"
    "CSeq: 1 INVITE\r\n"
    "Content-Length: 0\r\n\r\n"
)
LAST_ANSWER = 5.0
"""Seconds that the last answers may take; without retransmissions, so that each loss shows."""


@dataclass(slots=True)
class Phase:
    """What came of the requests sent during one part of a run.

    Attributes:
        name: what was done to the daemon meanwhile.
        sent: requests.
        statuses: answers by status code.
        times: seconds from request to answer.
    """

    name: str
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Requests without an answer."""
        return self.sent - self.statuses.total()

    def percentile(self, share: float) -> float:
        """The time in which this share of the answers came, in seconds."""
        return sorted(self.times)[int(share * (len(self.times) - 1))]


class SteadyLoad(asyncio.DatagramProtocol):
    """Sends so many requests a second from entering its context to leaving it."""

    def __init__(self, to: tuple[str, int], rate: int = 300) -> None:
        self._to = to
        self._rate = rate
        self.phases: list[Phase] = []
        self._open: dict[int, tuple[float, Phase]] = {}
        self._number = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SteadyLoad":
        loop = asyncio.get_running_loop()
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)  # all answers of seconds
        sock.setblocking(False)
        sock.connect(self._to)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        self.phase("start")
        self._sender = loop.create_task(self._send())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        assert self._sender is not None
        self._sender.cancel()
        with contextlib.suppress(AssertionError):
            await wait_until(lambda: not self._open, LAST_ANSWER)
        assert self._transport is not None
        self._transport.close()

    def phase(self, name: str) -> Phase:
        """From now on requests belong to another phase."""
        phase = Phase(name)
        self.phases.append(phase)
        return phase

    async def _send(self) -> None:
        assert self._transport is not None
        began = time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self._rate)
            while self._number < due:
                self._number += 1
                request = INVITE.format(n=self._number, user=self._number % 50)
                phase = self.phases[-1]
                phase.sent += 1
                self._open[self._number] = (time.monotonic(), phase)
                self._transport.sendto(request.encode())
            await asyncio.sleep(1 / self._rate)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        number = int(data.partition(b"branch=z9hG4bK")[2].partition(b";")[0])
        opened = self._open.pop(number, None)
        if opened is not None:
            sent_at, phase = opened
            phase.times.append(time.monotonic() - sent_at)
            phase.statuses[int(data[8:11])] += 1
