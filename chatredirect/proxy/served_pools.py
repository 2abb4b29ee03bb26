"""Which pools are proxied for: those of the configuration, and for a while those that have left it.

A dialog's token outlives the configuration that it was made under. It leads to its target as long
as the configuration has the target's pool. What DNS says of the pool, or which state its endpoints
are in, changes nothing: whoever is in a dialog stays in it.
"""

from collections.abc import Iterable, Mapping, Set

from chatredirect.net.addresses import PoolAddress, Transport, Wanted
from chatredirect.net.target import Target

#: Transports of targets by the transport that a pool asks for. A large request to a pool over UDP
#: goes over TCP (RFC 3261 §18.1.1), and its dialog with it.
_TRANSPORTS: dict[Wanted | None, frozenset[Transport]] = {
    None: frozenset(("udp", "tcp", "tls")),
    "udp": frozenset(("udp", "tcp")),
    "tcp": frozenset(("tcp",)),
    "tls": frozenset(("tls",)),
    "sips": frozenset(("tls",)),
}


class ServedPools:
    """The pools by name."""

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
            left: those that it has no more.
            grace: seconds for which a pool's dialogs go on when it has left.
            now: seconds on the clock of all calls.
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
        if any(_leads_to(key, target) for key in self._pools.get(target.domain, ())):
            return True
        if self._began is not None and now < self._began + self._grace:
            return True
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
