"""What the proxy remembers of targets and pools, apart from open requests."""

from collections.abc import Iterable, Mapping, Sequence, Set

from chatredirect.net.addresses import Transport
from chatredirect.net.target import PoolAddress, Target, TargetAddress
from chatredirect.sip.uri import Wanted

_MAX_BLOCKED = 4096  # addresses; all configured targets together are fewer

#: Transports of targets by the transport that a pool asks for. A large request to a pool over UDP
#: goes over TCP (RFC 3261 §18.1.1), and its dialog with it.
_TRANSPORTS: dict[Wanted | None, frozenset[Transport]] = {
    None: frozenset(("udp", "tcp", "tls")),
    "udp": frozenset(("udp", "tcp")),
    "tcp": frozenset(("tcp",)),
    "tls": frozenset(("tls",)),
    "sips": frozenset(("tls",)),
}


class TargetBlocklist:
    """Targets that have just failed, which are tried last for a while (RFC 3263 §4.3)."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        """Begin with none."""
        self._until: dict[TargetAddress, float] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def add(self, target: Target, until: float) -> bool:
        """Put a target in the list until this time; whether it wasn't there."""
        if len(self._until) >= _MAX_BLOCKED:
            self._until.clear()
        known = target.key in self._until
        self._until[target.key] = until
        return not known

    def has(self, target: Target, now: float) -> bool:
        """Whether a target is in the list."""
        until = self._until.get(target.key)
        if until is None:
            return False
        if now < until:
            return True
        del self._until[target.key]
        return False

    def sort(self, targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        """Put the targets in the list behind the others; otherwise the order stays."""
        if not self._until:
            return tuple(targets)
        good = [target for target in targets if not self.has(target, now)]
        if len(good) < len(targets):
            good += [target for target in targets if self.has(target, now)]
        return tuple(good)


class ServedPools:
    """The pools of the configuration and, for a while, those that have left it.

    A dialog's token outlives the configuration that it was made under. It leads to its target as
    long as the configuration has the target's pool. What DNS says of the pool, or which state its
    endpoints are in, doesn't matter: a dialog goes on with the member that it began with.
    """

    __slots__ = ("_began", "_grace", "_left", "_pools")

    def __init__(self) -> None:
        """Begin with none."""
        self._pools: Mapping[str, Set[PoolAddress]] = {}
        self._left: dict[str, dict[PoolAddress, float]] = {}  # when a pool left the configuration
        self._grace = 0.0
        self._began: float | None = None

    def serve(
        self,
        pools: Mapping[str, Set[PoolAddress]],
        left: Iterable[PoolAddress],
        grace: float,
        now: float,
    ) -> None:
        """Go by another configuration.

        Args:
            pools: those of its endpoints in the mode `proxy`, by their FQDN.
            left: those of the configuration before that it has no more.
            grace: seconds for which a pool's dialogs go on when it has left.
        """
        if self._began is None:
            self._began = now
        self._pools = pools
        self._grace = grace
        for fqdn, keys in list(self._left.items()):
            for key in [key for key, since in keys.items() if now >= since + grace]:
                del keys[key]
            if not keys:
                del self._left[fqdn]
        for key in left:
            self._left.setdefault(key[0], {})[key] = now

    def has(self, target: Target, now: float) -> bool:
        """Whether a dialog may go on to, or come from, this target.

        What left before this process began isn't known; it counts as having left then.
        """
        for key in self._pools.get(target.domain, ()):
            if _leads_to(key, target):
                return True
        if self._began is not None and now < self._began + self._grace:
            return True
        return self._left_lately(target, now)

    def _left_lately(self, target: Target, now: float) -> bool:
        return any(
            now < since + self._grace and _leads_to(key, target)
            for key, since in self._left.get(target.domain, {}).items()
        )


def _leads_to(key: PoolAddress, target: Target) -> bool:
    """Whether a target may have come of resolving a pool; its address is up to DNS."""
    fqdn, port, transport = key
    return (
        fqdn == target.domain
        and (port is None or port == target.port)
        and target.transport in _TRANSPORTS[transport]
    )
