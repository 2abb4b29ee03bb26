"""Pings from a command: whether targets work now."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from chatredirect.client.tls import NotSecureError, Secured
from chatredirect.client.wire import CONNECTS, Connect, Wire, tls_connect
from chatredirect.config import HealthSettings, Settings, Transport
from chatredirect.net.target import Target
from chatredirect.pools.health import PingOutcome
from chatredirect.pools.options_ping import ping
from chatredirect.transport.peer_identity import Security
from chatredirect.transport.tls_contexts import client_context

AT_ONCE = 64
"""Pings that are under way at the same time."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """A target, and the result of a ping.

    Attributes:
        target: the pinged target.
        works: whether its response says that it works.
        detail: the response, or the error.
        connected: whether there was a connection; over UDP, a response.
        secured: the TLS session; None without TLS, or if it failed.
        insecure: whether TLS failed.
    """

    target: Target
    works: bool
    detail: str
    connected: bool = True
    secured: Secured | None = None
    insecure: bool = False

    def as_json(self) -> dict[str, object]:
        """The result for scripts."""
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
    """Pings targets, a limited number at a time, within `seconds` each."""

    connects: Mapping[Transport, Connect]
    seconds: float
    at_once: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, AT_ONCE))

    async def ping(self, target: Target) -> Pinged:
        watched = _Watched(self.connects[target.transport])
        async with self.at_once:
            outcome, detail = await ping(target, watched.connect, self.seconds)
        works = outcome is PingOutcome.ANSWERED
        connected = watched.connected if target.transport != "udp" else works
        return Pinged(target, works, detail, connected, watched.secured, watched.insecure)


@dataclass(slots=True)
class _Watched:
    """Connects to one target, and records how far that came."""

    inner: Connect
    connected: bool = False
    secured: Secured | None = None
    insecure: bool = False

    async def connect(self, target: Target) -> Wire:
        try:
            wire = await self.inner(target)
        except NotSecureError:
            self.connected = self.insecure = True
            raise
        self.connected, self.secured = True, wire.secured
        return wire


async def _ping_all(targets: tuple[Target, ...], pinger: _Pinger) -> dict[Target, Pinged]:
    pinged = await asyncio.gather(*map(pinger.ping, targets))
    return dict(zip(targets, pinged, strict=True))
