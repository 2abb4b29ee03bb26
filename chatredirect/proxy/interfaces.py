"""What the proxy core needs from the code that has sockets.

The core never connects and never sends. It asks two questions, which are answered at once: is there
a flow to this target already, and which flow has this name? Everything else the core puts into a
list; the driver carries it out and calls the core with the result:

    Send            `flow.send(data)`, now           -> `unsent`, if it returned False
    ConnectRequest  `connection_pool.dial()`, later  -> `handle_connected`, `handle_connect_failed`
    ResolveRequest  the URI's targets, later         -> `handle_resolved`, with () for none
    a connection is gone, at any time                -> `lost`
"""

from collections.abc import Callable
from typing import Protocol

from chatredirect.net.target import Target
from chatredirect.sip.flow import Flow


class ConnectionPool(Protocol):
    """Flows to targets.

    All requests to one `Target.key` share a flow. On a connection that we opened, `Flow.host` is
    our address and `Flow.port` the port of our listener of that transport, so that the two name a
    place where we can be reached; without such a listener it is the connection's own port. What
    comes in over it is handled like everything that comes in, from a trusted `Peer`.
    """

    def reach(self, target: Target) -> Flow | None:
        """The flow to a target, if there is one now: a live connection, a UDP socket.

        Called for every request, so it must be quick. One connection is always the same object.
        """

    def dial(
        self, target: Target, on_flow: Callable[[Flow], None], on_failure: Callable[[str], None]
    ) -> None:
        """Open a connection to a target, or wait for the one that is being opened.

        Exactly one of the two functions is called, once, and never from within this call.
        `on_failure` gets the reason as a short text for people. There is a bound on how long it may
        take and on how many may wait.
        """


class FlowNames(Protocol):
    """The names of flows, which stand in what we sign (RFC 5626 §5.2)."""

    def name(self, flow: Flow) -> bytes:
        """A flow's name: any octets, at most 64, the same as long as the flow lives.

        No other connection of this process gets it, nor one after a restart.
        """

    def find(self, name: bytes) -> Flow | None:
        """The flow of this name, None if it is gone or the name is none of ours."""
