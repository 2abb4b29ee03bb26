"""Shows on standard error, at a terminal, how far a command is that takes longer than two seconds.

rich draws it. What is quick pays for nothing: rich is imported when the two seconds are over, by a
timer's thread, so that a bar appears even while the command's own thread is busy for a long time.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chatredirect.runtime.wording import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PATIENCE = 2.0
"""Seconds after which something is shown."""


class Progress:
    """How far a piece of work is; any thread may count."""

    __slots__ = ("_bar", "_lock", "_over", "_timer", "_total", "_what", "done")

    def __init__(self, what: str, total: int | None) -> None:
        """Begin; see `progress`."""
        self.done = 0
        self._what = what
        self._total = total
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._over = False
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        if _at_a_terminal():
            self._timer.start()

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        bar = self._bar
        if bar is not None:
            bar.update(bar.task_ids[0], completed=self.done)

    def close(self) -> None:
        """Take away what is shown."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._bar is not None:
                self._bar.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = [TextColumn("{task.description}"), BarColumn()]
        if self._total is not None:
            columns.append(MofNCompleteColumn())
        bar = RichProgress(
            *columns,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            # what is printed meanwhile comes from the command's own thread
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._lock:
            if not self._over:
                bar.add_task(self._what, total=self._total, completed=self.done)
                bar.start()
                self._bar = bar


def _at_a_terminal() -> bool:
    return is_terminal(sys.stderr) and os.environ.get("TERM", "dumb") != "dumb"


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Show how far something is, for as long as the block runs.

    Args:
        what: what is done, as in "pinging targets".
        total: how much there is to do; None if nobody knows, then the bar only moves.
    """
    shown = Progress(what, total)
    try:
        yield shown
    finally:
        shown.close()
