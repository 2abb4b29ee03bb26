"""From a configuration to what answers requests: a pure function, which changes nothing."""

import time
from collections.abc import Callable, Container
from dataclasses import dataclass, fields
from typing import TypeVar

from chatredirect import __version__
from chatredirect.answering.dispatch import Registrars, ResponseSettings
from chatredirect.config import LimitSettings, Settings, TlsSettings
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.lookup.core import LookupSettings
from chatredirect.net.instances import InstanceIdentity
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import Target
from chatredirect.proxy.record_route import LoopDetector, RecordRouteCodec
from chatredirect.proxy.settings import ProxySettings
from chatredirect.sip.limits import Limits
from chatredirect.sip.response import TagMaker
from chatredirect.transport.admission import ConnectionLimits
from chatredirect.transport.connection_settings import StreamLimits
from chatredirect.transport.peer_identity import TrustedPeers, matches

L = TypeVar("L", Limits, StreamLimits, ConnectionLimits)


def limits_of(kind: type[L], settings: LimitSettings) -> L:
    """One part's limits; they have the same names in the section `limits`."""
    return kind(**{each.name: getattr(settings, each.name) for each in fields(kind)})


@dataclass(frozen=True, slots=True)
class RequestHandling:
    """What a configuration says of requests.

    Attributes:
        answering: settings of responses, as far as the configuration has them.
        limits: limits on a message.
        wants_lookups: whether there is an endpoint in the mode `lookup`.
    """

    settings: Settings
    directory: Directory
    names: OwnNames
    answering: ResponseSettings
    trust: TrustedPeers
    limits: Limits
    lookup: LookupSettings
    proxy: ProxySettings
    wants_lookups: bool

    @classmethod
    def of(
        cls,
        settings: Settings,
        builder: DirectoryBuilder,
        names: OwnNames,
        key: bytes,
        addresses: Container[str],
    ) -> "RequestHandling":
        """Read a configuration.

        Args:
            builder: has the endpoints.
            key: signs To tags and Record-Routes.
            addresses: the addresses of all pools' targets, which may change at any time.
        """
        advertise, proxy = settings.advertise, settings.proxy
        agent = (advertise.host if advertise is not None else "chatredirect").encode("ascii")
        tags, trust = TagMaker(key), TrustedPeers(settings.trusted_peers)
        directory = builder.directory
        identity = None
        if settings.secret is not None:  # one of our own is no other instance's
            identity = InstanceIdentity(key, settings.fingerprint, __version__, time.time)
        return cls(
            settings=settings,
            directory=directory,
            names=names,
            answering=ResponseSettings(
                tags=tags,
                retry_after=settings.retry_after,
                agent=agent,
                log_requests=False,
                identity=identity,
                registrars=Registrars.of(settings.registrars, builder.lookup_domains),
            ),
            trust=trust,
            limits=limits_of(Limits, settings.limits),
            lookup=LookupSettings(tags, settings.retry_after, agent, settings.limits.dialogs),
            proxy=ProxySettings(
                directory=directory,
                names=names,
                advertise=advertise,
                record_route_host=settings.record_route_host,
                tags=tags,
                record_route=RecordRouteCodec(key),
                loops=LoopDetector(key),
                is_target=lambda host: host.decode("ascii") in addresses,
                follows=_follows(trust, settings.tls),
                pools=builder.proxied_pools,
                left=builder.left_pools,
                agent=agent,
                retry_after=settings.retry_after,
                attempt_timeout=proxy.attempt_timeout,
                target_penalty=proxy.target_penalty,
                timer_c=proxy.timer_c,
                target_grace=proxy.target_grace,
                dialog_age=proxy.dialog_age,
                proxy_require=frozenset(tag.lower().encode() for tag in proxy.proxy_require),
                transactions=proxy.transactions,
                transactions_per_peer=proxy.transactions_per_peer,
            ),
            wants_lookups=bool(builder.lookup_domains),
        )


def _follows(trust: TrustedPeers, tls: TlsSettings) -> Callable[[Target], bool]:
    """Whether a request may go to a target that a Route names.

    Over UDP and TCP its address must be trusted. Over TLS its certificate will have to prove the
    name, and `allowed_peers` must have that; without such a list, the address is asked about.
    """

    def follows(target: Target) -> bool:
        if target.transport == "tls" and tls.allowed_peers:
            return any(
                matches((target.domain,), each, wildcards=tls.wildcards)
                for each in tls.allowed_peers
            )
        return trust.lists(target.address)

    return follows
