"""Readings: lookups."""

from collections.abc import Iterator

from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View


def readings(view: View) -> Iterator[Reading]:
    """What is under way, and what came of it. Nothing as long as there was no such endpoint."""
    lookups, settings = view.service.lookups, view.service.settings
    driver = None if lookups is None else lookups.driver
    if driver is None or settings is None:
        return
    core = driver.core
    counters = core.counters
    yield catalogue.LOOKUPS, [((), len(core.dialogs))]
    yield catalogue.LOOKUPS_MOST, [((), core.rules.dialogs)]
    yield catalogue.LOOKUPS_BEGUN, [((), counters.begun)]
    yield (
        catalogue.LOOKUP_ANSWERS,
        [
            (("found",), counters.found),
            (("not_found",), counters.not_found),
            (("unknown",), counters.unknown),
        ],
    )
    yield catalogue.LOOKUPS_ENDED, [((why,), number) for why, number in counters.ended.items()]
