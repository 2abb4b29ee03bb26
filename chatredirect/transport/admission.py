"""Limits on connections and TLS handshakes, of all listeners together.

A connection counts from the moment it is accepted, even if it never ends its handshake.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chatredirect.runtime.rate_limiter import TokenBucket


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on open connections and on TLS handshakes a second; a peer is an IP address."""

    connections: int
    connections_per_peer: int
    handshakes: float
    handshakes_per_peer: float


#: Why a connection is refused: the limit that is reached.
REASONS = ("connections", "connections_per_peer", "handshakes", "handshakes_per_peer")
_KNOWN_PEERS = 4096


@dataclass(slots=True)
class Admission:
    """Counts open connections, those of each IP address too, and refuses those over a limit.

    The limits may change while connections are open.
    """

    limits: ConnectionLimits
    clock: Callable[[], float]
    open: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _all: TokenBucket | None = None
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)

    def enter(self, host: str) -> str | None:
        """Count a connection from an address; the reason if it is refused."""
        if self.open >= self.limits.connections:
            return self._refuse("connections")
        if self.by_peer[host] >= self.limits.connections_per_peer:
            return self._refuse("connections_per_peer")
        self.open += 1
        self.by_peer[host] += 1
        return None

    def leave(self, host: str) -> None:
        """Count a connection that is closed."""
        self.open -= 1
        self.by_peer[host] -= 1
        if not self.by_peer[host]:
            del self.by_peer[host]

    def handshake(self, host: str) -> str | None:
        """Count a handshake with an address; the reason if it is refused."""
        rate, rate_of_peer = self.limits.handshakes, self.limits.handshakes_per_peer
        now = self.clock()
        if host not in self._buckets:
            if len(self._buckets) >= _KNOWN_PEERS:
                self._forget_idle(now)
            self._buckets[host] = TokenBucket(2 * rate_of_peer, now)
        if self._all is None:
            self._all = TokenBucket(2 * rate, now)
        if not self._buckets[host].take(rate_of_peer, _size(rate_of_peer), now):
            return self._refuse("handshakes_per_peer")
        if not self._all.take(rate, _size(rate), now):
            return self._refuse("handshakes")
        return None

    def _refuse(self, reason: str) -> str:
        self.refused[reason] += 1
        return reason

    def _forget_idle(self, now: float) -> None:
        """Forget peers that have as much left as a stranger; all, if that makes no room."""
        rate = self.limits.handshakes_per_peer
        size = _size(rate)
        kept = {
            host: bucket
            for host, bucket in self._buckets.items()
            if bucket.fill(rate, size, now) < 2 * rate - 1
        }
        self._buckets = kept if len(kept) < _KNOWN_PEERS else {}


def _size(rate: float) -> float:
    """Two seconds' worth of handshakes; at a low rate one, or there would never be any."""
    return max(2 * rate, 1)
