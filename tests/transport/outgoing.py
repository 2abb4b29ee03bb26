"""The outgoing side by itself in an event loop of the test, and real servers that it opens to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from chatredirect.config.models import TlsSettings
from chatredirect.net.addresses import ListenUrl, Transport
from chatredirect.net.target import Target
from chatredirect.sip.flow import Flow
from chatredirect.sip.framing import Event
from chatredirect.sip.limits import Limits
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
)
from chatredirect.transport.outgoing import Outgoing, OutgoingLimits
from chatredirect.transport.peer_identity import Security, TrustedPeers
from chatredirect.transport.socket_flows import FlowTable
from chatredirect.transport.tls_contexts import client_context
from chatredirect.transport.udp_listener import UdpListener
from chatredirect.transport.udp_sender import UdpSender
from tests.service.daemon import PATIENCE

POOL = "pcpool.contoso.com"
UNLIMITED = OutgoingLimits()
PATIENT = StreamLimits(idle_timeout=30, message_timeout=30, write_timeout=30, handshake_timeout=30)


@dataclass
class Dialler:
    """The outgoing side, and what came of it.

    Attributes:
        outgoing: it.
        flow_table: names of its flows.
        udp_sender: makes its flows over UDP.
        events: what arrived: the event, its source, the transport.
        lost: flows that were reported as lost.
        listeners: UDP listeners that there are.
    """

    outgoing: Outgoing
    flow_table: FlowTable
    udp_sender: UdpSender
    events: list[tuple[Event, Any, str]]
    datagrams: list[tuple[bytes, Any]]
    lost: list[Flow] = field(default_factory=list)
    listeners: list[UdpListener] = field(default_factory=list)

    async def dial(self, target: Target) -> Flow | str:
        """Dial, and wait for the flow, or why there is none."""
        future: asyncio.Future[Flow | str] = asyncio.get_running_loop().create_future()
        self.outgoing.dial(target, future.set_result, future.set_result)
        assert not future.done(), "called from within"
        async with asyncio.timeout(PATIENCE):
            return await future

    async def flow(self, target: Target) -> Flow:
        """Dial, and wait for the flow."""
        flow = await self.dial(target)
        assert not isinstance(flow, str), flow
        return flow


@contextlib.asynccontextmanager
async def dialler(
    *,
    limits: OutgoingLimits = UNLIMITED,
    timeouts: StreamLimits = PATIENT,
    tls: TlsSettings | None = None,
    answer: bytes | None = None,
    bound: tuple[ListenUrl, ...] = (),
) -> AsyncIterator[Dialler]:
    """An outgoing side that is closed at the end; nothing of it may be left then."""
    loop = asyncio.get_running_loop()
    events: list[tuple[Event, Any, str]] = []
    datagrams: list[tuple[bytes, Any]] = []
    listeners: list[UdpListener] = []
    profile = tls or TlsSettings()
    trust = TrustedPeers(())

    def answer_event(event: Event, source: Any, transport: str, return_path: Any) -> bytes | None:
        events.append((event, source, transport))
        return answer

    def answer_datagram(data: bytes, source: Any, return_path: Any) -> None:
        datagrams.append((data, source))

    group = ConnectionGroup(ConnectionSettings(answer_event, trust, Limits(), timeouts), loop)
    udp_sender = UdpSender(loop, lambda: listeners, answer_datagram, trust, 65536)
    flow_table = FlowTable(2**64 - 2, udp_sender.between)  # its numbers wrap within every test
    security = Security(profile, client_context(profile))
    outgoing = Outgoing(group, limits, lambda: security, udp_sender, flow_table, lambda: bound)
    made = Dialler(outgoing, flow_table, udp_sender, events, datagrams, [], listeners)
    flow_table.on_lost = made.lost.append
    try:
        yield made
    finally:
        await outgoing.aclose()
        for listener in listeners:
            listener.close()
        assert group.failures == 0
        assert (outgoing.connections, outgoing.waiting, len(flow_table)) == (0, 0, 0)


class Server:
    """A real server that does as it is told to each connection.

    Attributes:
        port: where it listens on 127.0.0.1.
        accepted: connections that it has got, after the handshake.
        received: all that came.
        writers: of the connections.
    """

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.received = b""
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    def target(self, transport: Transport = "tcp", domain: str = POOL, host: str = "") -> Target:
        """It as a target."""
        return Target(transport, "127.0.0.1", self.port, host or domain, domain=domain)


@contextlib.asynccontextmanager
async def server(
    then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any] | None = None,
    context: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncIterator[Server]:
    """A server that reads, and does something first if it is told to."""
    made = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.accepted += 1
        made.writers.append(writer)
        with contextlib.suppress(OSError):
            if then is not None:
                await then(reader, writer)
            while data := await reader.read(65536):
                made.received += data
        writer.close()

    made.server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    made.port = made.server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.server.close()
        for writer in made.writers:
            writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await made.server.wait_closed()
