"""A UDP listener: handles datagrams in batches, each at once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import ClassVar

import structlog

from chatredirect.runtime.histogram import Histogram
from chatredirect.runtime.turns import Turns, turns_of
from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.response import Peer
from chatredirect.transport.mmsg import BATCH, DatagramSocket
from chatredirect.transport.mmsg_ctypes import Datagram
from chatredirect.transport.peer_identity import TrustedPeers
from chatredirect.transport.raw_address import host_and_port, with_port
from chatredirect.transport.socket_flows import DatagramFlow

log = structlog.get_logger()

#: Handles a datagram from a peer, with the way back to the peer; returns the response and the port
#: that it is sent to, or None.
DatagramHandler = Callable[[bytes, Peer, ReturnPath], tuple[bytes, int] | None]
#: Called with the addresses and ports that datagrams can't be delivered to.
Unreachable = Callable[[set[tuple[str, int]]], None]


def ignore(unreachable: set[tuple[str, int]]) -> None:
    """The first `on_unreachable`."""


_LAST = 0.1  # seconds for datagrams that have come when a socket is closed
_KNOWN_PEERS = 4096
_KNOWN_FLOWS = 1024


@dataclass(slots=True, eq=False)
class UdpListener:
    """A UDP socket on an event loop, which handles datagrams as soon as the object is made.

    Attributes:
        on_unreachable: called with the destinations of datagrams that ICMP reports unreachable.
        failures: datagrams whose handler raised, which is logged.
        latency: seconds from reading datagrams to sending the responses.
    """

    transport: ClassVar[str] = "udp"

    socket: DatagramSocket
    _answer: DatagramHandler
    _trust: TrustedPeers
    _loop: asyncio.AbstractEventLoop
    on_unreachable: Unreachable = ignore
    failures: int = 0
    latency: Histogram = field(default_factory=Histogram)
    _batch: list[Datagram] = field(default_factory=list)  # what was read last
    _next: int = 0  # the first of them that hasn't been handled
    _at: int = 0  # the datagram that is being handled
    _closed: bool = False
    _waiting: bool = False  # for its turn, with reading paused
    # Caches: a front end sends many requests from one address, and its dialogs share a flow.
    # They are cleared when full, so that forged addresses can't fill the memory.
    _peers: dict[bytes, Peer] = field(default_factory=dict)
    _flows: dict[tuple[bytes, int, bytes], DatagramFlow] = field(default_factory=dict)
    _turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        """Read datagrams from now on."""
        self._turns = turns_of(self._loop)
        self._watch()

    def serve(self, answer: DatagramHandler, trust: TrustedPeers) -> None:
        """Use these from now on."""
        self._answer, self._trust = answer, trust
        self._peers.clear()

    def flow(self, port: int) -> Flow:
        """The flow to a port at the peer of the datagram that is being handled."""
        _, name, control = self._batch[self._at]
        key = (name, port, control if self.socket.wildcard else b"")
        flow = self._flows.get(key)
        if flow is None:
            host, control = self.socket.addressed(control)
            if len(self._flows) >= _KNOWN_FLOWS:
                self._flows.clear()
            peer_host, _ = host_and_port(name)
            own_port, to = self.socket.port, with_port(name, port)
            flow = DatagramFlow(self.socket, host, own_port, peer_host, port, to, control)
            self._flows[key] = flow
        return flow

    def useless(self) -> None:
        """Ignore it: there is no connection to close."""

    def close(self) -> None:
        """Handle datagrams that have come, then close the socket."""
        self._closed = True
        self._unwatch()
        self.work(perf_counter() + _LAST, 0)
        self.socket.close()

    def _watch(self) -> None:
        self._loop.add_reader(self.socket.fileno(), self._on_readable)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self.socket.fileno())

    def _on_readable(self) -> None:
        waiting = self._turns.work(self)
        if self.socket.failed and not self._closed:
            self._read_errors()
        if waiting:
            self._waiting = True
            self._unwatch()

    def _read_errors(self) -> None:
        unreachable = self.socket.unreachable()
        # libuv stops watching a descriptor after an error
        self._unwatch()
        self._watch()
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
                self._batch, self._next = self.socket.receive(), 0
            more = self._answer_batch(until)
            if perf_counter() >= until:
                break
        if not more and self._waiting:
            self._waiting = False
            self._watch()
        return more

    def _answer_batch(self, until: float) -> bool:
        """Handle datagrams that have been read until the time is up; whether there may be more."""
        datagrams, peers, batch = self.socket, self._peers, self._batch
        began = now = perf_counter()
        answers = 0
        datagrams.batching = True  # datagrams of flows are sent in the same batch
        for i in range(self._next, len(batch)):
            data, name, control = batch[i]
            self._at, self._next = i, i + 1
            try:
                peer = peers.get(name) or self._peer(name)
                answered = self._answer(data, peer, self)
            except Exception:  # one datagram must not stop the others
                self.failures += 1
                log.exception("datagram_failed", peer=host_and_port(name)[0])
            else:
                if answered is not None:
                    answer, port = answered
                    to = name if port == peer.port else with_port(name, port)
                    datagrams.put(answer, to, control)
                    answers += 1
            now = perf_counter()
            if now >= until:
                break
        datagrams.batching = False
        datagrams.flush()
        if answers:  # each took as long as the batch
            self.latency.observe(perf_counter() - began, answers)
        return self._next < len(batch) or len(batch) == BATCH

    def _peer(self, name: bytes) -> Peer:
        """Make the peer of a raw address, and cache it."""
        peer = self._trust.peer(*host_and_port(name))
        if len(self._peers) >= _KNOWN_PEERS:
            self._peers.clear()
        self._peers[name] = peer
        return peer
