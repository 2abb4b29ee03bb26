"""Connections that we open: one to each target, shared by everybody who sends there.

Who wants to send asks for a way that is there already (`reach`), and if there is none, for one to
be made (`dial`). However many ask at once, there is one attempt, and after one that has failed a
moment's rest, so a dead target costs a few attempts a second whatever comes in for it.
What arrives on such a connection is answered like what arrives on any other.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import structlog

from chatredirect.net.addresses import ListenUrl
from chatredirect.net.target import Target, TargetAddress
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.wording import error_text
from chatredirect.sip.flow import Flow
from chatredirect.transport.connection import GOODBYE, OpenConnections, StreamConnection
from chatredirect.transport.connection_settings import ConnectionSettings
from chatredirect.transport.flow_table import FlowTable
from chatredirect.transport.peer_identity import Identity, PeerRefused, Security, explain
from chatredirect.transport.socket_flows import StreamFlow
from chatredirect.transport.udp_sender import UdpSender

#: Gives the address and port where a peer can open connections to us, of a transport and our own
#: address and port on a connection.
ReachableAt = Callable[[str, str, int], tuple[str, int]]


class OutgoingConnection:
    """One connection to a target, from the attempt to its end.

    Attributes:
        target: whom it is for.
        settings: what it goes by.
        connection: it; nothing happens on it before it has begun.
        refusal: why the peer isn't the one that was meant; None if he is.
    """

    __slots__ = (
        "_over",
        "_reachable_at",
        "_security",
        "connection",
        "refusal",
        "settings",
        "target",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        settings: ConnectionSettings,
        security: Security | None,
        reachable_at: ReachableAt,
        over: Callable[["OutgoingConnection"], None],
    ) -> None:
        """Prepare a connection.

        Args:
            target: whom it is for.
            settings: what it goes by.
            security: TLS, None without it.
            reachable_at: see there.
            over: is told when it has begun and is over.
        """
        self.target = target
        self.settings = settings
        self.refusal: str | None = None
        self._security = security
        self._reachable_at = reachable_at
        self._over = over
        self.connection = StreamConnection(self, target.address, target.port, ours=True)

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return self.target.transport

    @property
    def flow(self) -> StreamFlow:
        """What is sent over it goes this way."""
        return self.connection.flow()

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """It is the one that we have chosen. Raises Refused."""
        if self._security is not None and tls is not None:
            try:
                return self._security.check_server(tls, self.target.domain, self.target.host)
            except PeerRefused as refused:
                self.refusal = str(refused)
                raise
        return Identity(verified=True)

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """Where the peer can open a connection to us, if anywhere."""
        return self._reachable_at(self.transport, host, port)

    def opened(self, connection: StreamConnection) -> None:
        """Nobody else needs to know yet: whoever opens it waits for that."""

    def gone(self, connection: StreamConnection) -> None:
        """Tell that it is over."""
        self._over(self)


_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def reachable_at(
    bound: Callable[[], Iterable[ListenUrl]], transport: str, host: str, port: int
) -> tuple[str, int]:
    """The address and port for our Via on a connection that we have opened (RFC 3261 §18.1.1).

    A listener of the transport on the connection's own address, else any other of its family; the
    connection's own end where there is none.

    Args:
        bound: gives the addresses that we listen on.
        transport: the connection's.
        host: our own address on it.
        port: our own port on it.
    """
    is_ipv6 = ":" in host
    elsewhere: tuple[str, int] | None = None
    for url in bound():
        if url.transport != transport:
            continue
        if url.host == host or (url.host in _ANY and is_ipv6 == (url.host == "::")):
            return host, url.port
        if elsewhere is None and url.host == "::":  # which takes IPv4 as well
            elsewhere = host, url.port
        elif elsewhere is None and url.host not in _ANY and is_ipv6 == (":" in url.host):
            elsewhere = url.host, url.port
    return elsewhere or (host, port)


log = structlog.get_logger()

#: Takes the way to a target, once there is one.
OnFlow: TypeAlias = Callable[[Flow], None]
#: Takes why there is none, in words.
OnFailure: TypeAlias = Callable[[str], None]

_STOPPING = "the daemon stops"
_REST = 0.5  # seconds after a failed attempt in which no other is made
_KNOWN_FAILURES = 1024
_STALLED = 10_000  # milliseconds for which a peer's machine may be silent about what it was sent


@dataclass(frozen=True, slots=True)
class OutgoingLimits:
    """Bounds on what we open.

    Attributes:
        connections: open or being opened, to all targets together.
        connect: seconds for a TCP connection; a TLS handshake has its own.
        waiting: who wait for connections that are being opened, all together.
    """

    connections: int = 1000
    connect: float = 4.0
    waiting: int = 20_000


@dataclass(slots=True)
class _Attempt:
    """A connection that is being opened, and who waits for it."""

    waiting: list[tuple[OnFlow, OnFailure]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Outgoing:
    """The udp_sender to targets.

    Attributes:
        settings: what the connections go by.
        limits: bounds.
        udp_sender: the udp_sender over UDP.
        opened: connections that could be opened.
        failed: those that could not, by reason.
    """

    __slots__ = (
        "_attempts",
        "_by_target",
        "_closed",
        "_connections",
        "_flow_table",
        "_resting",
        "_security",
        "_waiting",
        "bound",
        "failed",
        "limits",
        "opened",
        "settings",
        "udp_sender",
    )  # fmt: skip

    def __init__(
        self,
        settings: ConnectionSettings,
        limits: OutgoingLimits,
        security: Callable[[], Security],
        udp_sender: UdpSender,
        flow_table: FlowTable,
        bound: Callable[[], Iterable[ListenUrl]] = tuple,
    ) -> None:
        """Open nothing yet.

        Args:
            settings: what the connections go by.
            limits: bounds.
            security: gives what TLS connections begin with now; it may be renewed meanwhile.
            udp_sender: the udp_sender over UDP.
            flow_table: gets the name of every connection, and tells when it is gone.
            bound: gives the addresses that we listen on.
        """
        self.settings = settings
        self.limits = limits
        self.udp_sender = udp_sender
        self.bound = bound
        self.opened = 0
        self.failed: dict[str, int] = {}
        self._security = security
        self._flow_table = flow_table
        self._connections = OpenConnections()
        self._by_target: dict[TargetAddress, OutgoingConnection] = {}
        self._attempts: dict[TargetAddress, _Attempt] = {}
        self._resting: dict[TargetAddress, tuple[float, str]] = {}  # until when, and why
        self._waiting = 0
        self._closed = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._waiting

    def reach(self, target: Target) -> Flow | None:
        """The way to a target, if there is one already; over UDP there is, if there ever is."""
        if target.transport == "udp":
            return self.udp_sender.to(target.address, target.port)
        outgoing = self._by_target.get(target.key)
        if outgoing is None:
            return None
        flow = outgoing.flow
        return flow if flow.open else None

    def dial(self, target: Target, on_flow: OnFlow, on_failure: OnFailure) -> None:
        """Make a way to a target. One of the two is called, never before this has returned.

        Args:
            target: to whom.
            on_flow: gets the way.
            on_failure: gets the reason why there is none.
        """
        loop = self.settings.loop
        flow = self.reach(target)
        if flow is not None:
            loop.call_soon(self._call, partial(on_flow, flow))
            return
        attempt = self._attempts.get(target.key)
        why = self._refusal(target, attempt)
        if why is not None:
            loop.call_soon(self._call, partial(on_failure, why))
            return
        if attempt is None:
            attempt = self._attempts[target.key] = _Attempt()
            attempt.task = loop.create_task(self._open(target, attempt))
        attempt.waiting.append((on_flow, on_failure))
        self._waiting += 1

    def identify_peers(self) -> None:
        """Ask about all peers by the settings that hold now."""
        for connection in self._connections:
            connection.identify_peer()
            connection.restart_idle_timer()

    async def aclose(self) -> None:
        """Give up what is being opened, and close what is open; nothing is opened any more."""
        self._closed = True
        tasks = [each.task for each in self._attempts.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(
            asyncio.wait(tasks, timeout=GOODBYE) if tasks else asyncio.sleep(0),
            self._connections.close(),
        )
        self.udp_sender.close()

    # -- an attempt ---------------------------------------------------------------------------

    def _refusal(self, target: Target, attempt: _Attempt | None) -> str | None:
        """Why no attempt is made, or why nobody else may wait for the one that is."""
        if self._closed:
            return _STOPPING
        if target.transport == "udp":
            return self._count("no_route", "no socket of ours gets there")
        if self._waiting >= self.limits.waiting:
            return self._count("waiting", "too many wait for connections")
        if attempt is not None:
            return None
        until, why = self._resting.get(target.key, (0.0, ""))
        if self.settings.loop.time() < until:
            return self._count("resting", why)
        if len(self._connections) + len(self._attempts) >= self.limits.connections:
            return self._count("connections", "too many connections to targets")
        return None

    def _count(self, kind: str, why: str) -> str:
        self.failed[kind] = self.failed.get(kind, 0) + 1
        return why

    async def _open(self, target: Target, attempt: _Attempt) -> None:
        flow: Flow | None = None
        why = _STOPPING
        try:
            flow, why = await self._connect(target)
        except Exception:  # a fault of ours: who wait for it must hear of it all the same
            self.settings.failures += 1
            why = "a fault of ours"
            log.exception("dialling_failed", target=str(target))
        finally:
            del self._attempts[target.key]
            if flow is None:
                self._rest(target.key, why)
            await self._call_waiting(attempt, flow, why)

    async def _call_waiting(self, attempt: _Attempt, flow: Flow | None, why: str) -> None:
        """Tell who waits what came of it. There may be thousands: others want their turns too."""
        slicer = Slicer()
        for on_flow, on_failure in attempt.waiting:
            self._waiting -= 1
            self._call(partial(on_failure, why) if flow is None else partial(on_flow, flow))
            await slicer.checkpoint()

    async def _connect(self, target: Target) -> tuple[Flow | None, str]:
        """A new connection; None and why, if there is none."""
        security = self._security() if target.transport == "tls" else None
        outgoing = OutgoingConnection(
            target, self.settings, security, partial(reachable_at, self.bound), self._over
        )
        timeouts, loop = self.settings.timeouts, self.settings.loop
        sock = None
        try:
            sock = await self._tcp(target)
            if security is None:
                await loop.create_connection(lambda: outgoing.connection, sock=sock)
            else:
                await loop.create_connection(
                    lambda: outgoing.connection,
                    sock=sock,
                    ssl=security.context,
                    server_hostname=target.domain or target.host,
                    ssl_handshake_timeout=timeouts.handshake,
                    ssl_shutdown_timeout=timeouts.write,
                )
        # SSLError and TimeoutError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError) as error:
            return None, self._failure(target, error, connected=sock is not None)
        finally:
            if sock is not None and not outgoing.connection.begun:
                sock.close()
        if outgoing.refusal is not None:
            return None, self._count("refused_certificate", outgoing.refusal)  # which has been told
        flow = outgoing.flow
        if not flow.open:
            return None, self._count("closed", "it closed the connection at once")
        self._connections.add(outgoing.connection)
        self._by_target[target.key] = outgoing
        self._flow_table.name(flow)
        self.opened += 1
        log.info("connected", target=str(target), host=target.host)
        return flow, ""

    async def _tcp(self, target: Target) -> socket.socket:
        """A TCP connection. Raises OSError."""
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # a machine that is gone without a word is noticed by what it doesn't acknowledge
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED)
            async with asyncio.timeout(self.limits.connect):
                await self.settings.loop.sock_connect(sock, (target.address, target.port))
        except BaseException:  # cancelled or failed: nobody else would close it
            sock.close()
            raise
        return sock

    def _failure(self, target: Target, error: OSError | ValueError, *, connected: bool) -> str:
        """Count and tell why a connection could not be opened; gives the reason in words."""
        if connected or not isinstance(error, OSError):
            kind, why = "handshake", explain(error)
        elif isinstance(error, TimeoutError):
            kind, why = "timeout", f"no connection within {self.limits.connect:g} s"
        else:
            kind, why = "refused", error_text(error)
        self.settings.report(
            "target_unreachable", target.transport, target.address, target.port, why=why
        )
        return self._count(kind, why)

    def _rest(self, key: TargetAddress, why: str) -> None:
        now = self.settings.loop.time()
        if len(self._resting) >= _KNOWN_FAILURES:
            self._resting = {key: value for key, value in self._resting.items() if value[0] > now}
        if len(self._resting) < _KNOWN_FAILURES:
            self._resting[key] = (now + _REST, why)

    # -- afterwards ---------------------------------------------------------------------------

    def _over(self, outgoing: OutgoingConnection) -> None:
        self._connections.discard(outgoing.connection)
        key = outgoing.target.key
        if self._by_target.get(key) is outgoing:
            del self._by_target[key]

    def _call(self, then: Callable[[], None]) -> None:
        try:
            then()
        except Exception:  # one who waited must not keep the others from hearing of it
            self.settings.failures += 1
            log.exception("flow_not_taken")
