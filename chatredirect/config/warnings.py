"""Warnings about settings that are allowed, and probably not meant so. Asks no DNS."""

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import islice

from chatredirect.config.endpoint import EndpointSettings, Mode
from chatredirect.config.faults import Fault
from chatredirect.config.models import OLD_TLS_VERSIONS, DnsSettings, Settings, TlsSettings
from chatredirect.config.secret_files import is_exposed
from chatredirect.config.usage_section import QUIET_FOR
from chatredirect.net.addresses import is_address
from chatredirect.net.target import PoolAddress

_LEVEL = re.compile(r"@SECLEVEL=(\d)")
_DEFAULT_LEVEL = 2
_SAMPLE_DOMAIN = "contoso.com"
_SAMPLE_SECRETS = ("Gq7vYw2LZ1mX0c9R4bTf8sKd", "output of: openssl rand -base64 32")


def warnings(settings: Settings) -> tuple[Fault, ...]:
    """Every warning that the settings alone give reason for, one for each pool at most."""
    return (
        *_general(settings),
        *_tls(settings),
        *_pools(settings),
        *_trusted(settings),
        *_amplifiers(settings),
        *_ways_back(settings),
        *_channels(settings),
    )


def sample_values(settings: Settings) -> Iterator[Fault]:
    """What still has the samples' domain, where other machines could send requests.

    For `check` alone: tests and demonstrations run with contoso.com.
    """
    if _is_local(settings):
        return
    left = [each for each in settings.endpoints if _is_sample(each.sip_address.host)]
    if left:
        more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
        yield at_endpoint(
            left[0],
            f"{left[0].sip_address}{more}: {_SAMPLE_DOMAIN} is the samples' domain: write your "
            "own SIP domain, and the URI that your clients have been configured with",
        )
    for each in settings.endpoints:
        if _is_sample(each.pool_fqdn):
            message = f"{each.pool_fqdn} is the samples' pool: write the name of your own"
            yield at_endpoint(each, message)
            break
    for key, name in (
        ("advertise", settings.advertise),
        ("proxy.record_route_host", settings.proxy.record_route_host),
    ):
        if name is not None and _is_sample(name.host):
            message = f"{key}: {name} is the samples' name: write this server's"
            yield _at_main_file(settings, message)
    if settings.secret is not None and settings.secret.get_secret_value() in _SAMPLE_SECRETS:
        message = "secret: it is the samples', which everybody knows: openssl rand -base64 32"
        yield _at_main_file(settings, message)


def _is_sample(host: str) -> bool:
    return host.lower() == _SAMPLE_DOMAIN or host.lower().endswith(f".{_SAMPLE_DOMAIN}")


def needs_srv(endpoint: EndpointSettings, dns: DnsSettings) -> bool:
    """Whether only NAPTR or SRV records can keep this pool from meaning UDP 5060.

    RFC 3263 §4.1: neither port nor transport, and a name that is really asked for in DNS.
    """
    open_to_dns = endpoint.port is None and endpoint.pool_transport is None
    return (
        open_to_dns and not is_address(endpoint.pool_fqdn) and endpoint.pool_fqdn not in dns.hosts
    )


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


def _at_main_file(settings: Settings, message: str) -> Fault:
    return Fault(settings.files[0] if settings.files else "(settings)", 0, 0, message)


def _first_of_modes(settings: Settings, *modes: Mode) -> Iterator[EndpointSettings]:
    """The first endpoint of each mode, where there is one."""
    for mode in modes:
        yield from islice((each for each in settings.endpoints if each.mode == mode), 1)


def _general(settings: Settings) -> Iterator[Fault]:
    if not settings.endpoints:
        message = "no endpoints: every request would get 404, but OPTIONS for the server"
        yield _at_main_file(settings, message)
    held = settings.secret_file or (settings.files[0] if settings.files else None)
    if settings.secret is not None and held is not None and is_exposed(held):
        yield Fault(
            held, 0, 0, "holds the secret and can be read or written by every user: chmod o="
        )
    usage = settings.usage
    if usage.store is not None and usage.keep < QUIET_FOR:
        message = (
            f"usage.keep: {usage.keep} days are fewer than the {QUIET_FOR} without a use after "
            "which usage verdict lets an endpoint go"
        )
        yield _at_main_file(settings, message)
    path = settings.dns.hosts_file
    if path != DnsSettings().hosts_file and not os.path.exists(path):
        yield _at_main_file(settings, f"dns.hosts_file: there is no file {path}")


def _tls(settings: Settings) -> Iterator[Fault]:
    listeners = settings.secure_listeners
    profiles = {profile: f"listener {url}" for url, profile in listeners.items()}
    if settings.tls != TlsSettings():
        profiles.setdefault(settings.tls, "connections to pools")
    for profile, where in profiles.items():
        for message in _weakness(profile):
            yield _at_main_file(settings, f"tls, {where}: {message}")
    if any(endpoint.peers == "trusted" for endpoint in settings.endpoints):
        for url, profile in listeners.items():
            if profile.verify_peer == "none":
                lacks = "with verify_peer: none"
            elif not profile.allowed_peers:
                lacks = "without allowed_peers"
            else:
                continue
            yield _at_main_file(
                settings,
                f"tls, listener {url}: {lacks} no certificate makes a peer trusted, as "
                "endpoints with peers: trusted ask for; only trusted_peers does",
            )
    yield from _shut_out_pools(settings)


