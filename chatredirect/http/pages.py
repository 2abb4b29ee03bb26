"""Pages that HTTP serves, and counters; independent of aiohttp."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Page:
    """A page, ready to send."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def text(cls, status: int, *lines: str) -> "Page":
        """A plain text page of some lines."""
        return cls(status, "".join(f"{line}\n" for line in lines).encode())


#: Pages by path, each made when it is asked for.
Pages: TypeAlias = Mapping[str, Callable[[], Awaitable[Page]]]


@dataclass(slots=True)
class HttpCounters:
    """Counts since the start.

    Attributes:
        requests: by page and status; an unknown page is `other`.
        busy: connections over the limit.
        slow: connections that were cut off at the limit of time or octets.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    busy: int = 0
    slow: int = 0
