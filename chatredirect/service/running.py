"""A service from its first configuration on: parts that last, and the configuration in force."""

import asyncio
from dataclasses import dataclass

from chatredirect.answering.request_handler import RequestHandler
from chatredirect.config import Settings
from chatredirect.endpoints.directory import Directory
from chatredirect.pools.refresh import Pools
from chatredirect.service.listeners import Listeners
from chatredirect.service.lookup_mode import LookupMode
from chatredirect.service.outbound import Outbound
from chatredirect.service.proxy_mode import ProxyMode


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration in force: it is exchanged as a whole.

    Attributes:
        settings: the configuration.
        directory: its endpoints.
        handler: answers requests by it.
        since: since when it is in force, in seconds since the epoch.
    """

    settings: Settings
    directory: Directory
    handler: RequestHandler
    since: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What serves, and outlives configurations.

    Attributes:
        listeners: what is listened on.
        outbound: the connections to targets, and the names of flows.
        pools: the endpoints' pools.
        lookups: the mode `lookup`.
        proxying: the mode `proxy`.
    """

    listeners: Listeners
    outbound: Outbound
    pools: Pools
    lookups: LookupMode
    proxying: ProxyMode


@dataclass(slots=True)
class Running:
    """A service from its first configuration on.

    Attributes:
        parts: what outlives configurations.
        in_force: the configuration.
        renewing: looks for renewed certificates.
    """

    parts: Parts
    in_force: InForce
    renewing: asyncio.Task[None]
