"""What there is to be had over HTTP, before anything is known of how it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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
