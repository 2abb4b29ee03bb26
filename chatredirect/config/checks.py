"""Checks across values.

They also run when some values are faulty, on the others, so that one run of `check` reports
everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from ipaddress import ip_address

from chatredirect.config.document import Document, Mapping, Path
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import Fault, quoted
from chatredirect.config.http_checks import http_faults
from chatredirect.config.models import DnsSettings, HealthSettings
from chatredirect.config.service_environment import ADVERTISE_VARIABLE, ServiceEnvironment
from chatredirect.config.usage_section import fault_of_key
from chatredirect.net.addresses import HostPort, IPAddress, ListenUrl, default_port
from chatredirect.net.target import PoolAddress


@dataclass(slots=True)
class Placed:
    """An endpoint and its position in a file.

    Attributes:
        key: its directory key, known also where the rest is faulty.
        settings: the endpoint; None if a value is faulty.
        readable: the same with defaults for faulty values, and a stand-in for a faulty address or
            pool.
    """

    document: Document
    path: Path
    key: bytes | None
    settings: EndpointSettings | None
    readable: EndpointSettings | None

    def fault(self, key: str, message: str) -> Fault:
        """A fault at one of its keys."""
        return self.document.fault((*self.path, key), f"{key}: {message}")


@dataclass(slots=True)
class Findings:
    """The readable part of a configuration; listeners with their numbers."""

    main: Document
    environment: ServiceEnvironment
    listen: list[tuple[int, ListenUrl]] = field(default_factory=list)
    hosts: dict[str, list[IPAddress]] = field(default_factory=dict)
    advertise: HostPort | None = None
    record_route_host: HostPort | None = None
    endpoints: list[Placed] = field(default_factory=list)


def check(findings: Findings) -> Iterator[Fault]:
    """Every fault between values."""
    yield from _listeners(findings)
    yield from http_faults(findings.main, findings.environment, findings.listen)
    yield from _hosts(findings)
    yield from _numbers(findings.main)
    yield from _loop_is_there(findings.main)
    yield from _usage(findings.main, findings.environment)
    yield from _duplicates(findings)
    loops = _LoopFinder(findings)
    for placed in findings.endpoints:
        if placed.readable is not None:
            yield from _together(placed, placed.readable)
        if placed.settings is not None:
            yield from _endpoint(placed, placed.settings)
            yield from _lookup(placed, placed.settings, findings)
            yield from _keys_of_other_modes(placed, placed.settings)
            yield from loops.faults(placed, placed.settings)


def _listeners(findings: Findings) -> Iterator[Fault]:
    """One socket for one address, port and transport (RFC 3261 §18)."""
    seen: dict[ListenUrl, int] = {}  # with their lines
    for index, url in findings.listen:
        path: Path = ("listen", index)
        if url.port == 0:
            continue
        if url in seen:
            message = f"listen[{index}]: {url} is in line {seen[url]} already"
            yield findings.main.fault(path, message)
            continue
        for other, line in seen.items():
            if _covers(other, url) or _covers(url, other):
                yield findings.main.fault(
                    path,
                    f"listen[{index}]: {url} and {other} in line {line} want the same port: "
                    "keep one of them",
                )
        seen[url], _ = findings.main.position(path)


def _covers(wide: ListenUrl, narrow: ListenUrl) -> bool:
    """Whether a wildcard listener takes the other one's port, in the same address family."""
    if (wide.transport, wide.port) != (narrow.transport, narrow.port) or wide.host == narrow.host:
        return False
    address = ip_address(wide.host)
    return address.is_unspecified and address.version == ip_address(narrow.host).version


def _hosts(findings: Findings) -> Iterator[Fault]:
    hosts = findings.main.value("dns", "hosts")
    if not isinstance(hosts, Mapping):
        return
    seen: dict[str, str] = {}
    for name in hosts:
        first = seen.setdefault(name.lower().removesuffix("."), name)
        if first != name:
            yield findings.main.fault(
                ("dns", "hosts", name),
                f"dns.hosts: {quoted(name)} is {quoted(first)} again: "
                "put all addresses in one list",
                of_key=True,
            )


