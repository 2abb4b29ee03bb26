"""The mode `lookup`: what one endpoint is made of, and which channel service a caller is sent to.

A lookup endpoint hands out its channel services in turn. A client that repeats its lookup within a
minute, because its first try was lost, is sent to the same one. Only channel services whose pool
has a working target are handed out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.net.addresses import HostPort, default_port
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.sip.client_request import hostport
from chatredirect.sip.flow import Flow

STABLE = 60.0
"""Seconds in which a caller is sent to the same channel service."""
MAX_CALLERS = 65536
"""Callers that are remembered; a new one replaces the oldest."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel service: the URI that clients get, and the pool behind it."""

    uri: str
    pool: Pool
    serve: bool = False  # even if all targets of its pool are down

    @property
    def usable(self) -> bool:
        """Whether a client may be sent there."""
        return self.pool.usable or (self.serve and self.pool.resolved)


@dataclass(slots=True)
class Channels:
    """The channel services of one endpoint, at least one."""

    channels: Sequence[Channel]
    _next: int = 0
    _callers: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether a client may be sent to one of them."""
        return any(channel.usable for channel in self.channels)

    @property
    def reason(self) -> str:
        """Why none is usable: one line of printable ASCII, for a Warning header field."""
        return self.channels[0].pool.reason

    def want(self) -> None:
        """Ask to resolve the pools that haven't been resolved yet before others."""
        for channel in self.channels:
            if channel.pool.want is not None:
                channel.pool.want(channel.pool)

    def choose(self, caller: bytes, now: float) -> str | None:
        """The URI of a caller's channel service; None if none is usable. `caller` is a From URI."""
        if len(self.channels) == 1:
            return self.channels[0].uri if self.channels[0].usable else None
        self._forget(now)
        # a hash will do: callers that share it share no more than the channel service
        key = hash(caller)
        position, until = self._callers.get(key, (self._next, now + STABLE))
        if key in self._callers and self.channels[position].usable:
            return self.channels[position].uri
        count = len(self.channels)
        for step in range(count):
            position = (self._next + step) % count
            if self.channels[position].usable:
                self._next = (position + 1) % count
                self._callers[key] = (position, until)
                return self.channels[position].uri
        return None

    def _forget(self, now: float) -> None:
        """Forget the callers whose time is over; the oldest come first."""
        callers = self._callers
        while callers:
            oldest = next(iter(callers))
            if callers[oldest][1] > now and len(callers) < MAX_CALLERS:
                return
            del callers[oldest]


@dataclass(slots=True)
class LookupEndpoint:
    """A contact object in the mode `lookup`.

    Attributes:
        address: its SIP address, for people.
        user: the user part of its address, for our Contact.
        domain: its SIP domain.
        contact_uri: our Contact's URI, where a front end needs a GRUU.
        advertise: what our Contact and Via name; None for the address that the client used.
    """

    address: str
    user: bytes
    domain: str
    channels: Channels
    contact_uri: bytes | None
    advertise: HostPort | None

    @classmethod
    def of(
        cls,
        settings: EndpointSettings,
        pool_of: Callable[[PoolAddress], Pool],
        advertise: HostPort | None,
    ) -> "LookupEndpoint":
        """Read an endpoint's settings."""
        sip = settings.sip_address
        contact = settings.contact_uri
        serve = settings.on_all_down == "serve"
        channels = (
            Channel(str(uri), pool_of(settings.channel_pool(uri)), serve)
            for uri in settings.channels
        )
        return cls(
            address=str(sip),
            user=sip.user.encode(),
            domain=sip.host,
            channels=Channels(tuple(channels)),
            contact_uri=None if contact is None else contact.encode(),
            advertise=advertise,
        )

    def sent_by(self, flow: Flow) -> bytes:
        """Our host and port in a Via (RFC 3261 §18.1.1)."""
        return hostport(*self._own_address(flow))

    def contact(self, flow: Flow, sips: bool) -> bytes:
        """Our Contact's value, which requests in the dialog are sent to (RFC 3261 §12.1.1).

        Args:
            flow: the flow that the INVITE came over.
            sips: whether its Request-URI is a SIPS URI, so that the Contact must be one.
        """
        if self.contact_uri is not None:
            return b"<%b>" % self.contact_uri
        return _contact(self.user, *self._own_address(flow), flow.transport, sips)

    def _own_address(self, flow: Flow) -> tuple[str, int]:
        if self.advertise is None:
            return flow.host, flow.port
        return self.advertise.host, self.advertise.port or flow.port


@lru_cache(maxsize=64)
def _contact(user: bytes, host: str, port: int, transport: str, sips: bool) -> bytes:
    own = hostport(host, None if port == default_port(transport) else port)
    if sips:  # RFC 3261 §26.2.2: without transport=tls
        return b"<sips:%b@%b>" % (user, own)
    parameter = b"" if transport == "udp" else b";transport=" + transport.encode()
    return b"<sip:%b@%b%b>" % (user, own, parameter)
