"""Who gets the event loop next: all that read from peers share each of its turns.

A peer may send as fast as the network carries. Without a bound the work on what one of them has
sent holds up everybody else, timers and the systemd watchdog included. So the work of all of them
in one turn of the loop is bounded, and so is the share of each; what is over waits, with reading
paused, and is first in the next turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Protocol
from weakref import WeakKeyDictionary

import structlog

log = structlog.get_logger()

TURN = 0.005
"""Seconds of one turn of the loop that the work for peers may take, all of them together."""
SHARE = 0.002
"""Seconds of it for one connection or socket; less if many wait, but always one message."""

FIRST = 16_384
"""Octets that are handled at once when nobody waits, however long that takes: time is the wall
clock's, and on a busy machine it passes while nothing is done. Over TLS an end that comes behind
them would cut off the answers."""
_ENDING = 0.050
"""Seconds of a turn for those that can't wait for another one, since their connection ends."""

_NOTED = 0.001  # seconds of work after which the end of the turn has to be noticed


class Worker(Protocol):
    """A connection or a socket with messages to handle."""

    def work(self, until: float, least: int) -> bool:
        """Handle at least one message, and more until the time is up.

        Args:
            until: the end of its share, by `perf_counter`.
            least: octets that are handled all the same, if there are so many.

        Returns:
            Whether there is more to do, which is asked for again in a later turn. Must not raise.
        """


class Turns:
    """Shares the turns of one event loop. Use `turns_of`.

    Attributes:
        waiting: how many workers wait for their turn.
    """

    __slots__ = ("_armed", "_clock", "_last", "_loop", "_queue", "_used")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Share the turns of `loop`; `clock` gives seconds."""
        self._loop = loop
        self._clock = clock
        self._queue: deque[Worker] = deque()
        self._used = 0.0  # seconds of this turn
        self._last: Worker | None = None  # who worked last: a loop may read on and on for one
        self._armed = False  # whether the next turn is going to be noticed

    @property
    def waiting(self) -> int:
        """How many workers wait for their turn."""
        return len(self._queue)

    def work(self, worker: Worker) -> bool:
        """Let a worker work at once if there is time and nobody waits before it.

        Returns:
            Whether it waits for a later turn now: it mustn't ask again before its work is done.
        """
        again = worker is self._last and self._used >= SHARE
        if not self._queue and self._used < TURN and not again:
            self._last = worker
            began = self._clock()
            more = worker.work(began + SHARE, FIRST)
            self._used += self._clock() - began
            if self._used > _NOTED and not self._armed:
                self._arm()
            if not more:
                return False
        self._queue.append(worker)
        self._arm()
        return True

    def finish(self, worker: Worker) -> None:
        """Let a worker that can't wait any longer work; the turn may get a little longer."""
        began = self._clock()
        if self._used < _ENDING:
            worker.work(began + _ENDING - self._used, 0)
            self._used += self._clock() - began
            self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        """Those who wait are first; a new one may only come behind them."""
        self._armed = False
        self._used = 0.0
        queue, clock = self._queue, self._clock
        if not queue:
            return
        now = began = clock()
        share = min(SHARE, TURN / len(queue))
        for _ in range(len(queue)):  # each once: others on the loop want their turn as well
            worker = queue.popleft()
            try:
                if worker.work(now + share, 0):
                    queue.append(worker)
            except Exception:  # whoever waits behind it isn't to wait for ever
                log.exception("work_failed", what="turn")
            now = clock()
            if now - began >= TURN:
                break
        self._used = now - began
        if queue:
            self._arm()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The turns of an event loop: one object for all that read there, or the bound is none."""
    turns = _of_loops.get(loop)
    if turns is None:
        turns = _of_loops[loop] = Turns(loop)
    return turns
