"""Log lines of one kind that come by the thousand: some are written, the rest is counted.

When DNS goes away under ten thousand pools, the first hundred lines say what there is to know.
"""

from collections.abc import Callable

LINES = 100
"""Lines of one kind that are written in one period."""
PERIOD = 10.0
"""Seconds."""


class LogBudget:
    """Counts lines by kind."""

    __slots__ = ("_clock", "_ends", "_spent")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back."""
        self._clock = clock
        self._ends = clock() + PERIOD
        self._spent: dict[str, int] = {}

    def allows(self, kind: str) -> bool:
        """Whether one more line of this kind may be written now."""
        spent = self._spent[kind] = self._spent.get(kind, 0) + 1
        return spent <= LINES

    def left_out(self) -> dict[str, int]:
        """At the end of a period: how many lines of each kind were left out in it."""
        now = self._clock()
        if now < self._ends:
            return {}
        self._ends = now + PERIOD
        spent, self._spent = self._spent, {}
        return {kind: count - LINES for kind, count in spent.items() if count > LINES}
