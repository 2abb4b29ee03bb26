"""A histogram of durations; an observation costs one search in a short tuple, two additions."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""The buckets' upper bounds, in seconds; the last bucket has none."""


@dataclass(slots=True)
class Histogram:
    """Durations in buckets.

    Attributes:
        counts: observations in each bucket; the last one has no upper bound.
        seconds: the sum of all observations.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count an observation `times` times."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.seconds += seconds * times

    @property
    def buckets(self) -> Iterator[tuple[float, int]]:
        """Each upper bound and the number of observations up to it; the last is infinite."""
        total = 0
        for bound, count in zip((*BOUNDS, inf), self.counts, strict=True):
            total += count
            yield bound, total
