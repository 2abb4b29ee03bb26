"""What came over HTTP, as plain integers."""

from dataclasses import dataclass, field


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
