"""The values that refresh by themselves: made once for all readers, while there is one."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chatredirect.control.protocol import ConversationGone
from chatredirect.web.event_stream import EventStream

INTERVAL = 5.0
"""Seconds between two looks at the daemon."""

log = structlog.get_logger()


class LiveValues:
    """Sends each reader all values at first, and then those that have changed."""

    __slots__ = ("_changed", "_make", "_readers", "_task", "_values")

    def __init__(self, make: Callable[[], Awaitable[dict[str, str]]]) -> None:
        """Make nothing yet; `make` gives texts by the ids of their elements."""
        self._make = make
        self._values: dict[str, str] = {}
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def serve(self, stream: EventStream) -> None:
        """Refresh one page until its reader goes."""
        self._readers += 1
        try:
            if self._task is None:
                self._values = await self._make()
                if self._task is None:
                    self._task = asyncio.create_task(self._refresh())
            seen: dict[str, str] = {}
            while True:
                values = self._values
                news = {name: text for name, text in values.items() if seen.get(name) != text}
                await stream.send("values", news)
                seen = values
                await self._changed.wait()
        except ConversationGone:
            pass
        finally:
            self._readers -= 1
            if not self._readers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                self._values = await self._make()
            except Exception:  # a fault of ours: the next look may be luckier
                log.exception("page_not_refreshed")
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
