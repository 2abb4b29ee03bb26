"""Sending UDP to any target: chooses the listener's socket and the source address.

Datagrams are sent from a listener's socket, so that responses come to the port in our Via, and from
the address that the kernel would choose, so that Via can name it. If no listener can reach the
target, a socket of our own is used.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chatredirect.net.addresses import ListenUrl
from chatredirect.transport.binding import BindError, bind
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.peer_identity import TrustedPeers
from chatredirect.transport.raw_address import raw_name
from chatredirect.transport.socket_flows import DatagramFlow
from chatredirect.transport.udp_listener import DatagramHandler, UdpListener, Unreachable, ignore

_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104  # anybody may answer
_KNOWN = 1024  # flows that are cached
_LASTING = 1.0  # seconds that a source address is taken for granted: addresses move


@dataclass(slots=True)
class UdpSender:
    """Makes flows over UDP. It opens sockets of our own when they are needed.

    Attributes:
        on_unreachable: called with the addresses and ports that datagrams can't be delivered to.
    """

    _loop: asyncio.AbstractEventLoop
    _listeners: Callable[[], Iterable[UdpListener]]
    _answer: DatagramHandler
    _trust: TrustedPeers
    _receive_buffer: int
    on_unreachable: Unreachable = ignore
    _own: dict[socket.AddressFamily, UdpListener] = field(default_factory=dict)
    _flows: dict[tuple[str, int], DatagramFlow] = field(default_factory=dict)
    _sources: dict[tuple[str, str, int], tuple[str | None, float]] = field(default_factory=dict)

    def serve(self, answer: DatagramHandler, trust: TrustedPeers) -> None:
        """Use these from now on; listeners may have come and gone."""
        self._answer, self._trust = answer, trust
        self._flows.clear()
        self._sources.clear()
        for own in self._own.values():
            own.serve(answer, trust)
        for listener in self._listeners():
            listener.on_unreachable = self._unreachable

    def close(self) -> None:
        """Close our own sockets."""
        self._flows.clear()
        self._sources.clear()
        for own in self._own.values():
            own.close()
        self._own.clear()

    def to(self, host: str, port: int) -> DatagramFlow | None:
        """The flow to an IP address (v4-mapped ones as IPv4); None if no socket can reach it."""
        flow = self._flows.get((host, port))
        if flow is None:
            flow = self._find(host, port)
            if flow is None:
                return None
            if len(self._flows) >= _KNOWN:
                self._flows.clear()
            self._flows[(host, port)] = flow
        return flow

    def between(self, own: tuple[str, int], peer: tuple[str, int]) -> DatagramFlow | None:
        """The flow from an address and port of ours to a peer; None if no socket has the port.

        The address may be another instance's, or have moved to another machine (VRRP). Then the
        flow is from the address that this machine would choose, at the same port.
        """
        sockets = (each.socket for each in (*self._listeners(), *self._own.values()))
        fitting = [sock for sock in sockets if sock.port == own[1] and _fits(sock, peer[0])]
        for sock in fitting:
            exact = sock.host == own[0] or sock.host in _ANY.values()
            if exact and self._lately(own[0], *peer) is not None:
                return _flow(sock, own[0], *peer)
        for sock in fitting:
            source = self._lately(sock.host, *peer)
            if source is not None:
                return _flow(sock, source, *peer)
        return None

    def _lately(self, bound: str, host: str, port: int) -> str | None:
        """What `_source` says, or said within the last second."""
        now, key = self._loop.time(), (bound, host, port)
        source, until = self._sources.get(key, (None, 0.0))
        if now >= until:
            source = _source(bound, host, port)
            if len(self._sources) >= _KNOWN:
                self._sources.clear()
            self._sources[key] = source, now + _LASTING
        return source

    def _find(self, host: str, port: int) -> DatagramFlow | None:
        natural = _source("", host, port)
        candidates = [each.socket for each in self._listeners() if _fits(each.socket, host)]
        candidates.sort(key=lambda sock: _rank(sock, natural))
        for sock in candidates:
            own = _source(sock.host, host, port)
            if own is not None:
                return _flow(sock, own, host, port)
        return None if natural is None else self._over_our_own(natural, host, port)

    def _over_our_own(self, own_host: str, host: str, port: int) -> DatagramFlow | None:
        family = _family(host)
        own = self._own.get(family)
        if own is None:
            url = ListenUrl("udp", _ANY[family], 0)
            try:
                sock = bind(url, only_ipv6=True, receive_buffer=self._receive_buffer)
            except BindError:
                return None
            own = UdpListener(DatagramSocket(sock), self._answer, self._trust, self._loop)
            own.on_unreachable = self._unreachable
            self._own[family] = own
        return _flow(own.socket, own_host, host, port)

    def _unreachable(self, unreachable: set[tuple[str, int]]) -> None:
        self.on_unreachable(unreachable)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _fits(sock: DatagramSocket, host: str) -> bool:
    """Whether a socket can send to an address; one bound to `::` can send to IPv4."""
    return sock.family == _family(host) or (sock.host == "::" and not sock.only_ipv6)


def _rank(sock: DatagramSocket, natural: str | None) -> int:
    """Prefer the listener on the address that the kernel would choose, then wildcards."""
    if sock.host == natural:
        return 0
    return 1 if sock.host in _ANY.values() else 2


def _source(bound: str, host: str, port: int) -> str | None:
    """The source address of datagrams from a socket bound to `bound`; None without a route."""
    with contextlib.suppress(OSError), socket.socket(_family(host), socket.SOCK_DGRAM) as trial:
        if bound and bound not in _ANY.values():
            trial.bind((bound, 0))
        trial.connect((host, port))  # sends nothing
        address: str = trial.getsockname()[0]
        return address
    return None


def _flow(sock: DatagramSocket, own: str, host: str, port: int) -> DatagramFlow:
    name = raw_name(sock.family, host, port)
    return DatagramFlow(sock, own, sock.port, host, port, name, sock.leaving_from(own))
