"""What became of each request and each dialog of a load, and the sums that a table shows."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

TIMER_B = 32.0
"""Seconds that a client waits for a response: 64*T1 (RFC 3261 §17.1.1.2)."""


@dataclass(slots=True)
class Request:
    """A client transaction.

    Attributes:
        kind: what it was for, as `redirect` or `pool INFO`.
        call: its Call-ID.
        began: when it was sent first, on the machine's monotonic clock.
        ended: when its final response came, or when it was given up.
        status: of the final response; None if there was none within `TIMER_B`.
        sent: how often it was sent.
        wanted: the status that shows success.
    """

    kind: str
    call: str
    began: float
    wanted: int
    ended: float = 0.0
    status: int | None = None
    sent: int = 0

    @property
    def good(self) -> bool:
        """Whether it was answered as it should be."""
        return self.status == self.wanted


@dataclass(slots=True)
class Dialog:
    """A call or a lookup from its 200 to its end.

    Attributes:
        kind: `call` or `lookup`.
        opened: when its ACK was sent.
        ended: when it ended, by BYE or by a failure.
        failed: which request got what, if one wasn't answered with 200.
        after: when each of its requests after the INVITE that succeeded began, by kind.
    """

    kind: str
    call: str
    opened: float
    ended: float = 0.0
    failed: str = ""
    after: list[tuple[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class Search:
    """A client that looks for its channel service until it has it.

    Attributes:
        began: when its first INVITE was sent.
        ended: when it was told the channel service.
        invites: how many it needed; 1 is the usual.
        found: the URI; empty if it wasn't told.
    """

    began: float
    ended: float = 0.0
    invites: int = 0
    found: str = ""


@dataclass(slots=True)
class Accounts:
    """All of a load."""

    requests: list[Request] = field(default_factory=list)
    dialogs: list[Dialog] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Keep them in a file."""
        path.write_text(json.dumps(asdict(self)))

    def of(self, kinds: Iterable[str]) -> list[Request]:
        """The requests of some kinds."""
        wanted = set(kinds)
        return [each for each in self.requests if each.kind in wanted]

    def lost(self, *kinds: str) -> list[Request]:
        """Those that weren't answered as they should be."""
        return [each for each in self.of(kinds or self.kinds) if not each.good]

    @property
    def kinds(self) -> list[str]:
        """Which there are."""
        return sorted({each.kind for each in self.requests})

    def longest(self, *kinds: str) -> float:
        """Seconds that the slowest good answer took."""
        return max(
            (each.ended - each.began for each in self.of(kinds or self.kinds) if each.good),
            default=0.0,
        )

    def over(self, fault: float, kind: str = "call") -> list[Dialog]:
        """The dialogs that were open at a time."""
        return [
            each for each in self.dialogs if each.kind == kind and each.opened < fault < each.ended
        ]

    def told(self) -> str:
        """For a person, when a test fails."""
        lines = []
        for kind in self.kinds:
            some = self.of([kind])
            wrong = Counter(str(each.status) for each in some if not each.good)
            again = sum(each.sent - 1 for each in some)
            lines.append(
                f"{kind}: {len(some)}, sent again {again}, not good {dict(wrong)}, "
                f"longest {self.longest(kind):.2f} s"
            )
        failed = Counter(f"{each.kind}: {each.failed}" for each in self.dialogs if each.failed)
        lines.append(f"dialogs: {len(self.dialogs)}, failed {dict(failed)}")
        invites = Counter(each.invites for each in self.searches)
        missed = sum(not each.found for each in self.searches)
        lines.append(f"lookups: {len(self.searches)}, by INVITEs {dict(invites)}, without {missed}")
        return "\n".join(lines)


def load(path: Path) -> Accounts:
    """Read what `Accounts.write` wrote."""
    read = json.loads(path.read_text())
    return Accounts(
        [Request(**each) for each in read["requests"]],
        [Dialog(**each) for each in read["dialogs"]],
        [Search(**each) for each in read["searches"]],
    )
