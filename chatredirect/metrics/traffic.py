"""Readings: requests, connections, lookups, proxied requests and their transactions."""

from collections.abc import Iterator, Mapping

from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, Samples
from chatredirect.responses.counters import Answers, Counters
from chatredirect.service.read_model import (
    DatagramFigures,
    LookupFigures,
    OutgoingFigures,
    ProxyFigures,
    ReadModel,
    StreamFigures,
)
from chatredirect.transport.admission import REASONS

NOBODY = "none"
"""The label of what was for no endpoint."""
ALL = "all"
"""The label of all endpoints together. No endpoint's address is like these: it has a scheme."""


def readings(model: ReadModel) -> Iterator[Reading]:
    """Give what was asked, what was answered, and who is connected."""
    yield from _requests(model)
    yield from _connections(model)
    if model.lookups is not None:
        yield from _lookups(model.lookups)
    if model.outgoing is not None:
        yield from _outgoing(model.outgoing)
    if model.proxy is not None:
        yield from _proxy(model.proxy)
    yield from _transactions(model)


def _by(label: Mapping[str, int]) -> Samples:
    return [((name,), number) for name, number in label.items()]


def _requests(model: ReadModel) -> Iterator[Reading]:
    counters, datagrams = model.counters, model.datagrams
    yield catalogue.REQUESTS, _answers(counters)
    yield catalogue.DROPPED, _by(counters.drops)
    yield catalogue.MALFORMED, _by(counters.faults)
    counted: list[DatagramFigures | StreamFigures] = [*datagrams, *model.streams]
    yield catalogue.LATENCY, [((each.url,), each.latency) for each in counted]
    yield catalogue.FAILURES, [((each.url,), each.failures) for each in counted]
    yield catalogue.UNSENT, [((each.url,), each.unsent) for each in datagrams]
    yield (
        catalogue.OVERFLOWS,
        [((each.url,), each.overflows) for each in datagrams if each.overflows is not None],
    )


def _answers(counters: Counters) -> Iterator[tuple[tuple[str, ...], float]]:
    """A sample for each that was counted. Others may count on while this goes on."""
    yield from _of(NOBODY, counters.nobody.counts)
    if counters.together is not None:
        yield from _of(ALL, counters.together)
        return
    for endpoint, tally in list(counters.endpoints.items()):
        yield from _of(endpoint, tally.counts)


def _of(endpoint: str, counts: Answers) -> Iterator[tuple[tuple[str, ...], float]]:
    for (method, transport, status), number in list(counts.items()):
        yield (endpoint, method.decode("ascii"), transport, str(status)), number


def _connections(model: ReadModel) -> Iterator[Reading]:
    if model.connections is None:
        return
    streams = model.streams
    yield catalogue.CONNECTIONS, [((each.url,), each.connections) for each in streams]
    yield catalogue.CONNECTIONS_MOST, [((), model.connections.most)]
    yield catalogue.BEGUN, [((each.url,), each.begun) for each in streams]
    yield (
        catalogue.CLOSED,
        [
            ((each.url, reason), number)
            for each in streams
            for reason, number in each.closed.items()
        ],
    )
    # from 0 on, so that the first one is seen as an increase
    refused = dict.fromkeys(REASONS, 0) | dict(model.connections.refused)
    refused["file_descriptors"] = sum(each.exhausted for each in streams)
    yield catalogue.REFUSED, _by(refused)
    yield catalogue.EXPIRY, [((file,), until) for file, until in model.expiries.items()]
    yield (
        catalogue.RENEWALS,
        [(("done",), model.renewed), (("refused",), model.renewals_refused)],
    )


def _lookups(lookups: LookupFigures) -> Iterator[Reading]:
    counters = lookups.counters
    yield catalogue.LOOKUPS, [((), lookups.dialogs)]
    yield catalogue.LOOKUPS_MOST, [((), lookups.most)]
    yield catalogue.LOOKUPS_BEGUN, [((), counters.begun)]
    yield (
        catalogue.LOOKUP_ANSWERS,
        [
            (("found",), counters.found),
            (("not_found",), counters.not_found),
            (("unknown",), counters.unknown),
        ],
    )
    yield catalogue.LOOKUPS_ENDED, _by(counters.ended)


def _outgoing(outgoing: OutgoingFigures) -> Iterator[Reading]:
    yield catalogue.OUTGOING, [((), outgoing.connections)]
    yield catalogue.OUTGOING_WAITING, [((), outgoing.waiting)]
    yield catalogue.OUTGOING_BEGUN, [((), outgoing.opened)]
    yield catalogue.OUTGOING_FAILED, _by(outgoing.failed)
    yield catalogue.OUTGOING_CLOSED, _by(outgoing.closed)


def _proxy(proxy: ProxyFigures) -> Iterator[Reading]:
    counters = proxy.counters
    yield catalogue.PROXY_OPEN, [((), proxy.open)]
    yield catalogue.PROXY_MOST, [((), proxy.most)]
    yield (
        catalogue.PROXIED,
        [((kind,), counters.forwarded.get(kind, 0)) for kind in ("new", "dialog", "stateless")],
    )
    yield catalogue.PROXY_TOOK, [((), counters.took)]
    yield catalogue.PROXY_RESPONSES, [((), counters.responses)]
    yield catalogue.PROXY_LATE, [((), counters.late)]
    yield catalogue.PROXY_CANCELLED, [((), counters.cancelled)]
    yield catalogue.PROXY_FAILOVERS, [((), counters.failovers)]
    yield catalogue.PROXY_FAILURES, _by(counters.failures)
    yield catalogue.PROXY_REFUSED, _by(counters.refused)


def _transactions(model: ReadModel) -> Iterator[Reading]:
    modes = {"lookup": model.lookups, "proxy": model.proxy}
    there = {name: mode for name, mode in modes.items() if mode is not None}
    yield catalogue.TRANSACTIONS, [((name,), mode.transactions) for name, mode in there.items()]
    yield (
        catalogue.RETRANSMISSIONS,
        [
            ((name, direction), number)
            for name, mode in there.items()
            for direction, number in (
                ("in", mode.counters.retransmissions),
                ("out", mode.counters.resent),
            )
        ],
    )