def _shut_out_pools(settings: Settings) -> Iterator[Fault]:
    """Pools that couldn't connect to us, as they do for requests within proxied dialogs."""
    profiles = settings.secure_listeners.values()
    seen: set[str] = set()
    for endpoint in settings.endpoints:
        name = endpoint.pool_fqdn.lower()
        if endpoint.mode != "proxy" or endpoint.pool_transport != "tls" or name in seen:
            continue
        seen.add(name)
        if profiles and not any(_lets_in(profile, name) for profile in profiles):
            yield at_endpoint(
                endpoint,
                f"mode: proxy, and no TLS listener's allowed_peers has {name}: a pool's servers "
                "connect for their requests within dialogs, and would be refused",
            )


def _lets_in(profile: TlsSettings, name: str) -> bool:
    """Whether a certificate with this name is accepted; a `*.` on the list is any one label."""
    if profile.verify_peer == "none" or not profile.allowed_peers:
        return True
    parent = "*." + name.partition(".")[2]
    return any(each.lower() in (name, parent) for each in profile.allowed_peers)


def _weakness(profile: TlsSettings) -> Iterator[str]:
    old = profile.minimum_version in OLD_TLS_VERSIONS
    level = _level(profile)
    if old:
        yield (
            f"minimum_version: {profile.minimum_version} lets peers use TLS 1.0 or 1.1, which "
            "RFC 8996 forbids: handshakes are signed with MD5 and SHA-1, ciphers are CBC with "
            "SHA-1 (BEAST, Lucky 13); keep it to a listener of its own, for the old peers alone"
        )
    if old and level > 0:
        yield (
            "ciphers without @SECLEVEL=0: OpenSSL 3 speaks nothing before TLS 1.2 then, "
            "whatever minimum_version says; add :@SECLEVEL=0"
        )
    if level < _DEFAULT_LEVEL:
        opens = (
            "RSA keys of 1,024 bits and less"
            if level
            else "certificates signed with MD5 or SHA-1, keys of any length"
        )
        yield f"security level {level} opens the door to {opens}, of peers and authorities"


def _level(profile: TlsSettings) -> int:
    """OpenSSL's security level: the last one in the ciphers, else the version's default."""
    found = _LEVEL.findall(profile.ciphers or "")
    if found:
        return int(found[-1])
    old = profile.minimum_version in OLD_TLS_VERSIONS
    return 0 if profile.ciphers is None and old else _DEFAULT_LEVEL


def _pools(settings: Settings) -> Iterator[Fault]:
    seen: set[PoolAddress] = set()
    for endpoint in settings.endpoints:
        if endpoint.pool not in seen:
            seen.add(endpoint.pool)
            yield from _pool(endpoint, settings.dns)


def _trusted(settings: Settings) -> Iterator[Fault]:
    """Two modes refuse everybody where nobody is trusted, or this machine alone."""
    proved = any(each.allowed_peers for each in settings.secure_listeners.values())
    others = any(not network.is_loopback for network in settings.trusted_peers)
    if proved or others or (settings.trusted_peers and _is_local(settings)):
        return
    who = "only this machine is one" if settings.trusted_peers else "there are none"
    for first in _first_of_modes(settings, "lookup", "proxy"):
        yield at_endpoint(
            first,
            f"the mode {first.mode} serves trusted peers only, and {who}: name the front ends in "
            "tls.allowed_peers, or in trusted_peers",
        )


def _is_local(settings: Settings) -> bool:
    """Whether this machine alone can send anything."""
    return all(ip_address(each.host).is_loopback for each in settings.listen)


def _amplifiers(settings: Settings) -> Iterator[Fault]:
    """Over UDP an address proves nothing, and what isn't acknowledged is sent again (§17)."""
    udp = [each for each in settings.listen if each.transport == "udp"]
    reachable = any(not ip_address(each.host).is_loopback for each in udp)
    if not reachable or all(network.is_loopback for network in settings.trusted_peers):
        return
    for first in _first_of_modes(settings, "lookup", "proxy"):
        times = 23 if first.mode == "lookup" else 50
        yield at_endpoint(
            first,
            f"the mode {first.mode} can be reached over udp://: who forges a trusted peer's "
            f"address has it sent up to {times} times the octets, by SIP's own timers; listen with "
            "tls:// or tcp:// alone, or keep forged addresses out of this network",
        )


def _ways_back(settings: Settings) -> Iterator[Fault]:
    """One port in Record-Route can't be that of two stream listeners."""
    recorded = settings.record_route_host
    port = None if recorded is None else recorded.port
    key = "advertise" if settings.proxy.record_route_host is None else "proxy.record_route_host"
    listeners = {each.port for each in settings.listen if each.transport != "udp"}
    if port is None or len(listeners) <= 1:
        return
    for first in _first_of_modes(settings, "proxy"):
        yield at_endpoint(
            first,
            f"mode: proxy, and {key} names port {port} for all listeners, though those of TCP "
            "and TLS have several: the pool's requests within dialogs go to that one. Leave the "
            "port out, and each listener's own is named",
        )


def _channels(settings: Settings) -> Iterator[Fault]:
    """A client's front end routes what is in its own domain, and not always anything else."""
    for endpoint in settings.endpoints:
        if endpoint.mode != "lookup":
            continue
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
    literal = is_address(endpoint.pool_fqdn)
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
