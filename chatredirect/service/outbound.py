"""What leads out of the running daemon: ways to targets, and names for the ways back.

It outlives configurations, as its connections do; a new one only changes what they go by.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable

from chatredirect.answering.request_handler import RequestHandler
from chatredirect.config import ListenUrl
from chatredirect.sip.limits import Limits
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
    Watch,
    nobody_watches,
)
from chatredirect.transport.outgoing import Outgoing, OutgoingLimits
from chatredirect.transport.peer_identity import Security, TrustedPeers
from chatredirect.transport.socket_flows import FlowTable
from chatredirect.transport.udp_listener import UdpListener
from chatredirect.transport.udp_sender import UdpSender

_SOON = StreamLimits(
    idle_timeout=1, message_timeout=1, write_timeout=1, handshake_timeout=1
)  # until something is served


class Outbound:
    """The ways out.

    Attributes:
        outgoing: ways to targets.
        flow_table: names of flows; whoever has to know of lost ones sets its `on_lost`.
    """

    __slots__ = ("flow_table", "outgoing")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        udp: Callable[[], Iterable[UdpListener]],
        bound: Callable[[], Iterable[ListenUrl]],
        security: Callable[[], Security],
        receive_buffer: int,
        watch: Watch = nobody_watches,
    ) -> None:
        """Open nothing, and answer nothing that comes, before `serve`.

        Args:
            loop: where it runs.
            udp: gives the UDP listeners that are open.
            bound: gives the addresses that are listened on.
            security: gives what TLS connections begin with now.
            receive_buffer: octets, for UDP sockets of our own.
            watch: hears of what becomes of connections.
        """
        trust = TrustedPeers(())
        nothing_yet = ConnectionSettings(lambda *_: None, trust, Limits(), _SOON)
        group = ConnectionGroup(nothing_yet, loop, watch)
        udp_sender = UdpSender(loop, udp, lambda *_: None, trust, receive_buffer)
        self.flow_table = FlowTable(secrets.randbits(64), udp_sender.between)
        self.outgoing = Outgoing(
            group, OutgoingLimits(), security, udp_sender, self.flow_table, bound
        )

    def serve(
        self, server: RequestHandler, settings: ConnectionSettings, limits: OutgoingLimits
    ) -> None:
        """Go by a configuration from now on; its listeners are there already."""
        self.outgoing.udp_sender.serve(server.answer_datagram, settings.trust)
        self.outgoing.serve(settings, limits)

    async def aclose(self) -> None:
        """Close every connection, after what has been written on it."""
        await self.outgoing.aclose()
