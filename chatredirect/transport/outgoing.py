"""Connections that we open: one to each target, shared by all requests to it.

`reach` returns the flow to a target if there is one, `dial` opens a connection. However many calls
of `dial` there are, there is one attempt at a time, with a pause after one that failed; so a dead
target costs two attempts a second. Messages on such a connection are handled like any others.
"""

import asyncio
import socket
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
from chatredirect.transport.connection_settings import ConnectionSettings
from chatredirect.transport.flow_table import FlowTable
from chatredirect.transport.open_connections import GOODBYE, OpenConnections
from chatredirect.transport.outgoing_connection import OutgoingConnection, reachable_at
from chatredirect.transport.peer_identity import Security, explain
from chatredirect.transport.udp_sender import UdpSender

log = structlog.get_logger()

#: Called with the flow to a target.
OnFlow: TypeAlias = Callable[[Flow], None]
#: Called with the reason why there is none, for people.
OnFailure: TypeAlias = Callable[[str], None]

_STOPPING = "the daemon stops"
_REST = 0.5  # seconds of pause after a failed attempt
_KNOWN_FAILURES = 1024
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

    waiting: list[tuple[OnFlow, OnFailure]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Outgoing:
    """The connections to targets, and UDP.

    Attributes:
        settings: the settings of the connections.
        limits: limits on their number.
        udp_sender: makes the UDP flows.
        opened: how many connections were opened.
        failed: how many couldn't be, by reason.
    """

    __slots__ = (
        "_attempts", "_by_target", "_closed", "_connections", "_flow_table", "_resting",
        "_security", "_waiting", "bound", "failed", "limits", "opened", "settings", "udp_sender",
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
            settings: the settings of the connections.
            limits: limits on their number.
            security: returns the current TLS context and rules.
            udp_sender: makes UDP flows.
            flow_table: gives every connection a name.
            bound: returns the addresses that we listen on.
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
        """How many connections are open."""
        return len(self._connections)

    @property
    def waiting(self) -> int:
        """How many callbacks wait for a connection."""
        return self._waiting

    def reach(self, target: Target) -> Flow | None:
        """The flow to a target if there is one; a UDP flow is made."""
        if target.transport == "udp":
            return self.udp_sender.to(target.address, target.port)
        outgoing = self._by_target.get(target.key)
        if outgoing is None:
            return None
        flow = outgoing.flow
        return flow if flow.open else None

    def dial(self, target: Target, on_flow: OnFlow, on_failure: OnFailure) -> None:
        """Open a connection to a target; one callback is called after this has returned.

        Args:
            target: the target.
            on_flow: called with the flow.
            on_failure: called with the reason why there is none.
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
        """Determine who all peers are, by the current settings."""
        for connection in self._connections:
            connection.identify_peer()
            connection.restart_idle_timer()

    async def aclose(self) -> None:
        """Cancel attempts and close connections; nothing is opened any more."""
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
        """Why there is no attempt, or why no more callbacks may wait for it."""
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
        except Exception:  # the callbacks must be called all the same
            self.settings.failures += 1
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
            self._waiting -= 1
            self._call(partial(on_failure, why) if flow is None else partial(on_flow, flow))
            await slicer.checkpoint()

    async def _connect(self, target: Target) -> tuple[Flow | None, str]:
        """Open a connection; None and the reason if that fails."""
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
                    ssl_handshake_timeout=timeouts.handshake_timeout,
                    ssl_shutdown_timeout=timeouts.write_timeout,
                )
        # SSLError and TimeoutError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError) as error:
            return None, self._failure(target, error, connected=sock is not None)
        finally:
            if sock is not None and not outgoing.connection.begun:
                sock.close()
        if outgoing.refusal is not None:
            return None, self._count("refused_certificate", outgoing.refusal)  # already logged
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
        """Open a TCP connection. Raises OSError."""
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # this detects a peer's machine that is gone without closing the connection
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED)
            async with asyncio.timeout(self.limits.connect):
                await self.settings.loop.sock_connect(sock, (target.address, target.port))
        except BaseException:  # also if cancelled
            sock.close()
            raise
        return sock

    def _failure(self, target: Target, error: OSError | ValueError, *, connected: bool) -> str:
        """Count and log why a connection could not be opened; returns the reason."""
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
        except Exception:  # the other callbacks must be called
            self.settings.failures += 1
            log.exception("flow_not_taken")
