"""Readings: requests and what became of them."""

from collections.abc import Iterator

from chatredirect.config import ListenUrl
from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View
from chatredirect.responses.counters import Answers, Counters
from chatredirect.transport.connection_settings import ConnectionSettings
from chatredirect.transport.udp_listener import UdpListener

NOBODY = "none"
"""The label of what was for no endpoint."""
ALL = "all"
"""The label of all endpoints together. No endpoint's address is like these: it has a scheme."""


def readings(view: View) -> Iterator[Reading]:
    """What was asked, and what was answered."""
    counters = view.service.counters
    yield catalogue.REQUESTS, _answers(counters)
    yield catalogue.DROPPED, [((reason,), number) for reason, number in counters.drops.items()]
    yield catalogue.MALFORMED, [((fault,), number) for fault, number in counters.faults.items()]
    listeners = view.service.listeners
    opened = {} if listeners is None else listeners.open
    datagrams = [(url, each) for url, each in opened.items() if isinstance(each, UdpListener)]
    streams = [
        (url, each.settings) for url, each in opened.items() if not isinstance(each, UdpListener)
    ]
    counted: list[tuple[ListenUrl, UdpListener | ConnectionSettings]] = [*datagrams, *streams]
    yield catalogue.LATENCY, [((str(url),), each.latency) for url, each in counted]
    yield catalogue.FAILURES, [((str(url),), each.failures) for url, each in counted]
    yield catalogue.UNSENT, [((str(url),), each.unsent) for url, each in datagrams]
    overflows = [(url, each.overflows) for url, each in datagrams]
    yield (
        catalogue.OVERFLOWS,
        [((str(url),), number) for url, number in overflows if number is not None],
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
