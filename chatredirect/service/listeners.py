"""All listeners of the daemon, brought in line with a configuration.

What stays the same stays open: a listener that the old and the new configuration have is only told
whom to ask from now on. New addresses are bound before anything else changes, so that a
configuration whose address can't be had is refused as a whole.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from chatredirect.answering.request_handler import RequestHandler
from chatredirect.config import ListenUrl
from chatredirect.systemd.inherited import Inherited
from chatredirect.transport.admission import Admission
from chatredirect.transport.binding import BindError, adopt, bind, bound_url
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    Watch,
    nobody_watches,
)
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.open_connections import GOODBYE
from chatredirect.transport.peer_identity import Security
from chatredirect.transport.stream_listener import StreamListener
from chatredirect.transport.udp_listener import UdpListener


@dataclass(slots=True)
class Serving:
    """What listeners serve with.

    Attributes:
        server: answers messages.
        settings: settings of connections.
        security: TLS by listener, for each that speaks it.
    """

    server: RequestHandler
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
        loop: where they run.
        admission: bounds on connections, of all of them together.
        inherited: sockets that systemd has bound; if there are any, there are no others.
        watch: hears of what becomes of connections.
    """

    loop: asyncio.AbstractEventLoop
    admission: Admission
    inherited: Inherited = field(default_factory=Inherited)
    watch: Watch = nobody_watches
    _urls: dict[ListenUrl, ListenUrl] = field(default_factory=dict)
    _udp: dict[ListenUrl, UdpListener] = field(default_factory=dict)
    _streams: dict[ListenUrl, StreamListener] = field(default_factory=dict)
    _closing: set[asyncio.Task[int]] = field(default_factory=set)

    @property
    def bound(self) -> list[ListenUrl]:
        """The addresses that are listened on, with the ports that they really have."""
        return list(self._urls.values())

    @property
    def open(self) -> Mapping[ListenUrl, UdpListener | StreamListener]:
        """The listeners by the addresses that they really have."""
        by_entry: Mapping[ListenUrl, UdpListener | StreamListener] = {**self._udp, **self._streams}
        return {self._urls[url]: each for url, each in by_entry.items() if url in self._urls}

    @property
    def udp(self) -> Iterable[UdpListener]:
        """The UDP listeners that are open."""
        return self._udp.values()

    def plan(self, wanted: Iterable[ListenUrl], receive_buffer: int) -> ListenerPlan:
        """Bind what isn't open yet. Nothing changes before `carry_out`.

        An IPv6 wildcard takes IPv4 as well, unless the same port has an IPv4 listener of its own.

        Args:
            wanted: as the configuration has them.
            receive_buffer: octets, for UDP sockets.

        Raises:
            BindError: an address can't be listened on; nothing stays bound.
            InheritError: what systemd has bound is something else.
        """
        wanted = tuple(wanted)
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
                    sock = bind(url, only_ipv6=only_ipv6, receive_buffer=receive_buffer)
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
            udp.serve(serving.server.answer_datagram, serving.settings.trust)
        for url, stream in self._streams.items():
            stream.serve(serving.settings, serving.security.get(url))
        for url, sock in plan.fresh.items():
            self._begin(url, sock, serving)

    def hand_over(self) -> None:
        """Accept no more on systemd's sockets: who connects now is for the process that follows."""
        if self.inherited.sockets:
            for stream in self._streams.values():
                stream.stop_accepting()

    async def say_goodbye(self) -> int:
        """Close every connection that is open now after its answers, and go on listening.

        Returns:
            How many had to be cut off, since they didn't read.
        """
        return sum(await asyncio.gather(*(each.say_goodbye() for each in self._streams.values())))

    async def close(self, patience: float = GOODBYE) -> None:
        """Answer what has come, close every connection after its answers, and the ports.

        Args:
            patience: seconds that the peers of connections have.
        """
        for url in list(self._urls):
            self._end(url, patience)
        self._urls = {}
        if self._closing:
            await asyncio.gather(*self._closing)

    def _begin(self, url: ListenUrl, sock: socket.socket, serving: Serving) -> None:
        if url.transport == "udp":
            self._udp[url] = UdpListener(
                DatagramSocket(sock),
                serving.server.answer_datagram,
                serving.settings.trust,
                self.loop,
            )
            return
        group = ConnectionGroup(serving.settings, self.loop, self.watch)
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
