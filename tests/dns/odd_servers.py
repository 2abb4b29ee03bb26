"""DNS servers that do what no proper one would, in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import dns.message

from chatredirect.config import HostPort

#: Gives the messages to answer a query with; the flag says that it came over TCP.
Handler: TypeAlias = Callable[[dns.message.Message, bool], list[bytes]]


@dataclass(slots=True)
class OddServer:
    """Where it listens, and what it was asked."""

    address: HostPort
    queries: list[tuple[dns.message.Message, bool]] = field(default_factory=list)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: OddServer, handler: Handler) -> None:
        self._server = server
        self._handler = handler
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        query = dns.message.from_wire(data)
        self._server.queries.append((query, False))
        assert self._transport is not None
        for reply in self._handler(query, False):
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def odd_server(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[OddServer]:
    """Serve UDP and TCP on one free port."""
    loop = asyncio.get_running_loop()
    server = OddServer(HostPort(host, 0))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            query = dns.message.from_wire(await reader.readexactly(size))
            server.queries.append((query, True))
            for reply in handler(query, True):
                writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    for _ in range(50):
        listener = await asyncio.start_server(connected, host, 0)
        port = listener.sockets[0].getsockname()[1]
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(server, handler), local_addr=(host, port)
            )
        except OSError:
            listener.close()
            continue
        server.address = HostPort(host, port)
        break
    try:
        yield server
    finally:
        transport.close()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0)


def silent(query: dns.message.Message, tcp: bool) -> list[bytes]:
    """Reads, and says nothing."""
    return []