def _numbers(main: Document) -> Iterator[Fault]:
    dns, health = DnsSettings(), HealthSettings()
    for section, small, large, default_small, default_large in (
        ("dns", "timeout", "lifetime", dns.timeout, dns.lifetime),
        ("dns", "ttl_floor", "ttl_ceiling", dns.ttl_floor, dns.ttl_ceiling),
        ("health", "timeout", "interval", health.timeout, health.interval),
    ):
        low = _number(main, section, small, default_small)
        high = _number(main, section, large, default_large)
        if low > high:
            keys = main.value(section)
            at = large if isinstance(keys, Mapping) and large in keys else small
            yield main.fault(
                (section, at),
                f"{section}.{small} ({low:g}) is more than {section}.{large} ({high:g})",
            )


def _loop_is_there(main: Document) -> Iterator[Fault]:
    if main.value("loop") == "uvloop" and find_spec("uvloop") is None:
        yield main.fault(("loop",), "loop: uvloop isn't installed: write auto or asyncio")


def _usage(main: Document, environment: ServiceEnvironment) -> Iterator[Fault]:
    """What the ledger's store needs, and the key of pseudonyms."""
    store, callers = main.value("usage", "store"), main.value("usage", "callers")
    key_file = main.value("usage", "key_file")
    shared = isinstance(store, str) and store.startswith("postgres")
    if shared and find_spec("psycopg") is None:
        yield main.fault(
            ("usage", "store"),
            "usage.store: PostgreSQL needs a driver that isn't installed: make install "
            "EXTRAS=postgresql, or pip install 'chatredirect[postgresql]', or keep the ledger in "
            "SQLite",
        )
    if key_file is None and shared and callers == "pseudonyms":
        yield main.fault(
            ("usage", "callers"),
            "usage.callers: pseudonyms in a shared ledger need the same key in all instances: name "
            "its file in usage.key_file",
        )
    if isinstance(key_file, str):
        why = None if callers == "pseudonyms" else "only callers: pseudonyms uses it"
        try:
            why = why or fault_of_key(environment.placed("", key_file))
        except ValueError as error:
            why = str(error)
        if why is not None:
            yield main.fault(("usage", "key_file"), f"usage.key_file: {why}")


def _number(main: Document, section: str, key: str, default: float) -> float:
    value = main.value(section, key)
    return value if isinstance(value, int | float) else default


def _duplicates(findings: Findings) -> Iterator[Fault]:
    seen: dict[bytes, Placed] = {}
    for placed in findings.endpoints:
        if placed.key is None:
            continue
        first = seen.setdefault(placed.key, placed)
        if first is not placed:
            path = (*first.path, "sip_address")
            line, _ = first.document.position(path)
            yield placed.fault(
                "sip_address",
                f"a second endpoint for {quoted(placed.key.decode('utf-8', 'backslashreplace'))}; "
                f"the first is at {first.document.file}:{line}. Case, escapes, the scheme and a "
                "default port make no difference",
            )


def _together(placed: Placed, endpoint: EndpointSettings) -> Iterator[Fault]:
    """Values of one endpoint that exclude each other."""
    secure = endpoint.sip_address.scheme == "sips"
    if endpoint.contact == "addresses" and (secure or endpoint.transport == "tls"):
        yield placed.fault(
            "contact",
            "addresses can't go with TLS, for certificates are issued to names: "
            "write targets or fqdn",
        )
    if endpoint.transport == "udp" and secure:
        yield placed.fault(
            "transport",
            "udp can't go with a sips: address (RFC 3261 §26.2.2): "
            "write tls or leave it out, or make the address sip:",
        )


def _endpoint(placed: Placed, endpoint: EndpointSettings) -> Iterator[Fault]:
    """A redirect must not lead to where the request came to (RFC 3261 §8.3)."""
    sip = endpoint.sip_address
    if (
        endpoint.pool_fqdn == sip.host.lower().strip("[].")
        and endpoint.transport is None
        and endpoint.port in (sip.port, None, default_port(sip.scheme))
    ):
        yield placed.fault(
            "pool_fqdn",
            f"a redirect would lead from {sip} to itself (RFC 3261 §8.3): "
            "the pool needs a name, a port or a transport of its own",
        )


