"""Where somebody can look on: each message that comes or goes, and why it got what it got.

Nearly always nobody does. So whoever handles messages holds a `Tapping` and looks at its `tap`
once a message; there is nothing else to pay. Whoever looks on says of each message whether it is of
any interest to him, and only then is told more.

    tap = tapping.tap
    watched = tap is not None and tap.received(message, source, reach)
    ...
    if watched: tap.decided(call_id, "480: pcpool.contoso.com: NXDOMAIN")
"""

from typing import Protocol

from chatredirect.sip.flow import Flow, ReturnPath
from chatredirect.sip.message import Message
from chatredirect.sip.response import Peer


class Observer(Protocol):
    """Looks on. No method raises, waits, or keeps what it is given from being done."""

    def received(self, message: Message, source: Peer, reach: ReturnPath | None) -> bool:
        """A message has come, and nothing has been done with it yet.

        Args:
            message: it; its octets are its `head`, an empty line and its `body`.
            source: where it came from.
            reach: the way back there, which says what it came on; None where it isn't known.

        Returns:
            Whether to tell more about it: what was decided, and what is sent on its behalf.
        """

    def sent(self, data: bytes, flow: Flow, call_id: bytes | None) -> None:
        """A message goes out.

        Args:
            data: its octets.
            flow: what it goes over.
            call_id: its Call-ID, by which it is known whether it is of interest.
        """

    def decided(self, call_id: bytes | None, what: str) -> None:
        """Why something is done, or nothing: one line for people.

        Args:
            call_id: that of the message which it is about.
            what: for people; it may hold the peer's octets, so whoever shows it escapes it.
        """

    def unreadable(self, data: bytes, source: Peer, reach: ReturnPath | None, why: str) -> None:
        """Octets have come that are no message, and are dropped.

        Args:
            data: they, or as much of them as there was.
            source: where they came from.
            reach: the way back there; None where it isn't known.
            why: what is wrong with them.
        """

    def happened(self, peer: str, port: int, transport: str, what: str) -> None:
        """Something of a connection: refused, its handshake failed, closed.

        Args:
            peer: the IP address of its other end.
            port: the port there.
            transport: `tcp` or `tls`.
            what: one line for people.
        """


class Tapping:
    """The one place that says who looks on; all that handle messages share it.

    Attributes:
        tap: who looks on; None if nobody does.
    """

    __slots__ = ("tap",)

    def __init__(self) -> None:
        """Begin with nobody."""
        self.tap: Observer | None = None
