"""The thread that writes batches: a store that is slow, full or away delays no response.

It holds one batch. As long as that one can't be written, nothing more is taken of the recorder,
where uses go on being added up within its bounds; so an outage of any length takes bounded memory,
and loses nothing but the names over the bound.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from chatredirect.usage.store_faults import StoreFault
from chatredirect.usage.tally import DAY, Batch, LedgerFigures

FIGURES_EVERY = 300.0
"""Seconds after which the store's figures are worked out again."""
SLICE_REST = 0.002
"""Seconds that the thread rests between slices, so that it holds the interpreter for short."""

log = structlog.get_logger()


class BatchStore(Protocol):
    """What a writer needs of a store; see `usage.store`."""

    @property
    def address(self) -> object:
        """Where it is, printable."""

    def write(self, batch: Batch, *, last: bool = False) -> bool:
        """Add a batch once. Raises StoreFault."""

    def prune(self, now: float, keep: int) -> None:
        """Remove what is older. Raises StoreFault."""

    def figures(self, now: float) -> LedgerFigures:
        """What it comes to. Raises StoreFault."""


class UsageWriter:
    """One thread for one store.

    Attributes:
        keep: days that uses are kept.
        written: batches that were written.
        written_at: when the last one was, in seconds since 1970; 0 before the first.
        figures: what the store came to lately; None before that is known.
        failing: why batches can't be written; None if they can.
    """

    def __init__(
        self,
        store: Callable[[], BatchStore],
        keep: int,
        interval: float,
    ) -> None:
        """Start the thread; it calls `store` once, before the first batch.

        `interval`: seconds between two attempts.
        """
        self.keep = keep
        self.written = 0
        self.written_at = 0.0
        self.figures: LedgerFigures | None = None
        self.failing: str | None = None
        self._make_store = store
        self._store: BatchStore | None = None
        self._interval = interval
        self._wanted = threading.Condition()
        self._batch: Batch | None = None
        self._closing = False
        self._last = Batch(0.0, {})
        self._failing_since = 0.0
        self._pruned = -1
        self._figured_at = -FIGURES_EVERY
        self._thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether it would take a batch."""
        return self._batch is None and not self._closing

    @property
    def waiting(self) -> int:
        """Rows of the batch that isn't written yet."""
        batch = self._batch
        return 0 if batch is None else len(batch.uses)

    def submit(self, batch: Batch) -> None:
        """Have a batch written, if the writer is idle. Never waits for the store."""
        with self._wanted:  # never held while something is written
            assert self.idle
            self._batch = batch
            self._wanted.notify()

    def close(self, last: Batch) -> None:
        """Have what waits and a last batch tried once more, and end; never waits for the store."""
        with self._wanted:
            if not self._closing:
                self._last, self._closing = last, True
                self._wanted.notify()

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end, after `close`. Returns whether everything was written."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.error("usage_lost", why="the store didn't answer in time", seconds=seconds)
            return False
        return self.failing is None

    def _run(self) -> None:
        while True:
            with self._wanted:
                while self._batch is None and not self._closing:
                    self._wanted.wait()
                batch, closing = self._batch, self._closing
            if batch is not None and not closing:
                if self._tried(batch):
                    self._batch = None
                else:
                    self._rest()
            if closing:
                self._end()
                return

    def _end(self) -> None:
        waiting = [self._last] if self._batch is None else [self._batch, self._last]
        # the last one is written without uses, too: it says that nothing is missing
        while waiting and self._tried(waiting[0], last=len(waiting) == 1):
            del waiting[0]
        lost = sum(batch.total for batch in waiting)
        if lost:
            log.error("usage_lost", uses=lost, why=self.failing)

    def _rest(self) -> None:
        """Wait for the next attempt, or for the end, which is the last."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._closing, self._interval)

    def _tried(self, batch: Batch, *, last: bool = False) -> bool:
        """Whether a batch is in the store now."""
        try:
            if self._store is None:
                self._store = self._make_store()
            self._store.write(batch, last=last)
        except StoreFault as fault:
            self._failed(str(fault.address), fault.why, fault.remedy)
            return False
        except Exception as error:  # a fault of ours must not end the thread: the next may pass
            if self.failing is None:
                log.exception("usage_writer_failed")
            self._failed("", type(error).__name__, "report it, with the lines above")
            return False
        self.written += 1
        self.written_at = batch.at
        if self.failing is not None:
            seconds = round(time.monotonic() - self._failing_since, 1)
            log.warning("usage_stored_again", store=str(self._store.address), after=seconds)
            self.failing = None
        self._prune(self._store, batch.at)
        if not last:
            self._work_out(self._store, batch.at)
        return True

    def _failed(self, store: str, why: str, remedy: str) -> None:
        """Say what is wrong, once until it is over."""
        if self.failing is None:
            self._failing_since = time.monotonic()
            log.error(
                "usage_not_stored",
                store=store,
                why=why,
                remedy=remedy,
                what="uses wait in memory, and requests are answered as before",
            )
        self.failing = why

    def _work_out(self, store: BatchStore, now: float) -> None:
        """Work out the figures, if that was long ago."""
        if time.monotonic() - self._figured_at < FIGURES_EVERY:
            return
        self._figured_at = time.monotonic()  # whatever comes of it: the next try is as long away
        try:
            self.figures = store.figures(now)
        except StoreFault as fault:
            log.debug("usage_not_worked_out", why=fault.why)
        except Exception:  # a fault of ours must not end the thread: uses can still be written
            log.exception("usage_writer_failed")

    def _prune(self, store: BatchStore, now: float) -> None:
        """Remove what is too old, once a day."""
        today = int(now // DAY)
        if today == self._pruned:
            return
        try:
            store.prune(now, self.keep)
            self._pruned = today
        except StoreFault as fault:  # the next batch tells, if it is hit as well
            log.debug("usage_not_pruned", why=fault.why)
