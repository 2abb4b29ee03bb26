"""One connection to a target, and the address where the target can open one to us."""

import ssl
from collections.abc import Callable, Iterable

from chatredirect.net.addresses import ListenUrl
from chatredirect.net.target import Target
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import ConnectionSettings
from chatredirect.transport.peer_identity import Identity, PeerRefused, Security
from chatredirect.transport.socket_flows import StreamFlow

#: Returns the address and port where a peer can open connections to us, for a transport and our own
#: address and port on a connection.
ReachableAt = Callable[[str, str, int], tuple[str, int]]


class OutgoingConnection:
    """One connection to a target, from the attempt to its end.

    Attributes:
        target: the target.
        settings: its settings.
        connection: the connection, which may not have begun.
        refusal: why the peer's certificate was refused; None if it wasn't.
    """

    __slots__ = (
        "_over", "_reachable_at", "_security", "connection", "refusal", "settings", "target",
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
            target: the target.
            settings: its settings.
            security: TLS; None without it.
            reachable_at: see `ReachableAt`.
            over: called when it is closed.
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
        """Its flow."""
        return self.connection.flow()

    def admit(self, tls: ssl.SSLObject | None) -> Identity:
        """Check the server's certificate. Raises PeerRefused."""
        if self._security is not None and tls is not None:
            try:
                return self._security.check_server(tls, self.target.domain, self.target.host)
            except PeerRefused as refused:
                self.refusal = str(refused)
                raise
        return Identity(verified=True)

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        """See `Owner`."""
        return self._reachable_at(self.transport, host, port)

    def opened(self, connection: StreamConnection) -> None:
        """Do nothing: `Outgoing` waits for it."""

    def gone(self, connection: StreamConnection) -> None:
        """Report that it is closed."""
        self._over(self)


_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def reachable_at(
    bound: Callable[[], Iterable[ListenUrl]], transport: str, host: str, port: int
) -> tuple[str, int]:
    """The address and port for our Via on a connection that we open (RFC 3261 §18.1.1).

    It is a listener of the transport on the connection's own address, else any of its family, else
    the connection's own end.

    Args:
        bound: returns the addresses that we listen on.
        transport: the connection's transport.
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
