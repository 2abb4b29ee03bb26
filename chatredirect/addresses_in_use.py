"""Which addresses are those of a target, asked for with each request that a pool sends us.

Counted as the targets of pools come and go: a walk over fifty thousand pools takes milliseconds.
"""

from collections import Counter
from collections.abc import Iterable

from chatredirect.dns.target import Target


class AddressesInUse:
    """Addresses, and how many targets have each."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: Counter[str] = Counter()

    def __contains__(self, address: object) -> bool:
        """Whether a target has it."""
        return address in self._counts

    def exchange(self, before: Iterable[Target], after: Iterable[Target]) -> None:
        """A pool has other targets than before."""
        counts = self._counts
        for target in after:
            counts[target.address] += 1
        for target in before:
            counts[target.address] -= 1
            if not counts[target.address]:
                del counts[target.address]
