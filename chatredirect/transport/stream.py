"""A stream listener: who is let in, through a handshake if there is one, and who is there."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from chatredirect.log import RateLimited
from chatredirect.sip.flow import Reach, peer_text
from chatredirect.sip.framing import Event
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import Source
from chatredirect.transport.acceptor import Acceptor
from chatredirect.transport.admission import Admission
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.datagrams import plain_host
from chatredirect.transport.secure import Security, explain

log = structlog.get_logger()

#: Takes a framed event, where it came from, on what, and a way to get back there later; gives the
#: answer or None.
Answerer = Callable[[Event, Source, str, Reach], bytes | None]
#: Makes a source of an address, a port, and whether a certificate has proved who it is.
SourceMaker = Callable[[str, int, bool], Source]

_BACKLOG = 1024
_QUIET = 60.0  # seconds between two log lines about one peer


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """How long a peer may take, in seconds.

    Attributes:
        idle: without a message before a connection is closed.
        message: from a message's first octet to its last.
        write: that answers may wait for the peer to read.
        handshake: for a TLS handshake.
        keepalive: of silence, after which we send a keep-alive of our own; None for never.
    """

    idle: float
    message: float
    write: float
    handshake: float
    keepalive: float | None = None


@dataclass(slots=True)
class StreamListener:
    """A TCP socket that accepts connections, with TLS or without.

    Attributes:
        answer: answers an event.
        source: makes a source of what is known of a peer.
        message_limits: bounds on a message; connections that are open keep theirs.
        timeouts: how long a peer may take.
        admission: bounds on connections, of all listeners together.
        loop: where it runs.
        security: TLS, or None without it.
        closed: connections that we ended, by reason.
        failures: events whose handling raised; a fault of ours, and the log has it.
    """

    answer: Answerer
    source: SourceMaker
    message_limits: Limits
    timeouts: StreamTimeouts
    admission: Admission
    loop: asyncio.AbstractEventLoop
    security: Security | None = None
    failures: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    _acceptor: Acceptor | None = None
    _connections: set[StreamConnection] = field(default_factory=set)
    _beginning: set[asyncio.Task[None]] = field(default_factory=set)
    _all_gone: asyncio.Future[None] | None = None
    _limited: RateLimited | None = None

    @property
    def transport(self) -> str:
        """`tcp` or `tls`."""
        return "tcp" if self.security is None else "tls"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._limited = RateLimited(_QUIET, self.loop.time)
        self._acceptor = Acceptor(sock, self._accept, self.loop, _BACKLOG)

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()

    async def close(self) -> None:
        """Close everything; answers that have been written still reach their peers."""
        self.stop_accepting()
        for task in self._beginning:
            task.cancel()
        for connection in list(self._connections):
            connection.close("shutdown")
        if self._connections:
            self._all_gone = self.loop.create_future()
            await asyncio.wait((self._all_gone,), timeout=self.timeouts.write)
        for connection in list(self._connections):
            connection.abort("shutdown")

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
            self.tell("connection_refused", host, port, why=f"limits.{refused} is reached")
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = StreamConnection(self, host, port)
        task = self.loop.create_task(self._begin(connection, sock, host, port))
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
        security = self.security
        try:
            if security is None:
                await self.loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self.loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=security.context,
                    ssl_handshake_timeout=self.timeouts.handshake,
                    # for a peer that never answers our goodbye (close_notify, RFC 8446 §6.1)
                    ssl_shutdown_timeout=self.timeouts.write,
                )
        # TimeoutError and SSLError are OSErrors; a name that isn't text is a UnicodeDecodeError
        except (OSError, ValueError, asyncio.CancelledError) as error:
            if security is not None and not isinstance(error, asyncio.CancelledError):
                self.ended("handshake")
                # who only looks whether the port is open, as load balancers do, did nothing wrong
                level = "info" if isinstance(error, ConnectionResetError) else "warning"
                self.tell("tls_handshake_failed", host, port, level, why=explain(error))

    def serve(
        self,
        answer: Answerer,
        source: SourceMaker,
        message_limits: Limits,
        timeouts: StreamTimeouts,
        security: Security | None,
    ) -> None:
        """Serve by other rules from now on, also those whose connections are open.

        A certificate isn't asked for again; but a peer that the new rules would not let in by the
        one that it has shown is let in no longer.
        """
        let_in_anew = (self.security and self.security.profile) != (security and security.profile)
        self.answer, self.source, self.security = answer, source, security
        self.message_limits, self.timeouts = message_limits, timeouts
        for connection in list(self._connections):
            if not let_in_anew or connection.admit():
                connection.look_at_peer()
                connection.be_patient_anew()

    # -- what connections need ----------------------------------------------------------------

    def opened(self, connection: StreamConnection) -> None:
        """Remember an open connection."""
        self._connections.add(connection)

    def gone(self, connection: StreamConnection, host: str) -> None:
        """Forget a connection, and give its place back."""
        self._connections.discard(connection)
        self.admission.leave(host)
        if self._all_gone is not None and not self._connections and not self._all_gone.done():
            self._all_gone.set_result(None)

    def ended(self, reason: str) -> None:
        """Count a connection that we end."""
        self.closed[reason] = self.closed.get(reason, 0) + 1

    def tell(
        self, event: str, host: str, port: int, level: str = "warning", **fields: object
    ) -> None:
        """Log a fault of a peer, once in a while for each address and fault."""
        key = (event, host, *fields.values())
        suppressed = self._limited.hit(key) if self._limited is not None else 0
        if suppressed is not None:
            peer = peer_text(self.transport, host, port)
            write = log.info if level == "info" else log.warning
            write(event, peer=peer, suppressed=suppressed, **fields)
