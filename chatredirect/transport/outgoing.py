"""Connections that we open: one to each target, shared by all requests to it.

`reach` returns the flow to a target if there is one, `dial` opens a connection. However many calls
of `dial` there are, there is one attempt at a time, with a pause after one that failed; so a dead
target costs two attempts a second. Messages on such a connection are handled like any others.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import structlog

from chatredirect.net.addresses import ListenUrl
from chatredirect.net.target import Target, TargetAddress
from chatredirect.runtime.collector import forget_frames
from chatredirect.runtime.slicing import Slicer
from chatredirect.runtime.wording import error_text
from chatredirect.sip.flow import Flow
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import ConnectionGroup, ConnectionSettings
from chatredirect.transport.open_connections import GOODBYE, OpenConnections
from chatredirect.transport.peer_identity import Identity, PeerRefused, Security, explain
from chatredirect.transport.socket_flows import FlowTable
from chatredirect.transport.udp_sender import UdpSender

log = structlog.get_logger()

#: Called with the flow to a target.
OnFlow: TypeAlias = Callable[[Flow], None]
#: Called with the reason why there is none, for people.
OnFailure: TypeAlias = Callable[[str], None]

_STOPPING = "the daemon stops"
_REST = 0.5  # seconds of pause after a failed attempt
_KNOWN_FAILURES = 1024
_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound
_STALLED = 10_000  # milliseconds in which a peer must acknowledge octets


@dataclass(frozen=True, slots=True)
class OutgoingLimits:
    """Limits on connections that we open.

    Attributes:
        connections: connections, open or being opened, to all targets together.
        connect: seconds for a TCP connection, without the TLS handshake.
        waiting: callbacks that wait for connections, all together.
    """

    connections: int = 1000
    connect: float = 4.0
    waiting: int = 20_000


@dataclass(slots=True)
class _Attempt:
    """A connection that is being opened, and the callbacks that wait for it."""

    task: asyncio.Task[None] | None = None
    waiting: list[tuple[OnFlow, OnFailure]] = field(default_factory=list)


@dataclass(slots=True)
class Outgoing:
    """The connections to targets, and UDP.

    Attributes:
        security: returns the current TLS context and rules.
        bound: returns the addresses that we listen on.
        opened: how many connections were opened.
        failed: how many couldn't be, by reason.
        waiting: how many callbacks wait for a connection.
    """

    group: ConnectionGroup
    limits: OutgoingLimits
    security: Callable[[], Security]
    udp_sender: UdpSender
    flow_table: FlowTable
    bound: Callable[[], Iterable[ListenUrl]] = tuple
    opened: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    _connections: OpenConnections = field(default_factory=OpenConnections)
    _by_target: dict[TargetAddress, "OutgoingConnection"] = field(default_factory=dict)
    _attempts: dict[TargetAddress, _Attempt] = field(default_factory=dict)
    #: Until when no connection to a target is opened, and why.
    _resting: dict[TargetAddress, tuple[float, str]] = field(default_factory=dict)
    _closed: bool = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def reach(self, target: Target) -> Flow | None:
        """The flow to a target if there is one; a UDP flow is made."""
        if target.transport == "udp":
            return self.udp_sender.to(target.address, target.port)
        outgoing = self._by_target.get(target.key)
        if outgoing is None:
            return None
        flow = outgoing.connection.flow()
        return flow if flow.open else None

    def dial(self, target: Target, on_flow: OnFlow, on_failure: OnFailure) -> None:
        """Open a connection to a target; one callback is called after this has returned."""
        loop = self.group.loop
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
        self.waiting += 1

    def serve(self, settings: ConnectionSettings, limits: OutgoingLimits) -> None:
        """Use these settings from now on, for open connections as well."""
        self.group.settings, self.limits = settings, limits
        for connection in self._connections:
            connection.apply_settings(check_peer=False)

    async def aclose(self) -> None:
        """Cancel attempts and close connections; no others are opened."""
        self._closed = True
        tasks = [each.task for each in self._attempts.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(
            asyncio.wait(tasks, timeout=GOODBYE) if tasks else asyncio.sleep(0),
            self._connections.close(),
        )
        self.udp_sender.close()

    def gone(self, outgoing: "OutgoingConnection") -> None:
        """Forget a connection that is closed."""
        self._connections.discard(outgoing.connection)
        if self._by_target.get(outgoing.target.key) is outgoing:
            del self._by_target[outgoing.target.key]

    # -- an attempt ---------------------------------------------------------------------------

    def _refusal(self, target: Target, attempt: _Attempt | None) -> str | None:
        """Why there is no attempt, or why no more callbacks may wait for it."""
        if self._closed:
            return _STOPPING
        if target.transport == "udp":
            return self._count("no_route", "no socket of ours gets there")
        if self.waiting >= self.limits.waiting:
            return self._count("waiting", "too many wait for connections")
        if attempt is not None:
            return None
        until, why = self._resting.get(target.key, (0.0, ""))
        if self.group.loop.time() < until:
            return self._count("resting", why)
        if len(self._connections) + len(self._attempts) >= self.limits.connections:
            return self._count("connections", "too many connections to targets")
        return None

    def _count(self, kind: str, why: str) -> str:
        self.failed[kind] += 1
        return why

    async def _open(self, target: Target, attempt: _Attempt) -> None:
        flow: Flow | None = None
        why = _STOPPING
        try:
            flow, why = await self._connect(target)
        except Exception:  # the callbacks must be called all the same
            self.group.failures += 1
            why = "a fault of ours"
            log.exception("dialling_failed", target=str(target))
        finally:
            del self._attempts[target.key]
            if flow is None:
                self._rest(target.key, why)
            await self._call_waiting(attempt, flow, why)

    async def _call_waiting(self, attempt: _Attempt, flow: Flow | None, why: str) -> None:
        """Call the callbacks that wait, in slices, since there may be thousands."""
        slicer = Slicer()
        for on_flow, on_failure in attempt.waiting:
            self.waiting -= 1
            self._call(partial(on_failure, why) if flow is None else partial(on_flow, flow))
            await slicer.checkpoint()

    async def _connect(self, target: Target) -> tuple[Flow | None, str]:
        """Open a connection; None and the reason if that fails."""
        security = self.security() if target.transport == "tls" else None
        outgoing = OutgoingConnection(self, target, security)
        timeouts, loop = self.group.settings.timeouts, self.group.loop
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
                    ssl_handshake_timeout=timeouts.handshake_timeout,
                    ssl_shutdown_timeout=timeouts.write_timeout,
                )
        # SSLError and TimeoutError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError) as error:
            kind, why = self._failure(target, error, connected=sock is not None)
            outgoing.connection.report("target_unreachable", why=why)
            forget_frames(error)
            return None, self._count(kind, why)
        finally:
            if sock is not None and not outgoing.connection.begun:
                sock.close()
        if outgoing.refusal is not None:
            return None, self._count("refused_certificate", outgoing.refusal)  # already logged
        flow = outgoing.connection.flow()
        if not flow.open:
            return None, self._count("closed", "it closed the connection at once")
        self._connections.add(outgoing.connection)
        self._by_target[target.key] = outgoing
        self.flow_table.name(flow)
        self.opened += 1
        log.info("connected", target=str(target), host=target.host)
        return flow, ""

    async def _tcp(self, target: Target) -> socket.socket:
        """Open a TCP connection. Raises OSError."""
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # this detects a peer's machine that is gone without closing the connection
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED)
            async with asyncio.timeout(self.limits.connect):
                await self.group.loop.sock_connect(sock, (target.address, target.port))
        except BaseException:  # also if cancelled
            sock.close()
            raise
        return sock

    def _failure(
        self, target: Target, error: OSError | ValueError, *, connected: bool
    ) -> tuple[str, str]:
        """Why a connection could not be opened: for the counter, and for people."""
        if connected or not isinstance(error, OSError):
            failed = explain(error)
            if failed.reason is not None:
                address, port = target.address, target.port
                detail = f"{target}: {failed.why}"
                self.group.refuse(failed.reason, target.transport, address, port, detail=detail)
            return "handshake", failed.why
        if isinstance(error, TimeoutError):
            return "timeout", f"no connection within {self.limits.connect:g} s"
        return "refused", error_text(error)

    def _rest(self, key: TargetAddress, why: str) -> None:
        now = self.group.loop.time()
        if len(self._resting) >= _KNOWN_FAILURES:
            self._resting = {key: value for key, value in self._resting.items() if value[0] > now}
        if len(self._resting) < _KNOWN_FAILURES:
            self._resting[key] = (now + _REST, why)

    def _call(self, then: Callable[[], None]) -> None:
        try:
            then()
        except Exception:  # the other callbacks must be called
            self.group.failures += 1
            log.exception("flow_not_taken")


@dataclass(slots=True, eq=False)
class OutgoingConnection:
    """The owner of one connection to a target, from the attempt to its end.

    Attributes:
        connection: it may not have begun.
        refusal: why the peer's certificate was refused, if it was.
    """

    outgoing: Outgoing
    target: Target
    security: Security | None
    connection: StreamConnection = field(init=False)
    refusal: str | None = None

    def __post_init__(self) -> None:
        """Prepare the connection."""
        self.connection = StreamConnection(self, self.target.address, self.target.port, ours=True)

    @property
    def group(self) -> ConnectionGroup:
        """That of all outgoing connections."""
        return self.outgoing.group

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return self.target.transport

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """Check the server's certificate. Raises PeerRefused."""
        if self.security is None or tls is None:
            return Identity(verified=True)
        try:
            return self.security.check_server(tls, self.target.domain, self.target.host)
        except PeerRefused as refused:
            self.refusal = str(refused)
            raise

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """The address and port for our Via on a connection that we open (RFC 3261 §18.1.1).

        It is a listener of the transport on the connection's own address, else any of its family,
        else the connection's own end.
        """
        is_ipv6 = ":" in host
        elsewhere: tuple[str, int] | None = None
        for url in self.outgoing.bound():
            if url.transport != self.transport:
                continue
            if url.host == host or (url.host in _ANY and is_ipv6 == (url.host == "::")):
                return host, url.port
            if elsewhere is None and url.host == "::":  # which takes IPv4 as well
                elsewhere = host, url.port
            elif elsewhere is None and url.host not in _ANY and is_ipv6 == (":" in url.host):
                elsewhere = url.host, url.port
        return elsewhere or (host, port)

    def opened(self, connection: StreamConnection) -> None:
        """Do nothing: `Outgoing` waits for it."""

    def gone(self, connection: StreamConnection) -> None:
        """Report that it is closed."""
        self.outgoing.gone(self)
