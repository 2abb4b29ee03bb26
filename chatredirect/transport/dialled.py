"""The owner of one connection that we open: whom it is for, and whether it is who was meant."""

import ssl
from collections.abc import Callable

from chatredirect.dns.target import Target
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.flow import StreamFlow
from chatredirect.transport.secure import Identity, Refused, Security
from chatredirect.transport.terms import Terms

#: Gives the address and port where a peer can open connections to us, of a transport and our own
#: address and port on a connection.
ReachableAt = Callable[[str, str, int], tuple[str, int]]


class Dialled:
    """One connection to a target, from the attempt to its end.

    Attributes:
        target: whom it is for.
        terms: what it goes by.
        connection: it; nothing happens on it before it has begun.
        refusal: why the peer isn't the one that was meant; None if he is.
    """

    __slots__ = (
        "_over", "_reachable_at", "_security", "connection", "refusal", "target", "terms",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        terms: Terms,
        security: Security | None,
        reachable_at: ReachableAt,
        over: Callable[["Dialled"], None],
    ) -> None:
        """Prepare a connection.

        Args:
            target: whom it is for.
            terms: what it goes by.
            security: TLS, None without it.
            reachable_at: see there.
            over: is told when it has begun and is over.
        """
        self.target = target
        self.terms = terms
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
            except Refused as refused:
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
