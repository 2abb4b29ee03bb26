"""Targets that have just failed: left for last for a while (RFC 3263 §4.3)."""

from collections.abc import Sequence

from chatredirect.net.target import Target, TargetAddress

_MOST = 4096  # places; all configured targets together are fewer


class TargetBlocklist:
    """Which places are left for last, and until when."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        """Begin with none."""
        self._until: dict[TargetAddress, float] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def add(self, target: Target, until: float) -> bool:
        """Leave a target for last until then; whether that is news."""
        if len(self._until) >= _MOST:
            self._until.clear()
        known = target.key in self._until
        self._until[target.key] = until
        return not known

    def punished(self, target: Target, now: float) -> bool:
        """Whether a target is left for last."""
        until = self._until.get(target.key)
        if until is None:
            return False
        if now < until:
            return True
        del self._until[target.key]
        return False

    def sort(self, targets: Sequence[Target], now: float) -> list[Target]:
        """Put those that are left for last behind the others, in their order each."""
        if not self._until:
            return list(targets)
        good = [target for target in targets if not self.punished(target, now)]
        if len(good) < len(targets):
            good += [target for target in targets if self.punished(target, now)]
        return good
