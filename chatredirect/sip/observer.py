"""Observers of messages: each message that comes or goes, and why it was handled as it was.

There is nearly always no observer. So whoever handles messages holds an `Observing` and reads its
`observer` once a message; that is the whole cost. An observer says of each received message
whether it is interested, and is called for what follows from that message only if it is.

    observer = observing.observer
    observed = observer is not None and observer.received(message, source, reach)
    ...
    if observed: observer.decided(call_id, "480: pcpool.contoso.com: NXDOMAIN")
"""

from typing import Protocol

from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.message import Message
from chatredirect.sip.response import Peer


class Observer(Protocol):
    """Sees messages. Its methods must not raise, block or alter processing."""

    def received(self, message: Message, source: Peer, reach: ReturnPath | None) -> bool:
        """A message has come and has not been handled yet.

        Args:
            message: the message; its octets are its `head`, an empty line and its `body`.
            source: the peer that sent it.
            reach: the way back to the peer, with our own address; None if unknown.

        Returns:
            Whether to report what is decided about the message and sent because of it.
        """

    def sent(self, data: bytes, flow: Flow, call_id: bytes | None) -> None:
        """A message is sent.

        Args:
            data: the message's octets.
            flow: the flow that it is sent over.
            call_id: the message's Call-ID, which decides whether it is of interest.
        """

    def decided(self, call_id: bytes | None, what: str) -> None:
        """A decision about a message, with its reason.

        Args:
            call_id: the message's Call-ID.
            what: one line for people; it may hold the peer's octets: escape it before showing it.
        """

    def unreadable(self, data: bytes, source: Peer, reach: ReturnPath | None, why: str) -> None:
        """Octets that are not a SIP message have come and are dropped.

        Args:
            data: the octets, as many as there were.
            source: the peer that sent them.
            reach: the way back to the peer; None if unknown.
            why: what is wrong with them.
        """

    def happened(self, peer: str, port: int, transport: str, what: str) -> None:
        """A connection was refused or closed, or its handshake failed.

        Args:
            peer: the peer's IP address.
            port: the peer's port.
            transport: `tcp` or `tls`.
            what: one line for people.
        """


class Observing:
    """Holds the current observer; everything that handles messages shares one instance.

    Attributes:
        observer: the observer; None if there is none.
    """

    __slots__ = ("observer",)

    def __init__(self) -> None:
        """Begin without an observer."""
        self.observer: Observer | None = None
