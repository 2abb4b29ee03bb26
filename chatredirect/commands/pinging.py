"""Pings from a command: does a target work this minute?"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from chatredirect.client.wire import CONNECTS, Connect, tls_connect
from chatredirect.config import HealthSettings, Settings, Transport
from chatredirect.dns.target import Target
from chatredirect.health import Outcome
from chatredirect.ping import ping
from chatredirect.transport.secure import Security
from chatredirect.transport.tls import client_context

AT_ONCE = 64
"""Pings that are under way at the same time."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """A target, whether it works, and what it said or what prevented it."""

    target: Target
    works: bool
    detail: str

    def as_json(self) -> dict[str, object]:
        """All of it, for scripts."""
        return {"target": str(self.target), "works": self.works, "detail": self.detail}


def ping_all(targets: Iterable[Target], settings: Settings) -> dict[Target, Pinged]:
    """Ping each target once, over its own transport, as the daemon would.

    Raises:
        TlsError: a certificate, key or CA file can't be used.
    """
    outgoing = Security(settings.tls, client_context(settings.tls))
    pinger = _Pinger(
        connects={**CONNECTS, "tls": tls_connect(lambda: outgoing)},
        seconds=(settings.health or HealthSettings()).timeout,
    )
    return asyncio.run(_ping_all(tuple(dict.fromkeys(targets)), pinger))


@dataclass(slots=True)
class _Pinger:
    """How targets are reached, and how long each gets, in seconds."""

    connects: Mapping[Transport, Connect]
    seconds: float
    at_once: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, AT_ONCE))

    async def ping(self, target: Target) -> Pinged:
        async with self.at_once:
            outcome, detail = await ping(target, self.connects[target.transport], self.seconds)
        return Pinged(target, outcome is Outcome.ANSWERED, detail)


async def _ping_all(targets: tuple[Target, ...], pinger: _Pinger) -> dict[Target, Pinged]:
    pinged = await asyncio.gather(*map(pinger.ping, targets))
    return dict(zip(targets, pinged, strict=True))
