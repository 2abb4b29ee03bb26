"""Sockets of the load: datagrams, or connections that are opened when they are needed."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.several.messages import Message, read

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}
Answer = Callable[[bytes], None]


class Arrived(Protocol):
    """Takes each message that arrives, with what answers it on the way that it came."""

    def __call__(self, message: Message, answer: Answer) -> None: ...


class Wire(Protocol):
    """Sends messages to hosts."""

    transport: str
    address: str

    def send(self, data: bytes, host: str, failed: Callable[[], None]) -> None:
        """Send to a host's usual port; `failed` is called if the connection fails, be it later."""


@dataclass(slots=True)
class Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    address: str
    arrived: Arrived
    transport: str = "UDP"
    _socket: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind it."""
        loop = asyncio.get_running_loop()
        where = (self.address, PORTS["UDP"])
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, where)
        # a busy machine may stop us for seconds; Kamailio repeats a response for two
        sock = self._socket.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)

    def send(self, data: bytes, host: str, failed: Callable[[], None]) -> None:
        """Nobody says whether a datagram arrives."""
        del failed
        self._to((host, PORTS["UDP"]))(data)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """The answer to a request goes to the socket that sent it."""
        self.arrived(read(data), self._to(addr))

    def _to(self, where: tuple[str, int]) -> Answer:
        def answer(data: bytes) -> None:
            assert self._socket is not None
            self._socket.sendto(data, where)

        return answer


@dataclass(slots=True)
class Streams:
    """Connections over TCP or TLS: one to each host, and those that are opened to us."""

    address: str
    arrived: Arrived
    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None
    name: str | None = None
    """Whom a server must prove to be."""
    transport: str = "TCP"
    _open: dict[str, "asyncio.Task[asyncio.StreamWriter]"] = field(default_factory=dict)
    _readers: set["asyncio.Task[None]"] = field(default_factory=set)
    _sent: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    _listening: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self.transport = "TLS" if self.server else "TCP"
        self._listening = await asyncio.start_server(
            self._read, self.address, PORTS[self.transport], ssl=self.server
        )

    def send(self, data: bytes, host: str, failed: Callable[[], None]) -> None:
        """Over the connection to this host, or a new one; within four seconds or not at all."""
        connecting = self._open.get(host)
        if connecting is None:
            connecting = asyncio.create_task(self._connect(host))
            self._open[host] = connecting

        def connected(task: "asyncio.Task[asyncio.StreamWriter]") -> None:
            if task.cancelled() or task.exception() or task.result().is_closing():
                if self._open.get(host) is task:
                    del self._open[host]
                failed()
            else:
                self._sent.setdefault(host, []).append(failed)
                task.result().write(data)

        connecting.add_done_callback(connected)

    async def _connect(self, host: str) -> asyncio.StreamWriter:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(
                host,
                PORTS[self.transport],
                ssl=self.client,
                server_hostname=self.name if self.client else None,
                local_addr=(self.address, 0),
            ),
            4,
        )
        task = asyncio.create_task(self._read(reader, writer))
        self._readers.add(task)

        def ended(task: "asyncio.Task[None]") -> None:
            self._readers.discard(task)
            known = self._open.get(host)
            if known is not None and known.done() and known.result() is writer:
                del self._open[host]
                for failed in self._sent.pop(host, []):
                    failed()

        task.add_done_callback(ended)
        return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                head = head.lstrip(b"\r\n")
                if not head:
                    continue
                length = 0
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name.strip().lower() in {b"content-length", b"l"}:
                        length = int(value)
                body = await reader.readexactly(length)
                self.arrived(read(head + body), writer.write)
        except (OSError, asyncio.IncompleteReadError):  # it ends, as connections do
            pass
        finally:
            writer.close()
