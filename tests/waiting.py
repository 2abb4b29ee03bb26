"""Waiting for something to come true, with a generous end."""

import asyncio
import time
from collections.abc import Callable

LONGEST = 20.0


async def wait_until(what: Callable[[], bool], seconds: float = LONGEST) -> None:
    """Return when `what` is true; fail if it doesn't become so."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it didn't come true in time"
        await asyncio.sleep(0.02)
