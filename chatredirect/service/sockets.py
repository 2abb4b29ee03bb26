"""The daemon's sockets, brought in line with a configuration: listeners, and connections out.

What stays the same stays open: a listener that the old and the new configuration have only gets the
new handler and limits. New addresses are bound before anything else changes, so that a
configuration whose address can't be had is refused as a whole.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from chatredirect.answering.request_handler import RequestHandler
from chatredirect.config import ListenUrl
from chatredirect.net.refusals import Refusals
from chatredirect.sip.limits import Limits
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission
from chatredirect.transport.binding import BindError, adopt, bind, bound_url
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
    Watch,
)
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.open_connections import GOODBYE
from chatredirect.transport.outgoing import Outgoing, OutgoingLimits
from chatredirect.transport.peer_identity import Security, TrustedPeers
from chatredirect.transport.socket_flows import FlowTable
from chatredirect.transport.stream_listener import StreamListener
from chatredirect.transport.udp_listener import UdpListener
from chatredirect.transport.udp_sender import UdpSender

_UNTIL_SERVING = StreamLimits(
    idle_timeout=1, message_timeout=1, write_timeout=1, handshake_timeout=1
)


@dataclass(slots=True)
class Serving:
    """What a configuration says of sockets.

    Attributes:
        security: TLS of each listener that speaks it.
    """

    handler: RequestHandler
    settings: ConnectionSettings
    security: Mapping[ListenUrl, Security]


@dataclass(slots=True)
class ListenerPlan:
    """The listeners of a configuration, the new ones bound and not yet serving.

    Attributes:
        urls: each listener's address with the port that it really has.
        fresh: sockets that were bound for it.
    """

    urls: dict[ListenUrl, ListenUrl]
    fresh: dict[ListenUrl, socket.socket]

    def give_up(self) -> None:
        """Close what was bound."""
        for sock in self.fresh.values():
            sock.close()


@dataclass(slots=True)
class Listeners:
    """The open listeners.

    Attributes:
        admission: limits on the connections of all of them together.
        inherited: sockets that systemd has bound; if there are any, there are no others.
        watch: called for all reports about connections.
        refusals: who was refused, and why.
    """

    loop: asyncio.AbstractEventLoop
    admission: Admission
    inherited: Inherited
    watch: Watch
    refusals: Refusals
    _urls: dict[ListenUrl, ListenUrl] = field(default_factory=dict)
    _udp: dict[ListenUrl, UdpListener] = field(default_factory=dict)
    _streams: dict[ListenUrl, StreamListener] = field(default_factory=dict)
    _closing: set[asyncio.Task[int]] = field(default_factory=set)

    @property
    def bound(self) -> list[ListenUrl]:
        """The addresses of the listeners, with the ports that they really have."""
        return list(self._urls.values())

    @property
    def udp_by_url(self) -> Mapping[ListenUrl, UdpListener]:
        """The UDP listeners by the addresses that they really have."""
        return {self._urls[url]: each for url, each in self._udp.items()}

    @property
    def streams_by_url(self) -> Mapping[ListenUrl, StreamListener]:
        """The TCP and TLS listeners by the addresses that they really have."""
        return {self._urls[url]: each for url, each in self._streams.items()}

    @property
    def udp(self) -> Iterable[UdpListener]:
        """The UDP listeners that are open."""
        return self._udp.values()

    def plan(
        self, wanted: Sequence[ListenUrl], receive_buffer: int, *, free_bind: bool
    ) -> ListenerPlan:
        """Bind what isn't open yet. Nothing changes before `carry_out`.

        An IPv6 wildcard takes IPv4 as well, unless the same port has an IPv4 listener of its own.
        `receive_buffer` is that of UDP sockets, in octets; `free_bind` is whether this machine may
        get an address later.

        Raises:
            BindError: an address can't be listened on; nothing stays bound.
            InheritError: what systemd has bound is something else.
        """
        inherited = self.inherited.match(wanted)
        with_ipv4 = {
            (url.transport, url.port) for url in wanted if ip_address(url.host).version == 4
        }
        plan = ListenerPlan({}, {})
        try:
            for url in wanted:
                if url in self._urls:
                    plan.urls[url] = self._urls[url]
                    continue
                if url in inherited:
                    sock = adopt(inherited[url], receive_buffer=receive_buffer)
                else:
                    only_ipv6 = (url.transport, url.port) in with_ipv4
                    sock = bind(
                        url,
                        only_ipv6=only_ipv6,
                        receive_buffer=receive_buffer,
                        free_bind=free_bind,
                    )
                plan.fresh[url] = sock
                plan.urls[url] = bound_url(url, sock)
        except BindError:
            plan.give_up()
            raise
        return plan

    def carry_out(self, plan: ListenerPlan, serving: Serving) -> None:
        """Serve on the planned listeners and on no others."""
        for url in self._urls.keys() - plan.urls.keys():
            self._end(url)
        self._urls = plan.urls
        for udp in self._udp.values():
            udp.serve(serving.handler.answer_datagram, serving.settings.trust)
        for url, stream in self._streams.items():
            stream.serve(serving.settings, serving.security.get(url))
        for url, sock in plan.fresh.items():
            self._begin(url, sock, serving)

    def hand_over(self) -> None:
        """Accept no more on systemd's sockets: the next process accepts who connects now."""
        if self.inherited.sockets:
            for stream in self._streams.values():
                stream.stop_accepting()

    async def say_goodbye(self) -> int:
        """Close every open connection after its answers, and go on listening.

        Returns:
            How many had to be cut off, since their peers didn't read.
        """
        return sum(await asyncio.gather(*(each.say_goodbye() for each in self._streams.values())))

    async def close(self, patience: float) -> None:
        """Close the ports, and connections after their answers, within `patience` seconds."""
        for url in list(self._urls):
            self._end(url, patience)
        self._urls = {}
        if self._closing:
            await asyncio.gather(*self._closing)

    def _begin(self, url: ListenUrl, sock: socket.socket, serving: Serving) -> None:
        if url.transport == "udp":
            self._udp[url] = UdpListener(
                DatagramSocket(sock),
                serving.handler.answer_datagram,
                serving.settings.trust,
                self.loop,
            )
            return
        group = ConnectionGroup(serving.settings, self.loop, self.watch, self.refusals)
        stream = StreamListener(group, self.admission, serving.security.get(url))
        stream.start(sock)
        self._streams[url] = stream

    def _end(self, url: ListenUrl, patience: float = GOODBYE) -> None:
        udp = self._udp.pop(url, None)
        if udp is not None:
            udp.close()
            return
        task = self.loop.create_task(self._streams.pop(url).close(patience))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Outbound:
    """The connections to targets. They outlive configurations, as listeners do.

    Attributes:
        outgoing: opens and keeps them.
        flow_table: names of flows; the owner sets its `on_lost`.
    """

    __slots__ = ("flow_table", "outgoing")

    def __init__(
        self, listeners: Listeners, security: Callable[[], Security], receive_buffer: int
    ) -> None:
        """Open nothing, and answer nothing before `serve`.

        Args:
            listeners: the open ones: messages over UDP go out by their sockets.
            security: returns what new TLS connections use.
            receive_buffer: octets, for UDP sockets of our own.
        """
        loop, trust = listeners.loop, TrustedPeers(())
        nothing_yet = ConnectionSettings(lambda *_: None, trust, Limits(), _UNTIL_SERVING)
        udp_sender = UdpSender(loop, lambda: listeners.udp, lambda *_: None, trust, receive_buffer)
        self.flow_table = FlowTable(secrets.randbits(64), udp_sender.between)
        self.outgoing = Outgoing(
            ConnectionGroup(nothing_yet, loop, listeners.watch, listeners.refusals),
            OutgoingLimits(),
            security,
            udp_sender,
            self.flow_table,
            lambda: listeners.bound,
        )

    def serve(self, serving: Serving, limits: OutgoingLimits) -> None:
        """Go by a configuration from now on; its listeners are there already."""
        settings = serving.settings
        self.outgoing.udp_sender.serve(serving.handler.answer_datagram, settings.trust)
        self.outgoing.serve(settings, limits)
