"""What the proxy core needs from the code that has sockets, and how it gets the results.

The core never connects and never sends. Two questions are answered at once, without waiting: is
there a way to this target already, and which flow has this name? Everything else the core puts
into a list; the driver carries it out and calls the core with the result:

    Send            `flow.send(data)`, now         -> `unsent`, if it gave False
    ConnectRequest  `ways.dial(target, …)`, later  -> `handle_connected` or `handle_connect_failed`
    ResolveRequest  the URI's targets, later       -> `found`, with an empty tuple for none
    a connection is gone, at any time              -> `lost(flow)`
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from chatredirect.net.target import Target
from chatredirect.sip.flow import Flow
from chatredirect.sip.uri import SipUri

W = TypeVar("W")


class ConnectionPool(Protocol):
    """Ways to targets.

    All requests to one `Target.key` share a flow. Of a connection that we opened, `Flow.host` is
    our address on it and `Flow.port` the port of our listener of that transport, so that the two
    name a place where we can be reached; without such a listener it is the connection's own port.
    What comes in over it goes the way of everything that comes in, from a trusted `Source`.
    """

    def reach(self, target: Target) -> Flow | None:
        """The way to a target, if there is one now: a live connection, a UDP socket.

        Called for every request, so it must be quick. One connection is always the same object.
        """

    def dial(
        self,
        target: Target,
        on_flow: Callable[[Flow], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """Open a way to a target, or wait with others for the one that is being opened.

        Exactly one of the two is called, once, and never from within this call. `on_failure` gets
        the reason as a short text for people. There is a bound on how long it may take and on how
        many may wait.
        """


class FlowNames(Protocol):
    """The names of flows, which stand in what we sign (RFC 5626 §5.2)."""

    def name(self, flow: Flow) -> bytes:
        """A flow's name: any octets, at most 64, the same as long as the flow lives.

        No other connection of this process gets it, nor one after a restart.
        """

    def find(self, name: bytes) -> Flow | None:
        """The flow of this name, None if it is gone or the name is none of ours."""


@dataclass(slots=True)
class ConnectRequest(Generic[W]):
    """A way is to be opened to a target, for somebody who waits for it."""

    target: Target
    waiter: W


@dataclass(slots=True)
class ResolveRequest(Generic[W]):
    """The targets of a URI that isn't a pool's are to be found, for somebody who waits."""

    uri: SipUri
    waiter: W
