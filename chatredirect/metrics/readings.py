"""Readings: the daemon, requests, connections, lookups, proxied requests, transactions."""

import asyncio
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeVar

import chatredirect
from chatredirect import codec
from chatredirect.endpoints.response_counts import Answers
from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View, by_label
from chatredirect.responses.counters import Counters
from chatredirect.service.read_model import (
    DatagramFigures,
    LookupFigures,
    OutgoingFigures,
    ProxyFigures,
    ReadModel,
    StreamFigures,
)
from chatredirect.transport.admission import REASONS
from chatredirect.usage.tally import LedgerFigures

K = TypeVar("K")

NOBODY = "none"
"""The label of requests for no endpoint."""
ALL = "all"
"""The label of all endpoints together. No endpoint's address is like these: it has a scheme."""
_SLICE = 1000  # endpoints in a row


def daemon_readings(view: View, model: ReadModel, *, ready: bool, now: float) -> Iterator[Reading]:
    """The daemon itself, its control socket and HTTP; `now` in seconds since the epoch."""
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    build = (chatredirect.__version__, platform.python_version(), loop, codec.NAME)
    reloader, control, http = view.reloader, view.control, view.http
    yield catalogue.BUILD, [(build, 1)]
    yield catalogue.STARTED, [((), view.started)]
    yield catalogue.READY, [((), ready)]
    yield catalogue.DRAINING, [((), model.draining)]
    yield catalogue.RELOADS, by_label({"done": reloader.done, "refused": reloader.refused})
    yield catalogue.CONFIGURED, [((), model.since)]
    yield from _endpoints(model, now)
    yield catalogue.LAG, [((), view.lag.seen)]
    yield catalogue.LOG_DROPPED, [((), view.sink.dropped)]
    if model.usage is not None:
        yield catalogue.USAGE_FAILING, [((), model.usage.failing)]
        yield catalogue.USAGE_WAITING, [((), model.usage.waiting)]
        yield catalogue.USAGE_WRITTEN, [((), model.usage.written_at)]
        if model.usage.ledger is not None:
            yield from _ledger(model, model.usage.ledger)
    yield catalogue.CONTROL, by_label(control.requests)
    faults = ("refused", "failed", "unknown", "garbage", "slow", "busy", "unread")
    yield catalogue.CONTROL_FAULTS, [((name,), getattr(control, name)) for name in faults]
    yield (
        catalogue.HTTP,
        [((page, str(status)), number) for (page, status), number in http.requests.items()],
    )
    yield catalogue.HTTP_REFUSED, by_label({"busy": http.busy, "slow": http.slow})


def _ledger(model: ReadModel, ledger: LedgerFigures) -> Iterator[Reading]:
    yield catalogue.USAGE_LAST, list(_last_uses(model, ledger))
    yield catalogue.USAGE_CALLERS, _by_peers(ledger.callers)
    yield catalogue.USAGE_FAMILIES, _by_peers(ledger.families)


def _last_uses(model: ReadModel, ledger: LedgerFigures) -> Iterator[tuple[tuple[str, ...], float]]:
    if model.counters.together is not None:
        return
    for endpoint in model.directory:
        address = endpoint.address
        last = ledger.last.get((address, True))
        # strangers don't decide where trusted peers alone are served, as in the verdict
        if endpoint.settings.peers == "anyone" and endpoint.settings.mode == "redirect":
            last = max(last or 0.0, ledger.last.get((address, False), 0.0))
        if last:
            yield (address,), last


def _by_peers(figures: Mapping[tuple[K, bool], int]) -> list[tuple[tuple[str, ...], float]]:
    return [
        ((str(key), "trusted" if trusted else "stranger"), number)
        for (key, trusted), number in figures.items()
    ]


def _endpoints(model: ReadModel, now: float) -> Iterator[Reading]:
    endpoints = list(model.directory)
    sums: Counter[tuple[str, ...]] = Counter()
    for start in range(0, len(endpoints), _SLICE):
        sums.update(
            (each.settings.mode, each.settings.state_at(now))
            for each in endpoints[start : start + _SLICE]
        )
        yield None
    yield catalogue.ENDPOINTS, list(sums.items())


