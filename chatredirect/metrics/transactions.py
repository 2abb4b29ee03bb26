"""Readings: the transactions that SIP remembers, of lookups and of the proxy."""

from collections.abc import Iterator

from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View


def readings(view: View) -> Iterator[Reading]:
    """How many there are, and what was said more than once."""
    transactions: dict[str, int] = {}
    repeated: dict[str, tuple[int, int]] = {}
    lookups, proxying = view.service.lookups, view.service.proxying
    if lookups is not None and lookups.driver is not None:
        core = lookups.driver.core
        transactions["lookup"] = len(core.transactions)
        repeated["lookup"] = (core.counters.retransmissions, core.counters.resent)
    if proxying is not None and proxying.driver is not None:
        proxy = proxying.driver.core
        transactions["proxy"] = len(proxy.transactions)
        repeated["proxy"] = (proxy.counters.retransmissions, proxy.counters.resent)
    yield catalogue.TRANSACTIONS, [((role,), number) for role, number in transactions.items()]
    yield (
        catalogue.RETRANSMISSIONS,
        [
            ((role, direction), number)
            for role, both in repeated.items()
            for direction, number in zip(("in", "out"), both, strict=True)
        ],
    )
