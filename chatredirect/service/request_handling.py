"""From a configuration to what answers requests: a pure function, so that nothing changes by it."""

from collections.abc import Container
from dataclasses import dataclass, fields
from typing import TypeVar

from chatredirect.answering.dispatch import ResponseSettings
from chatredirect.answering.registrar import Registrars
from chatredirect.answering.request_handler import RequestHandler
from chatredirect.answering.stateful import StatefulModes
from chatredirect.config import LimitSettings, Settings
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.lookup.core import LookupSettings
from chatredirect.net.own_names import OwnNames
from chatredirect.proxy.settings import ProxySettings
from chatredirect.responses.counters import Counters
from chatredirect.service.proxy_mode import proxy_settings
from chatredirect.sip.limits import Limits
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import TagMaker
from chatredirect.transport.admission import ConnectionLimits
from chatredirect.transport.connection_settings import StreamLimits
from chatredirect.transport.peer_identity import TrustedPeers

L = TypeVar("L", Limits, StreamLimits, ConnectionLimits)


def limits_of(kind: type[L], settings: LimitSettings) -> L:
    """Give those of the section `limits` that one part goes by; they have the same names there."""
    return kind(**{each.name: getattr(settings, each.name) for each in fields(kind)})


@dataclass(frozen=True, slots=True)
class RequestHandling:
    """What a configuration says of requests.

    Attributes:
        settings: the configuration.
        directory: its endpoints.
        names: our own names.
        agent: our name in Warning header fields.
        tags: makes To tags.
        trust: says which peers are trusted.
        limits: bounds on a message.
        registrars: answer REGISTER.
        lookup: what the mode `lookup` goes by.
        proxy: what the mode `proxy` goes by.
        wants_lookups: whether there is an endpoint in the mode `lookup`.
    """

    settings: Settings
    directory: Directory
    names: OwnNames
    agent: bytes
    tags: TagMaker
    trust: TrustedPeers
    limits: Limits
    registrars: Registrars | None
    lookup: LookupSettings
    proxy: ProxySettings
    wants_lookups: bool

    @classmethod
    def of(
        cls,
        settings: Settings,
        building: DirectoryBuilder,
        names: OwnNames,
        key: bytes,
        addresses: Container[str],
    ) -> "RequestHandling":
        """Read a configuration.

        Args:
            settings: the configuration.
            building: its endpoints.
            names: our own names.
            key: what tags and Record-Routes are signed with.
            addresses: the addresses of all pools' targets, as they are at any time.
        """
        advertise = settings.advertise
        agent = (advertise.host if advertise is not None else "chatredirect").encode("ascii")
        tags, trust = TagMaker(key), TrustedPeers(settings.trusted_peers)
        directory = building.done()
        return cls(
            settings=settings,
            directory=directory,
            names=names,
            agent=agent,
            tags=tags,
            trust=trust,
            limits=limits_of(Limits, settings.limits),
            registrars=Registrars.of(settings.registrars, building.lookup_domains),
            lookup=LookupSettings(tags, settings.retry_after, agent, settings.limits.dialogs),
            proxy=proxy_settings(
                settings,
                directory,
                names,
                key,
                agent,
                tags=tags,
                trust=trust,
                pools=building.proxied_pools,
                left=building.left_pools,
                addresses=addresses,
            ),
            wants_lookups=bool(building.lookup_domains),
        )

    def handler(
        self,
        stateful: StatefulModes,
        observing: Observing,
        counters: Counters,
        *,
        log_requests: bool,
    ) -> RequestHandler:
        """Make the request handler.

        Args:
            stateful: the modes that remember requests.
            observing: holds the observer of messages.
            counters: the daemon's.
            log_requests: whether each request gets a line in the log.
        """
        answering = ResponseSettings(
            tags=self.tags,
            retry_after=self.settings.retry_after,
            agent=self.agent,
            log_requests=log_requests,
            stateful=stateful,
            registrars=self.registrars,
            observing=observing,
        )
        return RequestHandler(self.directory, self.names, answering, self.limits, counters)
