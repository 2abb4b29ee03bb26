"""A CANCEL and the answer to its INVITE on the way at the same time (RFC 3261 §9.1, §16.7 step 10).

Whoever wins, the caller hears one final response to the INVITE, and caller and pool agree on it: a
200 that the pool has given reaches the caller, who ends the call; else the pool has cancelled it.
"""

import asyncio
import random
from collections import Counter

import pytest

from tests.ports import free_port
from tests.proxy.real.dialog import answer, branch, hosts, proxied
from tests.sent_message import SentMessage, read
from tests.service.fixtures import Run
from tests.waiting import wait_until

CALLS = 150
SPREAD = 0.02  # seconds in which both sides make up their minds


class Pool(asyncio.DatagramProtocol):
    """Rings, and answers after a while unless it is cancelled first.

    Attributes:
        latency: seconds that its ringing takes to the caller, and a CANCEL back: on a busy machine
            both sides make up their minds so much later, or the 200 would always win.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.latency = 0.0
        self.rang: dict[str, float] = {}
        self.final: dict[str, int] = {}
        self.invites: dict[str, SentMessage] = {}
        self.acks: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = read(data)

        def send(message: bytes) -> None:
            self.transport.sendto(message, addr)  # type: ignore[attr-defined]

        def decide(status: int, words: str) -> None:
            if self.final.setdefault(call_id, status) == status:
                send(answer(self.invites[call_id], words, more="Contact: <sip:room@127.0.0.1>\r\n"))

        call_id = message["Call-ID"]
        if message.kind == "INVITE" and call_id not in self.invites:
            self.invites[call_id] = message
            send(answer(message, "180 Ringing"))
            loop = asyncio.get_running_loop()
            self.rang[call_id] = loop.time()
            loop.call_later(self.rng.uniform(0, SPREAD + 4 * self.latency), decide, 200, "200 OK")
        elif message.kind == "CANCEL":
            send(answer(message))
            decide(487, "487 Request Terminated")
        elif message.kind == "ACK":
            self.acks.add(call_id)


class Client(asyncio.DatagramProtocol):
    """Calls, and cancels once it rings, after a while."""

    def __init__(self, rng: random.Random, pool: Pool) -> None:
        self.rng = rng
        self.pool = pool
        self.final: dict[str, list[int]] = {}
        self.cancelled: dict[str, int] = {}
        self.templates: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.local = "{}:{}".format(*transport.get_extra_info("sockname"))

    def call(self, call_id: str) -> None:
        self.templates[call_id] = (
            "%s sip:ocschat@contoso.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.local};branch={branch()};rport\r\nMax-Forwards: 70\r\n"
            "From: <sip:user1@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>%s\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 %s\r\nContact: <sip:user1@{self.local}>\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        self.final[call_id] = []
        self.send(call_id, "INVITE")

    def send(self, call_id: str, method: str, tag: str = "") -> None:
        message = self.templates[call_id] % (method, tag, method)
        self.transport.sendto(message.encode())  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = read(data)
        call_id, status = message["Call-ID"], message.status
        if message["CSeq"] == "1 CANCEL":
            self.cancelled[call_id] = status
        elif status == 180:
            loop = asyncio.get_running_loop()
            self.pool.latency = loop.time() - self.pool.rang[call_id]
            loop.call_later(self.rng.uniform(0, SPREAD), self.send, call_id, "CANCEL")
        elif status >= 200:
            self.final[call_id].append(status)
            if status >= 300:
                self.send(call_id, "ACK", message["To"].partition(">")[2])


@pytest.mark.parametrize("seed", [1, 2])
async def test_cancel_meets_200(run_daemon: Run, seed: int) -> None:
    rng, loop, port = random.Random(seed), asyncio.get_running_loop(), free_port()
    ends, pool = await loop.create_datagram_endpoint(
        lambda: Pool(rng), local_addr=("127.0.0.1", port)
    )
    daemon = run_daemon(endpoints=[proxied(port, "udp")], dns=hosts(), log={"requests": False})
    to = daemon.address("udp")
    caller, client = await loop.create_datagram_endpoint(lambda: Client(rng, pool), remote_addr=to)
    for number in range(CALLS):
        client.call(f"race{number}")
        await asyncio.sleep(0.005)
    await wait_until(lambda: all(client.final.values()) and len(client.cancelled) == CALLS)
    caller.close()
    ends.close()
    for call_id, finals in client.final.items():
        assert set(finals) == {pool.final[call_id]}, call_id
    won = Counter(status for (status, *_) in client.final.values())
    assert won[200] > 5, "the CANCEL always won: no race"
    assert won[487] > 5, "the 200 always won: no race"
    # a CANCEL that came in time, or late, is one for a transaction that is known (§9.2)
    assert set(client.cancelled.values()) <= {200, 481}
    assert pool.acks == {call_id for call_id, status in pool.final.items() if status == 487}
