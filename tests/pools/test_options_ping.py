"""One OPTIONS over real sockets, to targets of every kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from chatredirect.client.wire import CONNECTS
from chatredirect.net.target import Target
from chatredirect.pools.health import PingOutcome
from chatredirect.pools.prober import options, ping
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.headers import read_cseq, read_from_to, read_via
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request
from tests.dns.real_servers import free_port

#: Gives what to send for the n-th request.
Behaviour: TypeAlias = Callable[[Request, int], list[bytes]]


def answer(request: Request, status: str = "200 OK", **other: bytes) -> bytes:
    """A response to `request`, with some header fields changed."""
    via, call_id, cseq = request.vias[0], request.call_id, request.cseq
    return b"\r\n".join(
        [
            b"SIP/2.0 " + status.encode(),
            b"Via: " + other.get("via", via),
            b"From: " + (request.from_ or b""),
            b"To: " + (request.to or b"") + b";tag=1",
            b"Call-ID: " + other.get("call_id", call_id or b""),
            b"CSeq: " + other.get("cseq", cseq or b""),
            b"Content-Length: 0\r\n\r\n",
        ]
    )


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._count = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        request = parse_datagram(data, DEFAULT)
        assert isinstance(request, Request)
        assert self._transport is not None
        self._count += 1
        for reply in self._behaviour(request, self._count):
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def sip_target(transport: str, behaviour: Behaviour) -> AsyncIterator[Target]:
    """A target that behaves so."""
    loop = asyncio.get_running_loop()
    if transport == "udp":
        endpoint, _ = await loop.create_datagram_endpoint(
            lambda: _Udp(behaviour), local_addr=("127.0.0.1", 0)
        )
        port = endpoint.get_extra_info("sockname")[1]
        yield Target("udp", "127.0.0.1", port, "fe01.contoso.com")
        endpoint.close()
        return

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = parse_datagram(await reader.readuntil(b"\r\n\r\n"), DEFAULT)
            assert isinstance(request, Request)
            for reply in behaviour(request, 1):
                writer.write(reply)
                await writer.drain()
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield Target("tcp", "127.0.0.1", server.sockets[0].getsockname()[1], "fe01.contoso.com")
    server.close()
    await server.wait_closed()


async def pinged(
    transport: str, behaviour: Behaviour, seconds: float = 5.0
) -> tuple[PingOutcome, str]:
    async with sip_target(transport, behaviour) as target:
        return await ping(target, CONNECTS[target.transport], seconds)


both = pytest.mark.parametrize("transport", ["udp", "tcp"])


def test_the_request_is_proper() -> None:
    """RFC 3261 §8.1.1: the six header fields every request has, and a branch with the cookie."""
    target = Target("tls", "2001:db8::1", 5061, "pcpool.contoso.com")
    sent = options(target, ("2001:db8::9", 40000)).write()
    request = parse_datagram(sent, DEFAULT)
    assert isinstance(request, Request)
    assert request.fault is None
    assert request.method == b"OPTIONS"
    assert request.uri == b"sip:pcpool.contoso.com:5061;transport=tls"
    via = read_via(request.vias[0])
    assert request.vias[0].startswith(b"SIP/2.0/TLS ")
    assert (via.host, via.port) == (b"[2001:db8::9]", 40000)
    assert b"branch=z9hG4bK" in via.params
    assert b"rport" in via.params
    assert read_cseq(request.cseq or b"") == (1, b"OPTIONS")
    assert b"tag" in read_from_to(request.from_ or b"", "From").params
    assert b"\r\nMax-Forwards: 70\r\n" in sent


@both
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "481 X", "500 X", "405 X", "603 No"])
async def test_any_response_but_503_is_alive(transport: str, status: str) -> None:
    """Whatever it answers, it works."""
    outcome, detail = await pinged(transport, lambda request, n: [answer(request, status)])
    assert (outcome, detail) == (PingOutcome.ANSWERED, status)


@both
async def test_503_is_lost(transport: str) -> None:
    """RFC 3261 §21.5.4: 503 says that it can't serve."""
    outcome, detail = await pinged(
        transport, lambda request, n: [answer(request, "503 Service Unavailable")]
    )
    assert (outcome, detail) == (PingOutcome.LOST, "503 Service Unavailable")


@both
async def test_provisional_responses_are_waited_out(transport: str) -> None:
    """A 100 alone says nothing yet; the final response counts."""
    outcome, detail = await pinged(
        transport, lambda request, n: [answer(request, "100 Trying"), answer(request, "503 X")]
    )
    assert (outcome, detail) == (PingOutcome.LOST, "503 X")


@both
async def test_silence_is_lost(transport: str) -> None:
    """No response in time."""
    outcome, detail = await pinged(transport, lambda request, n: [], 0.3)
    assert (outcome, detail) == (PingOutcome.LOST, "no response within 0.3 s")


@both
@pytest.mark.parametrize(
    "other",
    [
        {"call_id": b"another"},
        {"via": b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother"},
        {"cseq": b"2 OPTIONS"},
        {"cseq": b"1 INVITE"},
        {"via": b"nonsense"},
        {"cseq": b"nonsense"},
    ],
)
async def test_responses_to_something_else_are_ignored(
    transport: str, other: dict[str, bytes]
) -> None:
    """RFC 3261 §17.1.3: branch and CSeq method tell whose response it is; Call-ID as well."""
    outcome, _ = await pinged(transport, lambda request, n: [answer(request, **other)], 0.3)
    assert outcome is PingOutcome.LOST
    outcome, _ = await pinged(
        transport, lambda request, n: [answer(request, **other), answer(request)]
    )
    assert outcome is PingOutcome.ANSWERED


async def test_lost_datagrams_are_sent_again() -> None:
    """RFC 3261 §17.1.2.2: over UDP the request is sent again after T1; one loss is no lost ping."""
    outcome, _ = await pinged("udp", lambda request, n: [answer(request)] if n > 1 else [])
    assert outcome is PingOutcome.ANSWERED


@both
async def test_garbage_is_lost(transport: str) -> None:
    """What isn't SIP is no response."""
    outcome, _ = await pinged(transport, lambda request, n: [b"HTTP/1.1 200 OK\r\n\r\n"], 0.5)
    assert outcome is PingOutcome.LOST


@both
async def test_flood_is_bounded(transport: str) -> None:
    """A target that sends without end fills no memory and ends with the ping."""
    junk = b"SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n" * (1 if transport == "udp" else 5000)
    outcome, _ = await pinged(transport, lambda request, n: [junk] * 200, 0.5)
    assert outcome is PingOutcome.LOST


@both
async def test_nobody_listens(transport: str) -> None:
    """ICMP and a refused connection are heard at once."""
    target = Target("udp" if transport == "udp" else "tcp", "127.0.0.1", free_port(), "h")
    outcome, detail = await ping(target, CONNECTS[target.transport], 10.0)
    assert (outcome, detail) == (PingOutcome.LOST, "connection refused")


async def test_connection_closed_without_a_word() -> None:
    """A target that accepts and closes is lost, with words."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    target = Target("tcp", "127.0.0.1", server.sockets[0].getsockname()[1], "h")
    outcome, detail = await ping(target, CONNECTS["tcp"], 5.0)
    assert outcome is PingOutcome.LOST
    assert detail
    server.close()
    await server.wait_closed()
