"""What is allowed in TLS for the sake of old peers, and what it opens."""

import re
from collections.abc import Iterator

from chatredirect.config.faults import Fault
from chatredirect.config.models import Settings, TlsSettings

_OLD = ("TLSv1", "TLSv1.1")
_LEVEL = re.compile(r"@SECLEVEL=(\d)")
_DEFAULT_LEVEL = 2


def tls_warnings(settings: Settings) -> Iterator[Fault]:
    """The warnings about TLS that the settings alone give reason for."""
    main = settings.files[0] if settings.files else "(settings)"
    listeners = settings.secure_listeners
    profiles = {profile: f"listener {url}" for url, profile in listeners.items()}
    if settings.tls != TlsSettings():
        profiles.setdefault(settings.tls, "connections to pools")
    for profile, where in profiles.items():
        for message in _weakness(profile):
            yield Fault(main, 0, 0, f"tls, {where}: {message}")
    if any(endpoint.peers == "trusted" for endpoint in settings.endpoints):
        for url, profile in listeners.items():
            if profile.verify_peer == "none" or not profile.allowed_peers:
                lacks = (
                    "with verify_peer: none"
                    if profile.verify_peer == "none"
                    else "without allowed_peers"
                )
                yield Fault(
                    main,
                    0,
                    0,
                    f"tls, listener {url}: {lacks} no certificate makes a peer trusted, as "
                    "endpoints with peers: trusted ask for; only trusted_peers does",
                )
    yield from _shut_out_pools(settings)


def _shut_out_pools(settings: Settings) -> Iterator[Fault]:
    """Pools that could not connect to us, as they do for requests within proxied dialogs."""
    profiles = settings.secure_listeners.values()
    seen: set[str] = set()
    for endpoint in settings.endpoints:
        name = endpoint.pool_fqdn.lower()
        if endpoint.mode != "proxy" or endpoint.pool_transport != "tls" or name in seen:
            continue
        seen.add(name)
        if profiles and not any(_lets_in(profile, name) for profile in profiles):
            file, _, line = endpoint.source.rpartition(":")
            yield Fault(
                file,
                int(line) if line else 0,
                0,
                f"mode: proxy, and no TLS listener's allowed_peers has {name}: a pool's servers "
                "connect for their requests within dialogs, and would be refused",
            )


def _lets_in(profile: TlsSettings, name: str) -> bool:
    """Whether a certificate with this name is welcome; a `*.` on the list is any one label."""
    if profile.verify_peer == "none" or not profile.allowed_peers:
        return True
    parent = "*." + name.partition(".")[2]
    return any(each.lower() in (name, parent) for each in profile.allowed_peers)


def _weakness(profile: TlsSettings) -> Iterator[str]:
    old = profile.minimum_version in _OLD
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
    """OpenSSL's security level: what the ciphers ask for last, else what goes with the version."""
    found = _LEVEL.findall(profile.ciphers or "")
    if found:
        return int(found[-1])
    return 0 if profile.ciphers is None and profile.minimum_version in _OLD else _DEFAULT_LEVEL
