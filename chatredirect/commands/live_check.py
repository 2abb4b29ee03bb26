"""`check --live`: resolves each pool and pings its targets, to say whether it works now."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from chatredirect.commands.pool_resolution import Resolution, resolve_all, target_text
from chatredirect.commands.readiness import Item, is_ready, readiness
from chatredirect.commands.target_pings import Pinged, ping_all
from chatredirect.config import ConfigError, EndpointSettings, Fault, Settings, TlsSettings
from chatredirect.config.warnings import at_endpoint, needs_srv, udp_warning
from chatredirect.dns.located import LocatedState
from chatredirect.log.escape import escape
from chatredirect.net.target import PoolAddress
from chatredirect.runtime.wording import counted
from chatredirect.transport.certificates import Certificates, file_warnings
from chatredirect.transport.tls_contexts import TlsError

MAX_POOLS = 100
"""Pools to look up; a check must not be a load test of a name server."""


@dataclass(frozen=True, slots=True)
class LivePool:
    """A pool as it is now. It is ready if at least one target works."""

    resolution: Resolution
    targets: tuple[Pinged, ...]

    @property
    def ready(self) -> bool:
        """Whether a client would get through."""
        return any(each.works for each in self.targets)

    @property
    def why_not(self) -> str:
        """The reason if it isn't ready."""
        if not self.targets:
            return self.resolution.located.reason
        return f"of {counted(len(self.targets), 'target')} none works"

    def as_json(self) -> dict[str, object]:
        """The pool for scripts."""
        pings = [each.as_json() for each in self.targets]
        named = {"pool_fqdn": self.resolution.pool.fqdn, "ready": self.ready, "pings": pings}
        return {**named, **self.resolution.as_json()}


def look(settings: Settings) -> dict[PoolAddress, LivePool]:
    """Resolve and ping the pools of all endpoints, each once.

    Raises:
        TlsError: a certificate, key or CA file can't be used.
    """
    addresses = dict.fromkeys(pool for each in settings.endpoints for pool in each.pools)
    found = resolve_all(addresses, settings)
    pinged = ping_all((each for one in found for each in one.located.targets), settings)
    return {
        one.pool: LivePool(one, tuple(pinged[each] for each in one.located.targets))
        for one in found
    }


def live_lines(
    settings: Settings, pools: dict[PoolAddress, LivePool], shown: int, now: float
) -> Iterator[str]:
    """Every pool with its targets; then each endpoint, those that aren't ready first."""
    for address, pool in pools.items():
        yield str(address)
        for each in pool.targets:
            works = "works" if each.works else "FAILS"
            yield f"  {works}  {target_text(each.target)}: {each.detail}"
        if not pool.targets:
            yield f"  FAILS  {pool.why_not}"
    yield ""
    ready = {
        each.sip_address.key: is_ready(items_of(each, pools, now)) for each in settings.endpoints
    }
    endpoints = sorted(settings.endpoints, key=lambda each: ready[each.sip_address.key])
    for endpoint in endpoints[:shown]:
        yield from _endpoint_lines(endpoint, pools, now)
    if len(endpoints) > shown:
        yield f"… and {len(endpoints) - shown:,} more"
    yield f"{sum(ready.values()):,} of {counted(len(endpoints), 'endpoint')} ready"


def _endpoint_lines(
    endpoint: EndpointSettings, pools: dict[PoolAddress, LivePool], now: float
) -> Iterator[str]:
    pool, items = _decisive(endpoint, pools), items_of(endpoint, pools, now)
    why = "" if pool.ready else f" ({pool.resolution.pool}: {pool.why_not})"
    yield f"{'ready' if is_ready(items) else 'not ready':<9}  {endpoint.sip_address}{why}"
    yield from (f"  {escape(str(item))}" for item in items)


def items_of(
    endpoint: EndpointSettings, pools: dict[PoolAddress, LivePool], now: float
) -> tuple[Item, ...]:
    """The readiness items of an endpoint."""
    pool = _decisive(endpoint, pools)
    return readiness(endpoint, pool.resolution, pool.targets, now)


def _decisive(endpoint: EndpointSettings, pools: dict[PoolAddress, LivePool]) -> LivePool:
    """The pool that decides on readiness: the endpoint's, or its first ready channel service's."""
    if endpoint.mode != "lookup":
        return pools[endpoint.pool]
    channels = [pools[endpoint.channel_pool(uri)] for uri in endpoint.channels]
    return next((pool for pool in channels if pool.ready), channels[0])


def dns_warnings(settings: Settings) -> tuple[Fault, ...]:
    """A warning for each pool without port and transport whose name has no SRV records.

    Takes as long as DNS does, at most `dns.lifetime` for each step of RFC 3263.
    """
    first: dict[PoolAddress, EndpointSettings] = {}
    for endpoint in settings.endpoints:
        if len(first) < MAX_POOLS and needs_srv(endpoint, settings.dns):
            first.setdefault(endpoint.pool, endpoint)
    if not first:
        return ()
    found = resolve_all(first, settings)
    found_warnings = (_dns_warning(first[resolution.pool], resolution) for resolution in found)
    return tuple(each for each in found_warnings if each is not None)


def _dns_warning(endpoint: EndpointSettings, resolution: Resolution) -> Fault | None:
    located = resolution.located
    if located.state is not LocatedState.FOUND:
        where = endpoint.pool_fqdn
        return at_endpoint(endpoint, f"{where} has no targets just now: {located.reason}")
    has_srv = any(step.type == "SRV" and step.records for step in resolution.trace.steps)
    if has_srv or resolution.pool.transport is not None:
        return None
    return udp_warning(endpoint, "with neither port nor transport nor SRV records")


def tls_warnings(settings: Settings) -> tuple[Fault, ...]:
    """Load all TLS files; return the warnings about them.

    Raises:
        ConfigError: files, or ciphers, that can't be used.
    """
    main = settings.files[0] if settings.files else "(settings)"
    profiles = tuple(dict.fromkeys((settings.tls, *settings.secure_listeners.values())))
    faults, warnings = list[Fault](), list[Fault]()
    for profile in profiles:
        try:
            _use(settings, profile)
            warnings += (
                Fault(file, 0, 0, why) for file, why in file_warnings(profile, time.time())
            )
        except TlsError as error:
            faults.append(Fault(main, 0, 0, f"tls: {error}"))
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    return tuple(dict.fromkeys(warnings))


def _use(settings: Settings, profile: TlsSettings) -> None:
    served = {url: each for url, each in settings.secure_listeners.items() if each == profile}
    outgoing = profile if profile == settings.tls else TlsSettings()
    Certificates(time.time).prepare(served, outgoing)
