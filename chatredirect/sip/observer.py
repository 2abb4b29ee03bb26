"""Observers of messages: each message that comes or goes, and why it was handled as it was.

There is nearly always no observer. So whoever handles messages holds an `Observing` and reads its
`observer` once a message; that is the whole cost. An observer returns for each received message
whether it is interested, and gets the messages and decisions that follow only if it is.

    observer = observing.observer
    observed = observer is not None and observer.received(message, source, return_path)
    ...
    if observed: observer.decided(call_id, "480: pcpool.contoso.com: NXDOMAIN")
"""

from typing import Protocol

from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.message import Message
from chatredirect.sip.response import Peer


class Observer(Protocol):
    """Sees messages. Its methods must not raise, block or alter processing."""

    def received(self, message: Message, source: Peer, return_path: ReturnPath | None) -> bool:
        """A message has come and has not been handled yet.

        Returns:
            Whether to report what is decided about the message and sent because of it.
        """

    def sent(self, data: bytes, flow: Flow, call_id: bytes | None) -> None:
        """A message is sent; its Call-ID decides whether it is of interest."""

    def decided(self, call_id: bytes | None, what: str) -> None:
        """A decision about a message, with its reason, as one line for people.

        The line may hold the peer's octets: escape it before showing it.
        """

    def unreadable(
        self, data: bytes, source: Peer, return_path: ReturnPath | None, why: str
    ) -> None:
        """Octets that are not a SIP message have come and are dropped."""

    def happened(
        self, peer: str, port: int, transport: str, names: tuple[str, ...], what: str
    ) -> None:
        """A TCP or TLS connection was refused or closed, or its handshake failed.

        The peer is an IP address, `names` are those that its certificate has proved; `what` is one
        line for people.
        """


class Observing:
    """Holds the current observer, if any; everything that handles messages shares one instance."""

    __slots__ = ("observer",)

    def __init__(self) -> None:
        """Begin without an observer."""
        self.observer: Observer | None = None
