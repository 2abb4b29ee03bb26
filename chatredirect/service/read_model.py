"""What metrics, `status` and systemd's status line read of a service: figures only.

It is made anew for each reader. Counters are the service's own, so they go on counting; everything
else is as it was when the model was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from chatredirect.config import Settings
from chatredirect.endpoints.directory import Directory
from chatredirect.lookup.events import LookupCounters
from chatredirect.pools.refresh import Pools
from chatredirect.proxy.events import ProxyCounters
from chatredirect.responses.counters import Counters
from chatredirect.runtime.histogram import Histogram
from chatredirect.service.service import Parts, Service
from chatredirect.transport.stream_listener import StreamListener
from chatredirect.usage.ledger import UsageLedger
from chatredirect.usage.tally import LedgerFigures

ModeCounters = TypeVar("ModeCounters", LookupCounters, ProxyCounters)


@dataclass(frozen=True, slots=True)
class DatagramFigures:
    """A UDP listener.

    Attributes:
        url: its address, with the port that it really has.
        latency: from reading a request to its response.
        failures: requests that met a fault of ours.
        unsent: responses that the kernel didn't take.
        overflows: datagrams that the kernel dropped; None where it doesn't say.
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
        url, latency, failures: as those of a UDP listener.
        connections: open ones.
        begun: connections since the start.
        closed: connections that we closed, by reason.
        exhausted: connections that were refused without a file descriptor.
        sent_away: peers that were disconnected for what they sent: peer, reason, when.
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
    """The connections of all listeners together: how many are open, at most, by peer, refused."""

    open: int
    most: int
    by_peer: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OutgoingFigures:
    """Connections to targets.

    Attributes:
        connections: open ones.
        waiting: messages that wait for one.
        opened: connections since the start.
        failed: connections that couldn't be opened, by reason.
        closed: connections that we closed, by reason.
    """

    connections: int
    waiting: int
    opened: int
    failed: Mapping[str, int]
    closed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModeFigures(Generic[ModeCounters]):
    """A mode that has state.

    Attributes:
        open: dialogs of the mode `lookup`; requests without a final response in the mode `proxy`.
        most: how many may be open.
        transactions: how many are kept.
    """

    open: int
    most: int
    transactions: int
    counters: ModeCounters


LookupFigures: TypeAlias = ModeFigures[LookupCounters]
ProxyFigures: TypeAlias = ModeFigures[ProxyCounters]


@dataclass(frozen=True, slots=True)
class UsageFigures:
    """The usage ledger.

    Attributes:
        failing: whether it can't be written.
        waiting: rows that wait for that, in the recorder and in the writer's batch.
        written_at: when it was written last, in seconds since the epoch; 0 if never.
        ledger: what it came to some minutes ago; None before that is known.
    """

    failing: bool
    waiting: int
    written_at: float
    ledger: LedgerFigures | None


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A service, as it is now.

    Attributes:
        expiries: when each certificate ends, in seconds since the epoch.
        renewed: certificates that were renewed.
        renewals_refused: new certificates that can't be used.
        settings: None before the first configuration; so are `pools`, `connections`, `outgoing`.
        since: since when the configuration is in force, in seconds since the epoch.
        lookups: None as long as no configuration had an endpoint in the mode `lookup`.
        proxy: likewise for the mode `proxy`.
        usage: None where no ledger is kept.
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
    usage: UsageFigures | None = None


def read(service: Service) -> ReadModel:
    """Make the read model of a service."""
    certificates, running = service.certificates, service.running
    model = ReadModel(
        counters=service.counters,
        draining=service.draining,
        expiries=certificates.expiries,
        renewed=certificates.renewed,
        renewals_refused=certificates.refused,
        usage=_usage(service.usage),
    )
    if running is None:
        return model
    parts, in_force = running.parts, running.in_force
    listeners, admission = parts.listeners, parts.listeners.admission
    outgoing = parts.outbound.outgoing
    return replace(
        model,
        settings=in_force.settings,
        since=in_force.since,
        directory=in_force.directory,
        pools=parts.pools,
        datagrams=tuple(
            DatagramFigures(
                str(url), each.latency, each.failures, each.socket.unsent, each.socket.overflows
            )
            for url, each in listeners.udp_by_url.items()
        ),
        streams=tuple(_stream(str(url), each) for url, each in listeners.streams_by_url.items()),
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


def _usage(ledger: UsageLedger) -> UsageFigures | None:
    writer = ledger.writer
    if writer is None:
        return None
    waiting = ledger.recorder.waiting + writer.waiting
    return UsageFigures(writer.failing is not None, waiting, writer.written_at, writer.figures)


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
    return ModeFigures(
        len(core.dialogs), core.settings.dialogs, len(core.transactions), core.counters
    )


def _proxy(parts: Parts) -> ProxyFigures | None:
    if parts.proxying.driver is None:
        return None
    core = parts.proxying.driver.core
    return ModeFigures(
        len(core.open), core.settings.transactions, len(core.transactions), core.counters
    )