def traffic_readings(model: ReadModel) -> Iterator[Reading]:
    """Requests, responses, connections, lookups, proxied requests."""
    yield from _requests(model)
    yield from _connections(model)
    if model.lookups is not None:
        yield from _lookups(model.lookups)
    if model.outgoing is not None:
        yield from _outgoing(model.outgoing)
    if model.proxy is not None:
        yield from _proxy(model.proxy)
    yield from _transactions(model)


def _requests(model: ReadModel) -> Iterator[Reading]:
    counters, datagrams = model.counters, model.datagrams
    yield catalogue.REQUESTS, _answers(counters)
    yield catalogue.DROPPED, by_label(counters.drops)
    yield catalogue.MALFORMED, by_label(counters.faults)
    counted: list[DatagramFigures | StreamFigures] = [*datagrams, *model.streams]
    yield catalogue.LATENCY, [((each.url,), each.latency) for each in counted]
    yield catalogue.FAILURES, [((each.url,), each.failures) for each in counted]
    yield catalogue.UNSENT, [((each.url,), each.unsent) for each in datagrams]
    yield (
        catalogue.OVERFLOWS,
        [((each.url,), each.overflows) for each in datagrams if each.overflows is not None],
    )
    totals = counters.refusals.totals  # all reasons from 0 on: the first one is an increase
    yield catalogue.REFUSALS, [((reason.value,), each.count) for reason, each in totals.items()]


def _answers(counters: Counters) -> Iterator[tuple[tuple[str, ...], float]]:
    # in copies: requests are counted while this goes on
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
    yield catalogue.REFUSED, by_label(refused)
    yield catalogue.EXPIRY, [((file,), until) for file, until in model.expiries.items()]
    renewals = {"done": model.renewed, "refused": model.renewals_refused}
    yield catalogue.RENEWALS, by_label(renewals)


def _lookups(lookups: LookupFigures) -> Iterator[Reading]:
    counters = lookups.counters
    yield catalogue.LOOKUPS, [((), lookups.open)]
    yield catalogue.LOOKUPS_MOST, [((), lookups.most)]
    yield catalogue.LOOKUPS_BEGUN, [((), counters.begun)]
    answers = {
        "found": counters.found,
        "not_found": counters.not_found,
        "unknown": counters.unknown,
    }
    yield catalogue.LOOKUP_ANSWERS, by_label(answers)
    yield catalogue.LOOKUPS_ENDED, by_label(counters.ended)


def _outgoing(outgoing: OutgoingFigures) -> Iterator[Reading]:
    yield catalogue.OUTGOING, [((), outgoing.connections)]
    yield catalogue.OUTGOING_WAITING, [((), outgoing.waiting)]
    yield catalogue.OUTGOING_BEGUN, [((), outgoing.opened)]
    yield catalogue.OUTGOING_FAILED, by_label(outgoing.failed)
    yield catalogue.OUTGOING_CLOSED, by_label(outgoing.closed)


def _proxy(proxy: ProxyFigures) -> Iterator[Reading]:
    counters = proxy.counters
    yield catalogue.PROXY_OPEN, [((), proxy.open)]
    yield catalogue.PROXY_MOST, [((), proxy.most)]
    kinds = ("new", "dialog", "stateless")
    yield catalogue.PROXIED, [((kind,), counters.forwarded.get(kind, 0)) for kind in kinds]
    yield catalogue.PROXY_TOOK, [((), counters.took)]
    yield catalogue.PROXY_RESPONSES, [((), counters.responses)]
    yield catalogue.PROXY_LATE, [((), counters.late)]
    yield catalogue.PROXY_CANCELLED, [((), counters.cancelled)]
    yield catalogue.PROXY_FAILOVERS, [((), counters.failovers)]
    yield catalogue.PROXY_FAILURES, by_label(counters.failures)
    yield catalogue.PROXY_REFUSED, by_label(counters.refused)


def _transactions(model: ReadModel) -> Iterator[Reading]:
    modes = {"lookup": model.lookups, "proxy": model.proxy}
    there = {name: mode for name, mode in modes.items() if mode is not None}
    yield catalogue.TRANSACTIONS, [((name,), mode.transactions) for name, mode in there.items()]
    repeated = []
    for name, mode in there.items():
        repeated.append(((name, "in"), mode.counters.retransmissions))
        repeated.append(((name, "out"), mode.counters.resent))
    yield catalogue.RETRANSMISSIONS, repeated
