"""A flow: where a message came from, as a way back that can be used later (RFC 5626 §3).

A redirect answers at once and needs none. Who keeps a dialog sends over its flow: over TCP and TLS
that is the connection that the peer opened, since behind its Contact often nothing listens; over
UDP it is the peer's address and the local one that it sent to. The protocol only needs to know
what is written here; sockets make flows, and sending is up to whoever holds both.
"""

from typing import Protocol


class Flow(Protocol):
    """A way back to a peer. It may be gone at any time, then nothing can be sent any more.

    Attributes:
        transport: `udp`, `tcp` or `tls`.
        host: our own address on it, as the peer used it; no brackets.
        port: our own port on it.
        peer_host: the peer's address; no brackets.
        peer_port: the peer's port.
        peer_names: the names that the peer's certificate has proved.
        open: whether something can be sent, as far as is known.
    """

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    @property
    def host(self) -> str:
        """Our own address on it, as the peer used it; no brackets."""

    @property
    def port(self) -> int:
        """Our own port on it."""

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
        """Whether something can be sent, as far as is known."""

    def send(self, data: bytes) -> bool:
        """Send a message; False if the flow is gone. The protocol itself never calls this."""

    def hold(self) -> None:
        """Something that the peer has asked is open: a peer that sends no more is waited with."""

    def release(self) -> None:
        """It is no more: once for each `hold`."""


class ReturnPath(Protocol):
    """Makes a flow to where the message came from that is being dealt with; only until then."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    def flow(self, port: int) -> Flow:
        """The way back.

        Args:
            port: where datagrams go, at the address that the message came from; connections
                have but one way.
        """

    def useless(self) -> None:
        """Say that the message was of no use to anybody; a connection with many of them ends."""


def peer_text(transport: str, host: str, port: int) -> str:
    """A peer for people, written like a listener: `tcp://192.0.2.1:5060`, IPv6 in brackets."""
    return f"{transport}://[{host}]:{port}" if ":" in host else f"{transport}://{host}:{port}"


def leads_back(flow: Flow, came: Flow) -> bool:
    """Whether a response that came over `came` may be one to a request that was sent over `flow`.

    A request that went over a connection is answered on it; when it is closed, on any other of the
    same peer (RFC 3261 §18.2.2). One that went by UDP is answered from where it was sent to.
    """
    if came is flow:
        return True
    if flow.transport == "udp":
        return came.transport == "udp" and came.peer_host == flow.peer_host
    if flow.open or came.transport == "udp":
        return False
    return came.peer_host == flow.peer_host or not set(came.peer_names).isdisjoint(flow.peer_names)


def reliable(flow: Flow) -> bool:
    """Whether what is sent arrives or the flow is gone (RFC 3261 §18), so nothing is resent."""
    return flow.transport != "udp"
