"""Counts of responses by method, transport and status.

No key is ever made of what a peer sent: an unknown method is `other`.
"""

from dataclasses import dataclass
from typing import TypeAlias

#: The methods that are counted by name: those with an RFC, and Microsoft's.
METHODS = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"MESSAGE", b"NOTIFY", b"OPTIONS", b"PRACK",
    b"PUBLISH", b"REFER", b"REGISTER", b"SUBSCRIBE", b"UPDATE", b"BENOTIFY", b"NEGOTIATE",
    b"SERVICE",
))  # fmt: skip
OTHER = b"other"
"""Every other method; no method of a known name is written so."""

#: Responses by method, transport and status code.
Answers: TypeAlias = dict[tuple[bytes, str, int], int]


@dataclass(slots=True)
class Tally:
    """The responses of one endpoint, or of nobody.

    Attributes:
        counts: the responses; with very many endpoints they share one dictionary.
        requests: the requests for this endpoint alone in any case.
    """

    counts: Answers
    requests: int = 0

    def count(self, status: int, method: bytes, transport: str) -> None:
        """Count a response."""
        self.requests += 1
        key = (method if method in METHODS else OTHER, transport, status)
        counts = self.counts
        counts[key] = counts.get(key, 0) + 1


def add(to: Answers, counts: Answers) -> None:
    """Add counts to others."""
    for key, number in counts.items():
        to[key] = to.get(key, 0) + number
