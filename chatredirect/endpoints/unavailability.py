"""An endpoint that isn't open just now: in maintenance, disabled, or not active before its time."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unavailability:
    """Why an endpoint serves nobody.

    Attributes:
        disabled: whether it is as if it weren't there, rather than in maintenance.
        until: when it opens by itself, in seconds since the epoch; None if it doesn't.
        why: for people: printable ASCII without quotes.
        wall: seconds since the epoch.
    """

    disabled: bool
    until: float | None
    why: str
    wall: Callable[[], float]

    def retry_after(self, most: int) -> int:
        """Seconds after which to come again: not later than it opens, but for the first second.

        Args:
            most: seconds that callers are told to wait otherwise.
        """
        if self.until is None:
            return most
        return max(1, min(most, math.ceil(self.until - self.wall())))
