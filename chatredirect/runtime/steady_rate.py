"""Whether something goes on at a rate for so long that it is no accident.

A burst says nothing: a front end that comes back has much to say at once, and a pool's answers may
be late all together. What exceeds the rate in each second of ten in a row is meant.
"""

SECONDS = 10
"""So many seconds in a row."""


class SteadyRate:
    """Counts what happens in each second; for one connection and one kind of thing."""

    __slots__ = ("_count", "_row", "_second")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._second = 0
        self._count = 0  # in this second
        self._row = 0  # seconds before it, one after the other, in which it was too many

    def exceeded(self, now: float, most: int) -> bool:
        """It has happened once more; whether it has been too often for too long.

        Args:
            now: seconds that never go back.
            most: how many a second are all right.
        """
        second = int(now)
        if second != self._second:
            too_many = self._count > most and second == self._second + 1
            self._row = self._row + 1 if too_many else 0
            self._second, self._count = second, 0
        self._count += 1
        return self._count > most and self._row >= SECONDS - 1
