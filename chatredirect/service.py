"""Puts the parts together: start, serve, stop.

The only module that knows them all. Starting is all or nothing: every address is bound before
anything is answered, and DNS is not waited for, since a daemon that is there and says 480 is more
use to a client than none.
"""

import asyncio
import platform
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

import structlog

import chatredirect
from chatredirect.config import EndpointSettings, LimitSettings, ListenUrl, Settings
from chatredirect.counters import Counters
from chatredirect.directory import Directory, build_directory
from chatredirect.own_names import OwnNames, local_addresses, own_names
from chatredirect.pool import Pool
from chatredirect.pools import Pools
from chatredirect.roles.server import Answering, Server
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import TagMaker
from chatredirect.transport.binding import BindError, bind, bound_url
from chatredirect.transport.datagrams import DatagramSocket
from chatredirect.transport.stream import StreamLimits, StreamListener
from chatredirect.transport.udp import UdpListener

log = structlog.get_logger()

_SHOWN = 20  # endpoints that the start-up line names


@dataclass(slots=True)
class Service:
    """The running daemon.

    Attributes:
        settings: what it was started with.
        log_requests: whether each request gets a line in the log.
        counters: what happened so far.
        listening: the addresses that it listens on, with the ports that they really have.
    """

    settings: Settings
    log_requests: bool
    counters: Counters = field(default_factory=Counters)
    listening: list[ListenUrl] = field(default_factory=list)
    _udp: list[UdpListener] = field(default_factory=list)
    _streams: list[StreamListener] = field(default_factory=list)
    _pools: Pools | None = None

    async def start(self) -> None:
        """Bind every address and serve.

        Raises:
            BindError: an address can't be listened on; nothing is served then.
        """
        loop = asyncio.get_running_loop()
        settings = self.settings
        sockets = _bind_all(settings.listen, settings.limits.receive_buffer)
        self.listening = [url for url, _ in sockets]
        names = own_names(self.listening, settings.advertise, local_addresses())
        self._pools = Pools(settings.dns, settings.health, is_own=names.listens_on)
        directory = build_directory(settings.endpoints, partial(_pool, self._pools))
        server = self._server(directory, names)
        stream_limits = _stream_limits(settings.limits)
        for url, sock in sockets:
            if url.transport == "udp":
                datagrams = DatagramSocket(sock)
                self._udp.append(UdpListener(datagrams, server.answer_datagram, loop))
                continue
            listener = StreamListener(
                url.transport, server.answer_event, _limits(settings.limits), stream_limits, loop
            )
            await listener.start(sock)
            self._streams.append(listener)
        self._pools.start()
        self._tell_started(loop)

    async def stop(self) -> None:
        """Answer what has come, close every connection after its answers, and end."""
        for listener in self._udp:
            listener.close()
        await asyncio.gather(*(listener.close() for listener in self._streams))
        if self._pools is not None:
            await self._pools.aclose()
        counters = self.counters
        log.info("stopped", answers=counters.answers, drops=counters.drops)

    def _server(self, directory: Directory, names: OwnNames) -> Server:
        settings = self.settings
        secret = settings.secret
        key = secrets.token_bytes(32) if secret is None else secret.get_secret_value().encode()
        agent = settings.advertise.host if settings.advertise is not None else "chatredirect"
        answering = Answering(
            tags=TagMaker(key),
            retry_after=settings.retry_after,
            agent=agent.encode("ascii"),
            log_requests=self.log_requests,
        )
        return Server(directory, names, answering, _limits(settings.limits), self.counters)

    def _tell_started(self, loop: asyncio.AbstractEventLoop) -> None:
        endpoints = self.settings.endpoints
        log.info(
            "started",
            version=chatredirect.__version__,
            listen=[str(url) for url in self.listening],
            endpoints=len(endpoints),
            serving=[_describe(each) for each in endpoints[:_SHOWN]],
            loop=type(loop).__module__.partition(".")[0],
            python=platform.python_version(),
        )


def _pool(pools: Pools, endpoint: EndpointSettings) -> Pool:
    return pools.get(endpoint.pool_fqdn, endpoint.port, endpoint.pool_transport)


def _describe(endpoint: EndpointSettings) -> str:
    return f"{endpoint.sip_address} -> {endpoint.pool_fqdn}"


def _bind_all(
    urls: Iterable[ListenUrl], receive_buffer: int
) -> list[tuple[ListenUrl, socket.socket]]:
    """Bind every listener, or none.

    An IPv6 wildcard takes IPv4 as well, unless the same port has an IPv4 listener of its own.
    """
    urls = list(urls)
    with_ipv4 = {(url.transport, url.port) for url in urls if ip_address(url.host).version == 4}
    sockets: list[tuple[ListenUrl, socket.socket]] = []
    try:
        for url in urls:
            only_ipv6 = (url.transport, url.port) in with_ipv4
            sock = bind(url, only_ipv6=only_ipv6, receive_buffer=receive_buffer)
            sockets.append((bound_url(url, sock), sock))
    except BindError:
        for _, sock in sockets:
            sock.close()
        raise
    return sockets


def _limits(settings: LimitSettings) -> Limits:
    return Limits(
        message=settings.message,
        header_line=settings.header_line,
        headers=settings.headers,
        via_values=settings.via_values,
        uri=settings.uri,
    )


def _stream_limits(settings: LimitSettings) -> StreamLimits:
    return StreamLimits(
        connections=settings.connections,
        connections_per_peer=settings.connections_per_peer,
        idle_timeout=settings.idle_timeout,
        message_timeout=settings.message_timeout,
        write_timeout=settings.write_timeout,
    )
