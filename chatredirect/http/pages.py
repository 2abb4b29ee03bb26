"""What there is to be had over HTTP, before anything is known of how it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Page:
    """A page, made.

    Attributes:
        status: the HTTP status code.
        body: what it says.
        content_type: what that is.
    """

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def text(cls, status: int, *lines: str) -> "Page":
        """A page for people, of some lines."""
        return cls(status, "".join(f"{line}\n" for line in lines).encode())


#: Pages by path, each made when it is asked for.
Pages: TypeAlias = Mapping[str, Callable[[], Awaitable[Page]]]


@dataclass(slots=True)
class HttpCounters:
    """Counts since the start.

    Attributes:
        requests: by page and status; a page that there isn't is `other`.
        busy: connections that were one too many.
        slow: connections that were cut off because they took too long.
    """

    requests: dict[tuple[str, int], int] = field(default_factory=dict)
    busy: int = 0
    slow: int = 0

    def answered(self, page: str, status: int) -> None:
        """Count an answer; `page` is one of ours or `other`."""
        key = (page, status)
        self.requests[key] = self.requests.get(key, 0) + 1
