"""Targets in RFC 2782's order, the same for the same caller.

RFC 2782 draws hosts of one priority by weight, at random. Here the random number is a hash of the
caller and the host: over many callers each host is first as often as its weight says, but one
caller gets the same order every time, from every instance, so that retransmissions and retries
agree. A host that goes down or comes back moves only the callers that it was first for.

The draw is the exponential race: a host with weight w arrives at -ln(u)/w, the first arrived is
first, and what is left is again drawn by weight, which is RFC 2782's procedure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import log

from chatredirect.config.fields import Family
from chatredirect.net.target import Target

#: RFC 2782: a weight of 0 has "a very small chance of being selected" beside others that have one.
WEIGHT_OF_ZERO = 0.1

_MASK = (1 << 64) - 1
_TO_UNIT = 2.0**-53


@dataclass(slots=True)
class _OrderedHost:
    """One host of a priority: its hash, and its addresses as (family's rank, hash, target)."""

    weight: float
    number: int
    addresses: list[tuple[int, int, Target]]


class Order:
    """The targets of one pool, prepared so that each caller's order is computed quickly."""

    __slots__ = ("_tiers", "targets")

    def __init__(self, targets: Iterable[Target], prefer: Family) -> None:
        """`prefer` is the family that comes first among one host's addresses."""
        self.targets = tuple(targets)
        tiers: dict[int, dict[tuple[str, int], _OrderedHost]] = {}
        for target in self.targets:
            hosts = tiers.setdefault(target.priority, {})
            host = hosts.get((target.host, target.port))
            if host is None:
                number = _hash(f"{target.host}:{target.port}")
                host = hosts[(target.host, target.port)] = _OrderedHost(0.0, number, [])
            host.weight = max(host.weight, target.weight or WEIGHT_OF_ZERO)
            family: Family = "ipv6" if ":" in target.address else "ipv4"
            host.addresses.append((int(family != prefer), _hash(target.address), target))
        self._tiers = [list(tiers[priority].values()) for priority in sorted(tiers)]

    def for_caller(self, caller: bytes) -> tuple[Target, ...]:
        """All targets, the first to be tried first. `caller` identifies the caller."""
        if len(self.targets) < 2:
            return self.targets
        salt = int.from_bytes(blake2b(caller, digest_size=8).digest(), "little")
        ordered: list[Target] = []
        for tier in self._tiers:
            for host in _drawn(tier, salt):
                if len(host.addresses) == 1:
                    ordered.append(host.addresses[0][2])
                    continue
                # one host's addresses have no weights: an even draw within each family
                drawn = sorted(
                    (family, _mix(salt ^ number), target.address, target)
                    for family, number, target in host.addresses
                )
                ordered.extend(row[3] for row in drawn)
        return tuple(ordered)


def _drawn(tier: list[_OrderedHost], salt: int) -> list[_OrderedHost]:
    if len(tier) == 1:
        return tier
    arrivals = {
        -log((_mix(salt ^ host.number) >> 11 | 1) * _TO_UNIT) / host.weight: host for host in tier
    }
    return [arrivals[arrival] for arrival in sorted(arrivals)]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(value: int) -> int:
    """Spread 64 bits evenly over 64 bits (the finalizer of SplitMix64)."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)
