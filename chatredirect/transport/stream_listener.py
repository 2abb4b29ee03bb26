"""A stream listener: who is let in, through a handshake if there is one, and who is there."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from functools import partial

from chatredirect.sip.limits import Limits
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.admission import Admission
from chatredirect.transport.connection import GOODBYE, OpenConnections, StreamConnection
from chatredirect.transport.connection_settings import (
    Answerer,
    ConnectionSettings,
    SourceMaker,
    StreamLimits,
)
from chatredirect.transport.mmsg import plain_host
from chatredirect.transport.peer_identity import Identity, Security, explain

BACKLOG = 4096
"""Connections that may wait to be accepted. A socket of systemd's takes over what is said here."""


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections, with TLS or without.

    Attributes:
        settings: what its connections go by.
        admission: bounds on connections, of all listeners together.
        security: TLS, or None without it.
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
        """Connections that were refused for want of a file descriptor."""
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

        A handshake that is under way may end: a reset amid it looks like a refusal.

        Returns:
            How many had to be cut off.
        """
        late, _ = await asyncio.gather(self._connections.close(), self._await_handshakes(GOODBYE))
        return late

    async def close(self, patience: float = GOODBYE) -> int:
        """Close everything; answers that have been written still reach their peers.

        Args:
            patience: seconds that handshakes and peers have.

        Returns:
            How many connections had to be cut off.
        """
        self.stop_accepting()
        late, _ = await asyncio.gather(
            self._connections.close(patience), self._await_handshakes(patience)
        )
        for task in self._beginning:
            task.cancel()
        return late + await self._connections.close(patience)  # those that a handshake has led to

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
        """Give everything back if nothing came of it: a task may be cancelled before it starts."""
        self._beginning.discard(task)
        if not connection.begun:
            sock.close()
            self.admission.leave(host)

    async def _begin(
        self, connection: StreamConnection, sock: socket.socket, host: str, port: int
    ) -> None:
        """From an accepted socket to a connection, through a handshake if there is TLS."""
        security, timeouts, loop = self.security, self.settings.timeouts, self.settings.loop
        try:
            if security is None:
                await loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=security.context,
                    ssl_handshake_timeout=timeouts.handshake,
                    # for a peer that never answers our goodbye (close_notify, RFC 8446 §6.1)
                    ssl_shutdown_timeout=timeouts.write,
                )
        # TimeoutError and SSLError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError, asyncio.CancelledError) as error:
            if security is not None and not isinstance(error, asyncio.CancelledError):
                self.settings.ended("handshake")
                # who only looks whether the port is open, as load balancers do, did nothing wrong
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
        """Serve by other rules from now on, also those whose connections are open.

        A certificate isn't asked for again; but a peer that the new rules would not let in by the
        one that it has shown is let in no longer.
        """
        let_in_anew = (self.security and self.security.profile) != (security and security.profile)
        self.settings.change(answer, source, message_limits, timeouts)
        self.security = security
        for connection in self._connections:
            if not let_in_anew or connection.admit():
                connection.identify_peer()
                connection.restart_idle_timer()

    # -- what connections need ----------------------------------------------------------------

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """Who a peer's certificate says that it is. Raises Refused."""
        return Identity() if self.security is None or tls is None else self.security.admit(tls)

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """Where the peer has reached us."""
        return host, port

    def opened(self, connection: StreamConnection) -> None:
        """Remember an open connection."""
        self._connections.add(connection)

    def gone(self, connection: StreamConnection) -> None:
        """Forget a connection, and give its place back."""
        self._connections.discard(connection)
        self.admission.leave(connection.host)

    def _report(
        self, event: str, host: str, port: int, level: str = "warning", **fields: object
    ) -> None:
        self.settings.report(event, self.transport, host, port, level, **fields)