def _lookup(placed: Placed, endpoint: EndpointSettings, findings: Findings) -> Iterator[Fault]:
    """What the mode lookup needs: a name, and URIs that don't lead back to the endpoint."""
    if endpoint.mode != "lookup":
        return
    for index, uri in enumerate(endpoint.channel_uris):
        if uri.key == endpoint.sip_address.key:
            yield placed.document.fault(
                (*placed.path, "channel_uris", index),
                f"channel_uris[{index}]: {uri} is the contact object itself: a lookup's end is "
                "another URI",
            )
    if not endpoint.channel_uris and endpoint.channels[0].key == endpoint.sip_address.key:
        yield placed.fault(
            "pool_fqdn",
            f"a lookup would lead from {endpoint.sip_address} to itself: give the pool's name, "
            "or the channel services' URIs in channel_uris",
        )
    wildcards = [url for _, url in findings.listen if ip_address(url.host).is_unspecified]
    if wildcards and findings.advertise is None and endpoint.contact_uri is None:
        yield placed.fault(
            "mode",
            f"lookup needs a name for its Contact, and {wildcards[0]} is none: set advertise (or "
            f"{ADVERTISE_VARIABLE} in the service's environment), or contact_uri for this "
            "endpoint",
        )


def _keys_of_other_modes(placed: Placed, endpoint: EndpointSettings) -> Iterator[Fault]:
    for key, mode, default in (
        ("channel_uris", "lookup", ()),
        ("contact_uri", "lookup", None),
        ("rewrite", "proxy", "keep"),
    ):
        if endpoint.mode != mode and getattr(endpoint, key) != default:
            yield placed.fault(
                key, f"only the mode {mode} uses it, not {endpoint.mode}: take it away"
            )
    if endpoint.mode == "proxy" and endpoint.contact != "fqdn":
        message = "the mode proxy gives out no Contact of its own: leave it out"
        yield placed.fault("contact", message)


class _LoopFinder:
    """Finds endpoints whose pool is one of our own listeners, without asking DNS."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._loop_by_pool: dict[PoolAddress, str | None] = {}

    def faults(self, placed: Placed, endpoint: EndpointSettings) -> Iterator[Fault]:
        pool = endpoint.pool
        if pool not in self._loop_by_pool:
            self._loop_by_pool[pool] = self._loop(pool)
        loop = self._loop_by_pool[pool]
        if loop is not None:
            yield placed.fault("pool_fqdn", loop)

    def _loop(self, pool: PoolAddress) -> str | None:
        port = pool.port or default_port(pool.transport)
        transport = "tls" if pool.transport == "sips" else pool.transport
        ours = [
            url
            for _, url in self._findings.listen
            if url.port == port
            and (url.transport == transport or (transport is None and url.transport != "tls"))
        ]
        for name in (self._findings.advertise, self._findings.record_route_host):
            if (
                name is not None
                and name.host.lower() == pool.fqdn
                and (name.port == port or (name.port is None and ours))
            ):
                return f"leads back to this server itself, which is advertised as {name}"
        for address in self._addresses(pool.fqdn):
            for url in ours:
                if self._reaches(address, url):
                    where = "" if str(address) == pool.fqdn else f" ({address})"
                    return f"{pool.fqdn}{where} leads back to our own listener {url}"
        return None

    def _addresses(self, pool_fqdn: str) -> list[IPAddress]:
        try:
            return [ip_address(pool_fqdn)]
        except ValueError:
            return self._findings.hosts.get(pool_fqdn, [])

    def _reaches(self, address: IPAddress, url: ListenUrl) -> bool:
        listener = ip_address(url.host)
        if address == listener:
            return True
        if not listener.is_unspecified or (listener.version == 4 and address.version == 6):
            return False  # the IPv6 wildcard takes IPv4 as well
        return address.is_loopback or address in self._addresses_of_this_machine

    @cached_property
    def _addresses_of_this_machine(self) -> frozenset[IPAddress]:
        from chatredirect.net.own_names import local_addresses  # noqa: PLC0415 - for wildcards only

        return frozenset(map(ip_address, local_addresses()))
