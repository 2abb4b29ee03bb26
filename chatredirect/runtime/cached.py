"""A result that is made when somebody asks, once for all who ask within some seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """The result of `make`, for `fresh` seconds. What it raises is raised, and not kept."""

    __slots__ = ("_fresh", "_lock", "_made", "_make")

    def __init__(self, make: Callable[[], Awaitable[T]], fresh: float) -> None:
        """Make nothing yet."""
        self._make = make
        self._fresh = fresh
        self._made: tuple[T, float] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        """The result."""
        async with self._lock:
            if self._made is None or time.monotonic() - self._made[1] >= self._fresh:
                self._made = await self._make(), time.monotonic()
            return self._made[0]
