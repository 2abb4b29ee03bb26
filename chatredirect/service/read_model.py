"""What metrics, `status` and systemd's status line read of a service: figures, and no way into it.

It is made anew whenever somebody asks. Counters are the service's own, so that they are true when
they are read; everything else is as it was when the model was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatredirect.config import Settings
from chatredirect.endpoints.directory import Directory
from chatredirect.lookup.events import LookupCounters
from chatredirect.pools.refresh import Pools
from chatredirect.proxy.events import ProxyCounters
from chatredirect.responses.counters import Counters
from chatredirect.runtime.histogram import Histogram
from chatredirect.service.running import Parts
from chatredirect.service.service import Service
from chatredirect.transport.stream_listener import StreamListener
from chatredirect.transport.udp_listener import UdpListener


@dataclass(frozen=True, slots=True)
class DatagramFigures:
    """A UDP listener.

    Attributes:
        url: its address, with the port that it really has.
        latency: from reading a request to its response.
        failures: requests that met a fault of ours.
        unsent: responses that the kernel didn't take.
        overflows: datagrams that the kernel dropped; None where it doesn't tell.
    """

    url: str
    latency: Histogram
    failures: int
    unsent: int
    overflows: int | None


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """A TCP or TLS listener.

    Attributes:
        url: its address, with the port that it really has.
        latency: from reading a request to its response.
        failures: requests that met a fault of ours.
        connections: how many are open.
        begun: how many were accepted.
        closed: how many were closed here, by reason.
        exhausted: how many weren't accepted, since there was no file descriptor.
        sent_away: who was closed lately for sending much of no use: peer, reason, when.
    """

    url: str
    latency: Histogram
    failures: int
    connections: int
    begun: int
    closed: Mapping[str, int]
    exhausted: int
    sent_away: Sequence[tuple[str, str, float]]


@dataclass(frozen=True, slots=True)
class ConnectionFigures:
    """The connections of all listeners together.

    Attributes:
        open: how many there are.
        most: how many there may be.
        by_peer: how many each peer has.
        refused: how many were refused, by reason.
    """

    open: int
    most: int
    by_peer: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OutgoingFigures:
    """Connections to targets.

    Attributes:
        connections: how many are open.
        waiting: how many requests wait for one.
        opened: how many were opened.
        failed: how many couldn't be opened, by reason.
        closed: how many were closed here, by reason.
    """

    connections: int
    waiting: int
    opened: int
    failed: Mapping[str, int]
    closed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LookupFigures:
    """The mode `lookup`.

    Attributes:
        dialogs: how many are open.
        most: how many may be.
        transactions: how many are kept.
        counters: what happened.
    """

    dialogs: int
    most: int
    transactions: int
    counters: LookupCounters


@dataclass(frozen=True, slots=True)
class ProxyFigures:
    """The mode `proxy`.

    Attributes:
        open: requests without a final response.
        most: how many there may be.
        transactions: how many are kept.
        counters: what happened.
    """

    open: int
    most: int
    transactions: int
    counters: ProxyCounters


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A service, as it is now.

    Attributes:
        counters: requests and responses.
        draining: whether it is about to stop.
        expiries: when each certificate ends, in seconds since the epoch.
        renewed: certificates that were renewed.
        renewals_refused: new certificates that can't be used.
        settings: the configuration in force; None before the first, like the next one's 0.
        since: since when it is in force, in seconds since the epoch.
        directory: its endpoints.
        pools: their pools; None before the first configuration.
        datagrams: the UDP listeners.
        streams: the TCP and TLS listeners.
        connections: their connections; None before the first configuration.
        outgoing: connections to targets, likewise.
        lookups: the mode `lookup`; None as long as no configuration had such an endpoint.
        proxy: the mode `proxy`, likewise.
    """

    counters: Counters
    draining: bool
    expiries: Mapping[str, float]
    renewed: int
    renewals_refused: int
    settings: Settings | None = None
    since: float = 0.0
    directory: Directory = field(default_factory=Directory)
    pools: Pools | None = None
    datagrams: tuple[DatagramFigures, ...] = ()
    streams: tuple[StreamFigures, ...] = ()
    connections: ConnectionFigures | None = None
    outgoing: OutgoingFigures | None = None
    lookups: LookupFigures | None = None
    proxy: ProxyFigures | None = None


def read(service: Service) -> ReadModel:
    """Make the read model of a service."""
    certificates, running = service.certificates, service.running
    if running is None:
        return ReadModel(
            service.counters,
            service.draining,
            certificates.expiries,
            certificates.renewed,
            certificates.refused,
        )
    parts, in_force = running.parts, running.in_force
    admission = parts.listeners.admission
    listeners = parts.listeners.open.items()
    outgoing = parts.outbound.outgoing
    return ReadModel(
        counters=service.counters,
        draining=service.draining,
        expiries=certificates.expiries,
        renewed=certificates.renewed,
        renewals_refused=certificates.refused,
        settings=in_force.settings,
        since=in_force.since,
        directory=in_force.directory,
        pools=parts.pools,
        datagrams=tuple(
            DatagramFigures(
                str(url),
                each.latency,
                each.failures,
                each.socket.unsent,
                each.socket.overflows,
            )
            for url, each in listeners
            if isinstance(each, UdpListener)
        ),
        streams=tuple(
            _stream(str(url), each) for url, each in listeners if isinstance(each, StreamListener)
        ),
        connections=ConnectionFigures(
            admission.open, admission.limits.connections, admission.by_peer, admission.refused
        ),
        outgoing=OutgoingFigures(
            outgoing.connections,
            outgoing.waiting,
            outgoing.opened,
            outgoing.failed,
            outgoing.group.closed,
        ),
        lookups=_lookups(parts),
        proxy=_proxy(parts),
    )


def _stream(url: str, listener: StreamListener) -> StreamFigures:
    group = listener.group
    return StreamFigures(
        url,
        group.latency,
        group.failures,
        listener.connections,
        group.begun,
        group.closed,
        listener.exhausted,
        tuple(group.sent_away),
    )


def _lookups(parts: Parts) -> LookupFigures | None:
    if parts.lookups.driver is None:
        return None
    core = parts.lookups.driver.core
    return LookupFigures(
        len(core.dialogs), core.settings.dialogs, len(core.transactions), core.counters
    )


def _proxy(parts: Parts) -> ProxyFigures | None:
    if parts.proxying.driver is None:
        return None
    core = parts.proxying.driver.core
    return ProxyFigures(
        len(core.open), core.settings.transactions, len(core.transactions), core.counters
    )
