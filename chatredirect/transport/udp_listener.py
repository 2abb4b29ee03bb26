"""A UDP listener: handles datagrams in batches, each at once."""

import asyncio
from collections.abc import Callable
from time import perf_counter

import structlog

from chatredirect.runtime.histogram import Histogram
from chatredirect.runtime.turns import turns_of
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.response import Peer
from chatredirect.transport.mmsg import BATCH, DatagramSocket
from chatredirect.transport.mmsg_ctypes import Datagram
from chatredirect.transport.raw_address import host_and_port, with_port
from chatredirect.transport.socket_flows import DatagramFlow

log = structlog.get_logger()

#: Handles a datagram from a peer, with the way back to the peer; returns the response and the port
#: that it is sent to, or None.
Answerer = Callable[[bytes, Peer, ReturnPath], tuple[bytes, int] | None]
#: Makes a peer of an address and a port.
SourceMaker = Callable[[str, int], Peer]

#: Called with the addresses and ports that datagrams can't be delivered to.
Unreachable = Callable[[set[tuple[str, int]]], None]

_LAST = 0.1  # seconds for datagrams that have come when a socket is closed
_KNOWN_SOURCES = 4096
_KNOWN_FLOWS = 1024


class UdpListener:
    """A UDP socket on an event loop.

    Attributes:
        failures: datagrams whose handler raised, which is logged.
        latency: seconds from reading datagrams to sending the responses.
        on_unreachable: called with the destinations of datagrams that ICMP reports unreachable.
    """

    __slots__ = (
        "_answer", "_at", "_batch", "_closed", "_datagrams", "_flows", "_loop", "_make_source",
        "_next", "_sources", "_turns", "_waiting", "failures", "latency", "on_unreachable",
    )  # fmt: skip

    def __init__(
        self,
        sock: DatagramSocket,
        answer: Answerer,
        make_source: SourceMaker,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Handle datagrams of a bound socket with `answer` from now on."""
        self._answer = answer
        self._make_source = make_source
        self._datagrams = sock
        self._batch: list[Datagram] = []  # the datagrams that were read last
        self._next = 0  # the first of them that hasn't been handled
        self._at = 0  # the datagram that is being handled
        self._closed = False
        self._waiting = False  # for its turn, with reading paused
        self._turns = turns_of(loop)
        self._loop = loop
        # Caches: a front end sends many requests from one address, and its dialogs share a flow.
        # They are cleared when full, so that forged addresses can't fill the memory.
        self._sources: dict[bytes, Peer] = {}
        self._flows: dict[tuple[bytes, int, str], DatagramFlow] = {}
        self.failures = 0
        self.latency = Histogram()
        self.on_unreachable: Unreachable = nobody_minds
        loop.add_reader(sock.fileno(), self._on_readable)

    @property
    def transport(self) -> str:
        """`udp`."""
        return "udp"

    @property
    def unsent(self) -> int:
        """Responses that the kernel didn't accept."""
        return self._datagrams.unsent

    @property
    def overflows(self) -> int | None:
        """Datagrams that the kernel dropped from a full buffer; None if unknown."""
        return self._datagrams.overflows

    def serve(self, answer: Answerer, make_source: SourceMaker) -> None:
        """Use these functions from now on."""
        self._answer = answer
        self._make_source = make_source
        self._sources.clear()

    def flow(self, port: int) -> Flow:
        """The flow to a port at the peer of the datagram that is being handled."""
        datagrams, name = self._datagrams, self._datagrams.sender(self._at)
        host, control = datagrams.addressed(self._at)
        key = (name, port, host)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= _KNOWN_FLOWS:
                self._flows.clear()
            flow = DatagramFlow(
                datagrams,
                host,
                datagrams.port,
                host_and_port(name)[0],
                port,
                with_port(name, port),
                control,
            )
            self._flows[key] = flow
        return flow

    def useless(self) -> None:
        """Ignore it: there is no connection to close."""

    @property
    def socket(self) -> DatagramSocket:
        """Its socket; others may send on it."""
        return self._datagrams

    def close(self) -> None:
        """Handle datagrams that have come, then close the socket."""
        self._closed = True
        self._loop.remove_reader(self._datagrams.fileno())
        self.work(perf_counter() + _LAST, 0)
        self._datagrams.close()

    def _on_readable(self) -> None:
        waiting = self._turns.work(self)
        if self._datagrams.failed and not self._closed:
            self._hear_errors()
        if waiting:
            self._waiting = True
            self._loop.remove_reader(self._datagrams.fileno())

    def _hear_errors(self) -> None:
        unreachable = self._datagrams.unreachable()
        # libuv stops watching a descriptor after an error
        self._loop.remove_reader(self._datagrams.fileno())
        self._loop.add_reader(self._datagrams.fileno(), self._on_readable)
        if unreachable:
            try:
                self.on_unreachable(unreachable)
            except Exception:  # the next datagrams must still be read
                self.failures += 1
                log.exception("unreachable_not_told")

    def work(self, until: float, least: int) -> bool:
        """Handle datagrams until there are none or the time is up; whether there may be more.

        `least` is for connections: no response to a datagram depends on those behind it.
        """
        if self._closed and self._waiting:
            return False
        more = True
        while more:
            if self._next == len(self._batch):
                self._batch, self._next = self._datagrams.receive(), 0
            more = self._answer_batch(until)
            if perf_counter() >= until:
                break
        if not more and self._waiting:
            self._waiting = False
            self._loop.add_reader(self._datagrams.fileno(), self._on_readable)
        return more

    def _answer_batch(self, until: float) -> bool:
        """Handle datagrams that have been read until the time is up; whether there may be more."""
        datagrams, sources, batch = self._datagrams, self._sources, self._batch
        began = now = perf_counter()
        answers = 0
        datagrams.batching = True  # datagrams of flows are sent in the same batch
        for i in range(self._next, len(batch)):
            data, name, control = batch[i]
            self._at, self._next = i, i + 1
            try:
                source = sources.get(name) or self._source(name)
                answered = self._answer(data, source, self)
            except Exception:  # one datagram must not stop the others
                self.failures += 1
                log.exception("datagram_failed", peer=host_and_port(name)[0])
            else:
                if answered is not None:
                    answer, port = answered
                    to = name if port == source.port else with_port(name, port)
                    datagrams.add(answer, to, control)
                    answers += 1
            now = perf_counter()
            if now >= until:
                break
        datagrams.batching = False
        datagrams.flush()
        if answers:  # each took as long as the batch
            self.latency.observe(perf_counter() - began, answers)
        return self._next < len(batch) or len(batch) == BATCH

    def _source(self, name: bytes) -> Peer:
        """Make the peer of a raw address, and cache it."""
        host, port = host_and_port(name)
        source = self._make_source(host, port)
        if len(self._sources) >= _KNOWN_SOURCES:
            self._sources.clear()
        self._sources[name] = source
        return source


def nobody_minds(unreachable: set[tuple[str, int]]) -> None:
    """An `Unreachable` that ignores it."""
