"""Contact-object URI -> Endpoint: one dictionary look-up on a canonical key.

A directory never changes: a reload makes a new one, so a request sees either the old or the new
configuration and never a mixture.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chatredirect.config.endpoint import EndpointSettings, State
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.endpoints.proxy_endpoint import ProxyEndpoint
from chatredirect.endpoints.redirection import Redirection
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.sip.message import Request
from chatredirect.sip.uri import SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Unavailability:
    """Why an endpoint serves nobody.

    Attributes:
        disabled: whether it is as if it weren't there, rather than in maintenance.
        until: when it opens by itself, in seconds since the epoch; None if it doesn't.
        why: for people: printable ASCII without quotes.
        wall: seconds since the epoch.
    """

    disabled: bool
    until: float | None
    why: str
    wall: Callable[[], float]

    def retry_after(self, most: int) -> int:
        """Seconds after which to come again: not later than it opens, but for the first second.

        Args:
            most: seconds that callers are told to wait otherwise.
        """
        if self.until is None:
            return most
        return max(1, min(most, math.ceil(self.until - self.wall())))


@dataclass(slots=True)
class Endpoint:
    """One contact object with its pool.

    Attributes:
        address: its SIP address with the scheme, for people.
        uri: the same, read.
        settings: what the configuration says of it.
        pool: the pool that it leads to; several endpoints may share one.
        redirection: what its answers are made of.
        methods: the methods that are redirected or passed on, None for all of them.
        for_trusted: whether it serves trusted peers only.
        lookup: what its lookups need; None in another mode.
        proxy: what is needed to pass its requests on; None in another mode.
        closed: why it serves nobody just now, None if it is open; set anew when its time comes.
    """

    address: str
    uri: SipUri
    settings: EndpointSettings
    pool: Pool
    redirection: Redirection
    methods: frozenset[bytes] | None
    for_trusted: bool
    lookup: LookupEndpoint | None = None
    proxy: ProxyEndpoint | None = None
    closed: Unavailability | None = None

    @property
    def state(self) -> State:
        """The state that is in force, whatever the clock says by now."""
        if self.closed is None:
            return "active"
        return "disabled" if self.closed.disabled else "maintenance"


class Directory:
    """All endpoints, found by URI."""

    __slots__ = ("_by_key", "_by_spelling")

    def __init__(
        self,
        by_key: dict[bytes, Endpoint] | None = None,
        by_spelling: dict[bytes, Endpoint] | None = None,
    ) -> None:
        """Take over dictionaries of endpoints; without them there are none.

        Args:
            by_key: by the canonical key of their address.
            by_spelling: by their address. Nearly every request spells it as the configuration
                does: that is found without being read.
        """
        self._by_key = by_key or {}
        self._by_spelling = by_spelling or {}

    def __len__(self) -> int:
        """How many endpoints there are."""
        return len(self._by_key)

    def __iter__(self) -> Iterator[Endpoint]:
        """All endpoints, in the order of the configuration."""
        return iter(self._by_key.values())

    def get(self, key: bytes) -> Endpoint | None:
        """The endpoint with a canonical key."""
        return self._by_key.get(key)

    def take_apart(self, count: int) -> bool:
        """Forget some endpoints of a directory that nobody asks any more; whether any are left.

        To let go of a hundred thousand at once would hold up requests.
        """
        for endpoints in (self._by_spelling, self._by_key):
            for _ in range(min(count, len(endpoints))):
                endpoints.popitem()
        return bool(self._by_key or self._by_spelling)

    def find(self, uri: bytes) -> tuple[SipUri, Endpoint | None]:
        """Read a URI and find the endpoint that it names, None if it names none.

        Raises:
            UnsupportedUriScheme: it is a URI, but of another scheme.
            BadRequestUri: it is no URI.
        """
        known = self._by_spelling.get(uri)
        if known is not None:
            return known.uri, known
        parsed = parse_uri(uri)
        return parsed, self._by_key.get(parsed.canonical_key())


class DirectoryBuilder:
    """A directory that is being made, endpoint by endpoint.

    Attributes:
        addresses: the endpoints' addresses.
        lookup_domains: the SIP domains of those in the mode `lookup`.
        waiting: those that open at a time.
        proxied_pools: the pools of those in the mode `proxy`, by their FQDN.
        left_pools: those that were proxied for before, and aren't any more.
    """

    __slots__ = (
        "_by_key",
        "_by_spelling",
        "_closed_of",
        "_lookup_of",
        "_pool_of",
        "_shared",
        "addresses",
        "left_pools",
        "lookup_domains",
        "proxied_pools",
        "waiting",
    )

    def __init__(
        self,
        pool_of: Callable[[EndpointSettings], Pool],
        lookup_of: Callable[[EndpointSettings], LookupEndpoint | None] = lambda settings: None,
        closed_of: Callable[[EndpointSettings], Unavailability | None] = lambda settings: None,
    ) -> None:
        """Begin with nothing.

        Args:
            pool_of: gives an endpoint's pool, the same one for the same name, port and transport.
            lookup_of: gives what an endpoint in the mode `lookup` needs, None for others.
            closed_of: says why an endpoint serves nobody just now, None for one that does.
        """
        self.addresses: set[str] = set()
        self.waiting: list[Endpoint] = []
        self.lookup_domains: set[str] = set()
        self.proxied_pools: dict[str, set[PoolAddress]] = {}
        self.left_pools: set[PoolAddress] = set()
        self._pool_of = pool_of
        self._lookup_of = lookup_of
        self._closed_of = closed_of
        self._by_key: dict[bytes, Endpoint] = {}
        self._by_spelling: dict[bytes, Endpoint] = {}
        # Equal ones are one, so that requests for many endpoints find them in the processor's
        # cache.
        self._shared: dict[Redirection, Redirection] = {}

    def add(self, settings: EndpointSettings) -> None:
        """Add an endpoint; no two have the same key."""
        address = str(settings.sip_address)
        spelling = address.encode()
        redirection = Redirection.of(settings)
        pool = self._pool_of(settings)
        proxy = None
        if settings.mode == "lookup":
            self.lookup_domains.add(settings.sip_address.host)
        elif settings.mode == "proxy":
            self.proxied_pools.setdefault(pool.key[0], set()).add(pool.key)
            proxy = ProxyEndpoint.of(settings, pool)
        endpoint = Endpoint(
            address=address,
            uri=parse_uri(spelling),
            settings=settings,
            pool=pool,
            redirection=self._shared.setdefault(redirection, redirection),
            methods=_methods(settings),
            for_trusted=settings.peers == "trusted" or settings.mode != "redirect",
            lookup=self._lookup_of(settings),
            closed=self._closed_of(settings),
            proxy=proxy,
        )
        if endpoint.closed is not None and endpoint.closed.until is not None:
            self.waiting.append(endpoint)
        self.addresses.add(address)
        self._by_key[settings.sip_address.key] = endpoint
        self._by_spelling[spelling] = endpoint

    def succeed(self, endpoint: Endpoint) -> None:
        """See an endpoint of the directory before, when all of this one have been added."""
        key = endpoint.pool.key
        if endpoint.proxy is not None and key not in self.proxied_pools.get(key[0], ()):
            self.left_pools.add(key)

    def done(self) -> Directory:
        """The directory."""
        return Directory(self._by_key, self._by_spelling)


def _methods(settings: EndpointSettings) -> frozenset[bytes] | None:
    if settings.methods is None:
        return None
    return frozenset(method.encode("ascii") for method in settings.methods)


def find(directory: Directory, names: OwnNames, request: Request) -> tuple[SipUri, Endpoint | None]:
    """The endpoint that a request is for, None for none, and the Request-URI read.

    A maddr that is this server's has done its work by having led here: the request goes on as if
    its Request-URI had none (RFC 3261 §16.4).

    Raises:
        SipError: the Request-URI can't be read.
    """
    uri, endpoint = directory.find(request.uri)
    if uri.params and (endpoint is None or endpoint.proxy is not None):
        freed = names.freed(uri)
        if freed is not None:
            request.uri = freed
            return directory.find(freed)
    return uri, endpoint
