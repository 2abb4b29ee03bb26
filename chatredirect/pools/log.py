"""Logs changes of pools; a refresh without a change is logged at debug only.

When DNS fails for ten thousand pools, only the first lines of each event are written; the others
are counted, and the count is logged.
"""

from collections.abc import Callable

import structlog

from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool, PoolChange, PoolEvent
from chatredirect.runtime.rate_limiter import LogBudget

TARGETS_SHOWN = 8
"""Targets that one line names."""

log = structlog.get_logger()


class PoolLog:
    """Writes lines about pools, within a budget for each kind."""

    __slots__ = ("_budget",)

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds of a monotonic clock."""
        self._budget = LogBudget(clock)

    def change(self, pool: Pool, change: PoolChange) -> None:
        """Log an event of a pool; the event's value is the log event's name."""
        event = change.event
        if not self._budget.allows(event.value):
            return
        fields: dict[str, object] = {}
        if change.added:
            fields["targets" if event is PoolEvent.RESOLVED else "added"] = _shown(change.added)
        if change.removed:
            fields["removed"] = _shown(change.removed)
        if change.reason:
            fields["why"] = change.reason
        if event in (PoolEvent.STALE, PoolEvent.FAILED):
            log.warning(event.value, **_where(pool), **fields)
        else:
            log.info(event.value, **_where(pool), **fields)

    def resolved(self, pool: Pool, seconds: float) -> None:
        """Log the end of a resolution at debug; the next is due in `seconds`."""
        failing = pool.stale or ("" if pool.usable else pool.reason)
        log.debug(
            "pool_looked_up",
            **_where(pool),
            targets=_shown(pool.targets),
            next_in=round(seconds, 1),
            **({"why": failing} if failing else {}),
        )

    def notes(self, pool: Pool) -> None:
        """Log that other records than before were left out of DNS's answer."""
        if pool.notes and self._budget.allows("pool_answer_cut"):
            left_out = list(pool.notes[:TARGETS_SHOWN])
            log.warning("pool_answer_cut", **_where(pool), left_out=left_out, count=len(pool.notes))

    def usable(self, pool: Pool) -> None:
        """Log that pings have made a pool usable or unusable."""
        if pool.usable and self._budget.allows("pool_up"):
            log.info("pool_up", **_where(pool), live=_shown(pool.live))
        elif not pool.usable and self._budget.allows("pool_down"):
            log.warning("pool_down", **_where(pool), why=pool.reason)

    def report_left_out(self) -> None:
        """Log how many lines were left out since the last time."""
        for kind, count in self._budget.left_out().items():
            log.warning("log_lines_left_out", event_name=kind, count=count)


def _where(pool: Pool) -> dict[str, object]:
    where: dict[str, object] = {"pool": pool.fqdn}
    if pool.port is not None:
        where["port"] = pool.port
    if pool.transport is not None:
        where["transport"] = pool.transport
    return where


def _shown(targets: tuple[Target, ...]) -> list[str]:
    """The first few targets, and how many more there are."""
    shown = [str(target) for target in targets[:TARGETS_SHOWN]]
    more = len(targets) - len(shown)
    return [*shown, f"and {more} more"] if more else shown
