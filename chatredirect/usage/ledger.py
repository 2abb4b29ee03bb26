"""The ledger in the running daemon: from the recorder to the writer, every ten seconds.

Nothing here fails a configuration or a request: what is wrong with a ledger is in the log.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import structlog

from chatredirect.config.usage_section import StoreAddress, UsageSettings
from chatredirect.runtime.regular_file import in_thread
from chatredirect.usage.pseudonyms import naming, unnamed
from chatredirect.usage.recorder import UsageRecorder
from chatredirect.usage.tally import DAY

if TYPE_CHECKING:
    from chatredirect.usage.writer import UsageWriter

INTERVAL = 10.0
"""Seconds between two batches: what a kill -9 loses at most."""
HEARTBEAT = 3600.0
"""Seconds after which a batch without uses is written, which says that an instance ran."""
GOODBYE = 5.0
"""Seconds that the stop waits for the store."""

log = structlog.get_logger()


class UsageLedger:
    """One ledger, or none; a reload may change which.

    Attributes:
        recorder: takes the uses.
        writer: None where no ledger is kept.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        """Keep none yet; `environment` is the process's, `clock` gives seconds since 1970."""
        self.recorder = UsageRecorder(clock)
        self.writer: UsageWriter | None = None
        self._state_directory = environment.get("STATE_DIRECTORY")
        self._clock = clock
        self._interval = interval
        self._address: StoreAddress | None = None
        self._settings: UsageSettings | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = -HEARTBEAT

    async def serve(self, settings: UsageSettings) -> None:
        """Go by a configuration from now on. What was counted before goes where it belongs."""
        before, self._settings = self._settings, settings
        if before == settings:
            return
        address = settings.address(self._state_directory)
        if address != self._address:
            await self._end_writer()
        self._address = address
        if address is None:
            self.recorder.on = False
            return
        self.recorder.name_callers(await self._naming(settings, address))
        if self.writer is None:
            self.writer = await in_thread(partial(_start, address, settings.keep, self._interval))
            self._sent_at = -HEARTBEAT
        self.writer.keep = settings.keep
        self.recorder.on = True
        if self._timer is None:
            self._tick()  # at once: a store that can't be used is noticed at the start

    async def close(self) -> None:
        """Write what is left, for at most `GOODBYE` seconds."""
        self.recorder.on = False
        await self._end_writer()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._tick)
        writer, now = self.writer, self._clock()
        if writer is None or not writer.idle:
            return
        quiet = 0 <= now - self._sent_at < HEARTBEAT and now // DAY == self._sent_at // DAY
        if self.recorder.waiting or not quiet:
            self._sent_at = now
            writer.submit(self.recorder.take())

    async def _end_writer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close(self.recorder.take())
            await in_thread(partial(writer.join, GOODBYE))

    async def _naming(
        self, settings: UsageSettings, address: StoreAddress
    ) -> Callable[[bytes], str]:
        try:
            return await in_thread(partial(naming, settings, address))
        except (OSError, ValueError) as error:
            log.error(
                "usage_key_unreadable",
                why=str(error),
                what="callers aren't told apart: no name is kept without the key",
                remedy="let the service's user read it, and reload",
            )
            return unnamed


def _start(address: StoreAddress, keep: int, interval: float) -> "UsageWriter":
    # in a thread: SQLAlchemy takes a while, and only who keeps a ledger needs it
    from chatredirect.usage.store import UsageStore  # noqa: PLC0415
    from chatredirect.usage.writer import SLICE_REST, UsageWriter  # noqa: PLC0415

    pause = partial(time.sleep, SLICE_REST)
    return UsageWriter(lambda: UsageStore(address, pause), keep, interval)
