"""Shares each turn of the event loop among everything that reads from peers.

A peer may send as fast as the network allows. Without a limit, handling its messages would delay
all others, timers and the systemd watchdog included. So the work for all peers in one turn of the
loop is limited, and so is the share of each. A connection with more to do waits, with reading
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
"""Seconds that the work for all peers may take in one turn of the loop."""
SHARE = 0.002
"""Seconds of a turn for one connection or socket; less if many wait, but at least one message."""

FIRST = 16_384
"""Octets that are handled at once when nobody waits, however long it takes: wall-clock time also
passes while a busy machine runs other processes, and over TLS an end behind these octets would cut
off the responses."""
_ENDING = 0.050  # seconds of a turn for connections that end and so can't wait for another turn
_NOTED = 0.001  # seconds of work after which the next turn has to reset the count


class Worker(Protocol):
    """A connection or a socket with messages to handle."""

    def work(self, until: float, least: int) -> bool:
        """Handle at least one message, and more until the time is up. Must not raise.

        Args:
            until: the end of its share, by `perf_counter`.
            least: octets to handle even if the time is up.

        Returns:
            Whether there is more to do; then it is called again in a later turn.
        """


class Turns:
    """Shares the turns of one event loop. Use `turns_of`."""

    __slots__ = ("_armed", "_clock", "_last", "_loop", "_queue", "_used")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Share the turns of `loop`; `clock` returns seconds."""
        self._loop = loop
        self._clock = clock
        self._queue: deque[Worker] = deque()
        self._used = 0.0  # seconds of this turn
        self._last: Worker | None = None  # worked last: a loop may read for one again and again
        self._armed = False  # whether `_next_turn` will be called

    def work(self, worker: Worker) -> bool:
        """Let a worker work at once if there is time and no other waits.

        Returns:
            Whether it waits for a later turn; then it mustn't call this again before it has worked.
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
        """Let a worker that can't wait work now; the turn may get a little longer."""
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
        # those that wait work first, each once
        self._armed = False
        self._used = 0.0
        queue, clock = self._queue, self._clock
        if not queue:
            return
        now = began = clock()
        share = min(SHARE, TURN / len(queue))
        for _ in range(len(queue)):
            worker = queue.popleft()
            try:
                if worker.work(now + share, 0):
                    queue.append(worker)
            except Exception:  # the workers behind it must get their turn
                log.exception("work_failed", what="turn")
            now = clock()
            if now - began >= TURN:
                break
        self._used = now - began
        if queue:
            self._arm()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The turns of an event loop; everything that reads there must share them."""
    turns = _of_loops.get(loop)
    if turns is None:
        turns = _of_loops[loop] = Turns(loop)
    return turns
