"""A flow: the way back to a peer, which can be used later (RFC 5626 §3).

Over TCP and TLS it is the connection that the peer opened, since often nothing listens behind its
Contact; over UDP it is the peer's address and the local one that it sent to. A redirect is sent at
once and needs no flow; requests in a dialog are sent over the dialog's. `chatredirect.transport`
makes flows; the protocol only needs what is declared here.
"""

from typing import Protocol


class Flow(Protocol):
    """A way back to a peer. It may be gone at any time; then nothing can be sent any more."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    @property
    def host(self) -> str:
        """Our own address, as the peer used it; no brackets."""

    @property
    def port(self) -> int:
        """Our own port."""

    @property
    def peer_host(self) -> str:
        """The peer's address; no brackets."""

    @property
    def peer_port(self) -> int:
        """The peer's port."""

    @property
    def peer_names(self) -> tuple[str, ...]:
        """The names that the peer's certificate has proved, in lower case."""

    @property
    def open(self) -> bool:
        """Whether a message can be sent, as far as is known."""

    def send(self, data: bytes) -> bool:
        """Send a message; False if the flow is gone. Nothing in `sip` calls this."""

    def hold(self) -> None:
        """A request of the peer's is pending: keep a connection that the peer has half closed."""

    def release(self) -> None:
        """The request has been answered; once for each `hold`."""


class ReturnPath(Protocol):
    """The way back to the peer of the message that is being handled; valid only meanwhile."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    def flow(self, port: int) -> Flow:
        """The flow back to the peer; datagrams go to this port of its address."""

    def useless(self) -> None:
        """Count the message as useless; a connection with too many of them is closed."""


def peer_text(transport: str, host: str, port: int) -> str:
    """A peer for people, like a listener's URL: `tcp://192.0.2.1:5060`, IPv6 in brackets."""
    return f"{transport}://[{host}]:{port}" if ":" in host else f"{transport}://{host}:{port}"


def leads_back(flow: Flow, came: Flow) -> bool:
    """Whether a response that came over `came` may answer a request that was sent over `flow`.

    A request over a connection is answered on it or, when it is closed, on another one of the same
    peer (RFC 3261 §18.2.2). One over UDP is answered from the address that it was sent to.
    """
    if came is flow:
        return True
    if flow.transport == "udp":
        return came.transport == "udp" and came.peer_host == flow.peer_host
    if flow.open or came.transport == "udp":
        return False
    return came.peer_host == flow.peer_host or not set(came.peer_names).isdisjoint(flow.peer_names)


def reliable(flow: Flow) -> bool:
    """Whether the transport is reliable (RFC 3261 §18), so that nothing is retransmitted."""
    return flow.transport != "udp"
