"""A TCP or TLS listener: accepts connections, does the handshake, and keeps the open ones."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from functools import partial

from chatredirect.net.refusals import RefusalReason
from chatredirect.runtime.collector import forget_frames
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.admission import Admission
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import ConnectionGroup, ConnectionSettings
from chatredirect.transport.open_connections import GOODBYE, OpenConnections
from chatredirect.transport.peer_identity import NOBODY, Identity, Security, explain
from chatredirect.transport.raw_address import plain_host

BACKLOG = 4096
"""Connections that may wait to be accepted; also applied to a socket of systemd."""


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections, with TLS if there is `security`.

    Attributes:
        admission: the limits of all listeners together.
    """

    group: ConnectionGroup
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
        self._acceptor = Acceptor(sock, self._accept, self.group.loop, BACKLOG)

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()

    async def say_goodbye(self, patience: float = GOODBYE) -> int:
        """Close the connections that are open now, and go on accepting others.

        Peers have `patience` seconds, and so have handshakes, since a reset during one looks like a
        refusal. Returns how many connections were aborted.
        """
        beginning = tuple(self._beginning)
        late, _ = await asyncio.gather(
            self._connections.close(patience),
            asyncio.wait(beginning, timeout=patience) if beginning else asyncio.sleep(0),
        )
        return late

    async def close(self, patience: float = GOODBYE) -> int:
        """Close the listening socket and all connections; see `say_goodbye`."""
        self.stop_accepting()
        late = await self.say_goodbye(patience)
        for task in self._beginning:
            task.cancel()
        return late + await self._connections.close(patience)  # those of handshakes that have ended

    def serve(self, settings: ConnectionSettings, security: Security | None) -> None:
        """Use these settings from now on, for open connections as well.

        There is no new handshake, but a peer whose certificate isn't allowed by the new settings is
        disconnected.
        """
        check_peers = (self.security and self.security.profile) != (security and security.profile)
        self.group.settings = settings
        self.security = security
        for connection in self._connections:
            connection.apply_settings(check_peer=check_peers)

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
            limit = RefusalReason(f"limits.{refused}")
            self.group.report(
                "connection_refused", self.transport, host, port, why=f"{limit} is reached"
            )
            self.group.refuse(limit, self.transport, host, port)
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = StreamConnection(self, host, port)
        task = self.group.loop.create_task(self._begin(connection, sock))
        self._beginning.add(task)
        task.add_done_callback(partial(self._began, connection, sock))

    def _began(
        self, connection: StreamConnection, sock: socket.socket, task: asyncio.Task[None]
    ) -> None:
        """Clean up if there is no connection; the task may be cancelled before it starts."""
        self._beginning.discard(task)
        if not connection.begun:
            sock.close()
            self.admission.leave(connection.host)

    async def _begin(self, connection: StreamConnection, sock: socket.socket) -> None:
        """Begin the connection of an accepted socket, with a handshake if there is TLS."""
        security, group = self.security, self.group
        try:
            if security is None:
                await group.loop.connect_accepted_socket(lambda: connection, sock)
            else:
                timeouts = group.settings.timeouts
                await group.loop.connect_accepted_socket(
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
                group.closed["handshake"] += 1
                # load balancers only check whether the port is open
                level = "info" if isinstance(error, ConnectionResetError) else "warning"
                failed = explain(error)
                connection.report("tls_handshake_failed", level, why=failed.why)
                if failed.reason is not None:
                    host, port = connection.host, connection.port
                    group.refuse(failed.reason, self.transport, host, port, detail=failed.why)
            forget_frames(error)

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """Check the peer's certificate. Raises PeerRefused."""
        return NOBODY if self.security is None or tls is None else self.security.admit(tls)

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
