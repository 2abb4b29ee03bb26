"""What is allowed, and yet probably not what was meant. Settings in, warnings out; asks no DNS."""

import os
import stat
from collections.abc import Iterator
from ipaddress import ip_address

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import Fault
from chatredirect.config.models import DnsSettings, Settings
from chatredirect.config.tls_warnings import tls_warnings


def warnings(settings: Settings) -> tuple[Fault, ...]:
    """Every warning that the settings alone give reason for, one for each pool at most."""
    return (
        *_general(settings),
        *tls_warnings(settings),
        *_pools(settings),
        *_trusted(settings),
        *_amplifiers(settings),
        *_ways_back(settings),
        *_channels(settings),
    )


def needs_srv(endpoint: EndpointSettings, dns: DnsSettings) -> bool:
    """Whether only NAPTR or SRV records can keep this pool from meaning UDP 5060.

    RFC 3263 §4.1: neither port nor transport, and a name that is really asked for in DNS.
    """
    open_to_dns = endpoint.port is None and endpoint.pool_transport is None
    return open_to_dns and not _is_ip(endpoint.pool_fqdn) and endpoint.pool_fqdn not in dns.hosts


def udp_warning(endpoint: EndpointSettings, why: str) -> Fault:
    """The warning that this pool means UDP, which Lync Server doesn't speak."""
    port = endpoint.port or 5060
    return at_endpoint(
        endpoint,
        f"{endpoint.pool_fqdn} {why} means UDP port {port} (RFC 3263 §4.1), which Lync Server "
        "doesn't speak: set port: 5061 and transport: tls",
    )


def at_endpoint(endpoint: EndpointSettings, message: str) -> Fault:
    """A warning where the endpoint is defined."""
    file, _, line = endpoint.source.rpartition(":")
    return Fault(file, int(line) if line else 0, 0, message)


def _general(settings: Settings) -> Iterator[Fault]:
    main = settings.files[0] if settings.files else "(settings)"
    if not settings.endpoints:
        yield Fault(
            main, 0, 0, "no endpoints: every request would get 404, but OPTIONS for the server"
        )
    if settings.secret is not None:
        for file in settings.files[:1]:
            if _readable_by_all(file):
                yield Fault(file, 0, 0, "holds the secret and can be read by every user: chmod o-r")
    path = settings.dns.hosts_file
    if path != DnsSettings().hosts_file and not os.path.exists(path):
        yield Fault(main, 0, 0, f"dns.hosts_file: there is no file {path}")


def _pools(settings: Settings) -> Iterator[Fault]:
    seen: set[tuple[str, int | None, str | None]] = set()
    for endpoint in settings.endpoints:
        pool = (endpoint.pool_fqdn, endpoint.port, endpoint.pool_transport)
        if pool not in seen:
            seen.add(pool)
            yield from _pool(endpoint, settings.dns)


def _trusted(settings: Settings) -> Iterator[Fault]:
    """Two modes refuse everybody where nobody is trusted."""
    proved = any(each.allowed_peers for each in settings.secure_listeners.values())
    if settings.trusted_peers or proved:
        return
    for mode in ("lookup", "proxy"):
        first = next((each for each in settings.endpoints if each.mode == mode), None)
        if first is not None:
            yield at_endpoint(
                first,
                f"the mode {mode} serves trusted peers only, and there are none: see trusted_peers "
                "and tls.allowed_peers",
            )


def _amplifiers(settings: Settings) -> Iterator[Fault]:
    """Over UDP an address proves nothing, and what nobody acknowledges is sent again (§17)."""
    udp = [each for each in settings.listen if each.transport == "udp"]
    reachable = any(not ip_address(each.host).is_loopback for each in udp)
    if not reachable or all(network.is_loopback for network in settings.trusted_peers):
        return
    for mode, times in (("lookup", 23), ("proxy", 50)):
        first = next((each for each in settings.endpoints if each.mode == mode), None)
        if first is not None:
            yield at_endpoint(
                first,
                f"the mode {mode} can be reached over udp://: who forges a trusted peer's address "
                f"has it sent up to {times} times the octets, by SIP's own timers; listen with "
                "tls:// or tcp:// alone, or keep forged addresses out of this network",
            )


def _ways_back(settings: Settings) -> Iterator[Fault]:
    """One advertised port can't be that of two stream listeners."""
    advertise = settings.advertise
    port = None if advertise is None else advertise.port
    listeners = {each.port for each in settings.listen if each.transport != "udp"}
    proxied = next((each for each in settings.endpoints if each.mode == "proxy"), None)
    if port is not None and len(listeners) > 1 and proxied is not None:
        yield at_endpoint(
            proxied,
            f"mode: proxy, and advertise names port {port} for all listeners, though those of TCP "
            "and TLS have several: the pool's requests within dialogs go to that one. Leave the "
            "port out, and each listener's own is named",
        )


def _channels(settings: Settings) -> Iterator[Fault]:
    """A client's front end routes what is in its own domain, and not always anything else."""
    lookups = [endpoint for endpoint in settings.endpoints if endpoint.mode == "lookup"]
    for endpoint in lookups:
        domain = endpoint.sip_address.host.lower().strip("[]")
        others = [uri for uri in endpoint.channels if uri.host != domain]
        if others:
            more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
            yield at_endpoint(
                endpoint,
                f"{others[0]}{more} isn't in the SIP domain {domain}: the front end may not route "
                "it. Unless it does, set channel_uris to URIs in that domain",
            )


def _pool(endpoint: EndpointSettings, dns: DnsSettings) -> Iterator[Fault]:
    literal = _is_ip(endpoint.pool_fqdn)
    if endpoint.pool_transport is None:
        if endpoint.port is not None:
            yield udp_warning(endpoint, "with a port and no transport")
        elif literal or endpoint.pool_fqdn in dns.hosts:
            named = "as an IP address" if literal else "in dns.hosts, without port and transport,"
            yield udp_warning(endpoint, named)
    if literal and endpoint.transport == "tls":
        message = f"{endpoint.pool_fqdn} is an IP address: TLS certificates are issued to names"
        yield at_endpoint(endpoint, message)
    elif not literal and "." not in endpoint.pool_fqdn and endpoint.pool_fqdn not in dns.hosts:
        message = f"{endpoint.pool_fqdn} has no domain; clients may resolve it differently"
        yield at_endpoint(endpoint, message)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _readable_by_all(file: str) -> bool:
    try:
        return bool(os.stat(file).st_mode & stat.S_IROTH)
    except OSError:
        return False
