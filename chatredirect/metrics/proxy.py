"""Readings: what is passed on, and the connections to targets."""

from collections.abc import Iterator

from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View


def readings(view: View) -> Iterator[Reading]:
    """What goes to targets. Nothing of the proxy as long as there was no such endpoint."""
    outward, proxying = view.service.outward, view.service.proxying
    if outward is not None:
        outgoing = outward.outgoing
        yield catalogue.OUTGOING, [((), outgoing.connections)]
        yield catalogue.OUTGOING_WAITING, [((), outgoing.waiting)]
        yield catalogue.OUTGOING_BEGUN, [((), outgoing.opened)]
        yield (
            catalogue.OUTGOING_FAILED,
            [((reason,), number) for reason, number in outgoing.failed.items()],
        )
        yield (
            catalogue.OUTGOING_CLOSED,
            [((reason,), number) for reason, number in outgoing.settings.closed.items()],
        )
    if proxying is None or proxying.driver is None:
        return
    core = proxying.driver.core
    counters = core.counters
    yield catalogue.PROXY_OPEN, [((), len(core.open))]
    yield catalogue.PROXY_MOST, [((), core.rules.transactions)]
    yield (
        catalogue.PROXIED,
        [((kind,), counters.forwarded.get(kind, 0)) for kind in ("new", "dialog", "stateless")],
    )
    yield catalogue.PROXY_TOOK, [((), counters.took)]
    yield catalogue.PROXY_RESPONSES, [((), counters.responses)]
    yield catalogue.PROXY_LATE, [((), counters.late)]
    yield catalogue.PROXY_CANCELLED, [((), counters.cancelled)]
    yield catalogue.PROXY_FAILOVERS, [((), counters.failovers)]
    yield (
        catalogue.PROXY_FAILURES,
        [((reason,), number) for reason, number in counters.failures.items()],
    )
    yield (
        catalogue.PROXY_REFUSED,
        [((reason,), number) for reason, number in counters.refused.items()],
    )
