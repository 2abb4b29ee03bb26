"""A TCP or TLS listener: accepts connections, does the handshake, and keeps the open ones."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from functools import partial

from chatredirect.sip.limits import Limits
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.admission import Admission
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import (
    Answerer,
    ConnectionSettings,
    SourceMaker,
    StreamLimits,
)
from chatredirect.transport.open_connections import GOODBYE, OpenConnections
from chatredirect.transport.peer_identity import Identity, Security, explain
from chatredirect.transport.raw_address import plain_host

BACKLOG = 4096
"""Connections that may wait to be accepted; also applied to a socket of systemd."""


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections, with or without TLS.

    Attributes:
        settings: the settings of its connections.
        admission: the limits of all listeners together.
        security: TLS; None without it.
    """

    settings: ConnectionSettings
    admission: Admission
    security: Security | None = None
    _acceptor: Acceptor | None = None
    _connections: OpenConnections = field(default_factory=OpenConnections)
    _beginning: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return "tcp" if self.security is None else "tls"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def exhausted(self) -> int:
        """Connections that were refused without a file descriptor."""
        return 0 if self._acceptor is None else self._acceptor.exhausted

    def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._acceptor = Acceptor(sock, self._accept, self.settings.loop, BACKLOG)

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()

    async def say_goodbye(self) -> int:
        """Close the connections that are open now, and go on accepting others.

        Handshakes may end, since a reset during one looks like a refusal.

        Returns:
            How many were aborted.
        """
        late, _ = await asyncio.gather(self._connections.close(), self._await_handshakes(GOODBYE))
        return late

    async def close(self, patience: float = GOODBYE) -> int:
        """Close everything, after responses that were written have been sent.

        Args:
            patience: seconds that handshakes and peers have.

        Returns:
            How many connections were aborted.
        """
        self.stop_accepting()
        late, _ = await asyncio.gather(
            self._connections.close(patience), self._await_handshakes(patience)
        )
        for task in self._beginning:
            task.cancel()
        return late + await self._connections.close(patience)  # those of handshakes that have ended

    async def _await_handshakes(self, patience: float) -> None:
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=patience)

    # -- beginning ----------------------------------------------------------------------------

    def _accept(self, sock: socket.socket, address: tuple[str | int, ...]) -> None:
        host, port = plain_host(str(address[0])), int(address[1])
        refused = self.admission.enter(host)
        if refused is None and self.security is not None:
            refused = self.admission.handshake(host)
            if refused is not None:
                self.admission.leave(host)
        if refused is not None:
            sock.close()
            self._report("connection_refused", host, port, why=f"limits.{refused} is reached")
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = StreamConnection(self, host, port)
        task = self.settings.loop.create_task(self._begin(connection, sock, host, port))
        self._beginning.add(task)
        task.add_done_callback(partial(self._began, connection, sock, host))

    def _began(
        self,
        connection: StreamConnection,
        sock: socket.socket,
        host: str,
        task: asyncio.Task[None],
    ) -> None:
        """Clean up if there is no connection; the task may be cancelled before it starts."""
        self._beginning.discard(task)
        if not connection.begun:
            sock.close()
            self.admission.leave(host)

    async def _begin(
        self, connection: StreamConnection, sock: socket.socket, host: str, port: int
    ) -> None:
        """Begin the connection of an accepted socket, with a handshake if there is TLS."""
        security, timeouts, loop = self.security, self.settings.timeouts, self.settings.loop
        try:
            if security is None:
                await loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=security.context,
                    ssl_handshake_timeout=timeouts.handshake_timeout,
                    # for a peer that never answers close_notify (RFC 8446 §6.1)
                    ssl_shutdown_timeout=timeouts.write_timeout,
                )
        # TimeoutError and SSLError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError, asyncio.CancelledError) as error:
            if security is not None and not isinstance(error, asyncio.CancelledError):
                self.settings.ended("handshake")
                # load balancers only check whether the port is open
                level = "info" if isinstance(error, ConnectionResetError) else "warning"
                self._report("tls_handshake_failed", host, port, level, why=explain(error))

    def serve(
        self,
        answer: Answerer,
        source: SourceMaker,
        message_limits: Limits,
        timeouts: StreamLimits,
        security: Security | None,
    ) -> None:
        """Use these settings from now on, for open connections as well.

        There is no new handshake, but a peer whose certificate isn't allowed by the new settings is
        disconnected.
        """
        check_peers = (self.security and self.security.profile) != (security and security.profile)
        self.settings.change(answer, source, message_limits, timeouts)
        self.security = security
        for connection in self._connections:
            if not check_peers or connection.admit():
                connection.identify_peer()
                connection.restart_idle_timer()

    # -- called by connections ----------------------------------------------------------------

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """Check the peer's certificate. Raises PeerRefused."""
        return Identity() if self.security is None or tls is None else self.security.admit(tls)

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """The address that the peer has used."""
        return host, port

    def opened(self, connection: StreamConnection) -> None:
        """Add an open connection."""
        self._connections.add(connection)

    def gone(self, connection: StreamConnection) -> None:
        """Remove a connection."""
        self._connections.discard(connection)
        self.admission.leave(connection.host)

    def _report(
        self, event: str, host: str, port: int, level: str = "warning", **fields: object
    ) -> None:
        self.settings.report(event, self.transport, host, port, level, **fields)
