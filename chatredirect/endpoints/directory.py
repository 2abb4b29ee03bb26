"""The endpoints of a configuration, and how a request's URI finds one: a dictionary look-up.

A directory that is served never changes: a reload makes a new one, so a request sees either the old
or the new configuration and never a mixture.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from chatredirect.config.endpoint import EndpointSettings, State
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.endpoints.proxy_endpoint import ProxyEndpoint
from chatredirect.endpoints.redirection import Redirection
from chatredirect.endpoints.response_counts import Tally
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.sip.message import Request
from chatredirect.sip.uri import SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Unavailability:
    """Why an endpoint serves nobody: it is in maintenance, disabled, or not active yet.

    Attributes:
        disabled: whether it answers as if it didn't exist, rather than that it is in maintenance.
        until: when it opens by itself, in seconds since the epoch; None if it doesn't.
        why: for people: printable ASCII without quotes.
        wall: gives seconds since the epoch.
    """

    disabled: bool
    until: float | None
    why: str
    wall: Callable[[], float]

    def retry_after(self, most: int) -> int:
        """Seconds for Retry-After: until it opens, at least 1 and at most `most`."""
        if self.until is None:
            return most
        return max(1, min(most, math.ceil(self.until - self.wall())))


@dataclass(slots=True)
class Endpoint:
    """One contact object with its pool.

    Attributes:
        address: its SIP address with the scheme, for people.
        uri: the same, parsed.
        pool: the pool that its requests go to; several endpoints may share one.
        methods: the methods that are redirected or passed on; None for all.
        for_trusted: whether it serves trusted peers only.
        lookup: what the mode `lookup` needs; None in another mode.
        proxy: what the mode `proxy` needs; None in another mode.
        closed: why it serves nobody just now; None if it is open.
        tally: its responses, once there was one, so that a request needn't look for them.
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
    tally: Tally | None = None

    @property
    def state(self) -> State:
        """The state that is in force, whatever the clock says."""
        if self.closed is None:
            return "active"
        return "disabled" if self.closed.disabled else "maintenance"


class Directory:
    """All endpoints, found by URI.

    Attributes:
        spelled_as: the endpoint whose address is spelled so in the configuration; None if none is.
    """

    __slots__ = ("_by_key", "_by_spelling", "spelled_as")

    def __init__(self) -> None:
        """Begin without endpoints."""
        self._by_key: dict[bytes, Endpoint] = {}
        # nearly every request spells the address as the configuration does: found without parsing
        self._by_spelling: dict[bytes, Endpoint] = {}
        self.spelled_as: Callable[[bytes], Endpoint | None] = self._by_spelling.get

    def add(self, endpoint: Endpoint) -> None:
        """Add an endpoint; no two have the same key."""
        self._by_key[endpoint.settings.sip_address.key] = endpoint
        self._by_spelling[endpoint.address.encode()] = endpoint

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
        """Forget some endpoints of a directory that is no longer served; whether any are left.

        To free a hundred thousand at once would delay requests.
        """
        for endpoints in (self._by_spelling, self._by_key):
            for _ in range(min(count, len(endpoints))):
                endpoints.popitem()
        return bool(self._by_key or self._by_spelling)

    def find(self, uri: bytes) -> tuple[SipUri, Endpoint | None]:
        """Parse a URI and find the endpoint that it names; None if it names none.

        Raises:
            UnsupportedUriScheme: it is a URI, but of another scheme.
            BadRequestUri: it is no URI.
        """
        known = self._by_spelling.get(uri)
        if known is not None:
            return known.uri, known
        # the next most frequent are a few as well: our own Contacts, of requests in dialogs
        parsed, key = _known_uri(uri) if len(uri) <= _SHORT else _read_uri(uri)
        return parsed, self._by_key.get(key)


def _read_uri(uri: bytes) -> tuple[SipUri, bytes]:
    parsed = parse_uri(uri)
    return parsed, parsed.canonical_key()


_SHORT = 128  # octets of a URI that is remembered
_known_uri = lru_cache(maxsize=64)(_read_uri)


@dataclass(slots=True)
class DirectoryBuilder:
    """A directory that is being made, endpoint by endpoint.

    Attributes:
        pool_of: gives an endpoint's pool, the same one for the same name, port and transport.
        lookup_of: gives what an endpoint in the mode `lookup` needs; None for others.
        closed_of: says why an endpoint serves nobody just now; None if it is open.
        directory: the directory.
        addresses: the endpoints' addresses.
        lookup_domains: the SIP domains of the endpoints in the mode `lookup`.
        waiting: the endpoints that open by themselves.
        proxied_pools: the pools of the endpoints in the mode `proxy`, by their FQDN.
        left_pools: the pools that were proxied for before, and aren't any more.
    """

    pool_of: Callable[[EndpointSettings], Pool]
    lookup_of: Callable[[EndpointSettings], LookupEndpoint | None] = lambda settings: None
    closed_of: Callable[[EndpointSettings], Unavailability | None] = lambda settings: None
    directory: Directory = field(default_factory=Directory)
    addresses: set[str] = field(default_factory=set)
    lookup_domains: set[str] = field(default_factory=set)
    waiting: list[Endpoint] = field(default_factory=list)
    proxied_pools: dict[str, set[PoolAddress]] = field(default_factory=dict)
    left_pools: set[PoolAddress] = field(default_factory=set)
    # equal ones are shared, so that requests for many endpoints find them in the processor's cache
    _redirections: dict[Redirection, Redirection] = field(default_factory=dict)

    def add(self, settings: EndpointSettings) -> None:
        """Add an endpoint; no two have the same key."""
        address = str(settings.sip_address)
        redirection = Redirection.of(settings)
        pool = self.pool_of(settings)
        methods, proxy = settings.methods, None
        if settings.mode == "lookup":
            self.lookup_domains.add(settings.sip_address.host)
        elif settings.mode == "proxy":
            self.proxied_pools.setdefault(pool.key[0], set()).add(pool.key)
            proxy = ProxyEndpoint.of(settings, pool)
        endpoint = Endpoint(
            address=address,
            uri=parse_uri(address.encode()),
            settings=settings,
            pool=pool,
            redirection=self._redirections.setdefault(redirection, redirection),
            methods=None if methods is None else frozenset(map(str.encode, methods)),
            for_trusted=settings.peers == "trusted" or settings.mode != "redirect",
            lookup=self.lookup_of(settings),
            closed=self.closed_of(settings),
            proxy=proxy,
        )
        if endpoint.closed is not None and endpoint.closed.until is not None:
            self.waiting.append(endpoint)
        self.addresses.add(address)
        self.directory.add(endpoint)

    def succeed(self, endpoint: Endpoint) -> None:
        """Note an endpoint of the previous directory; all of this one have been added before."""
        key = endpoint.pool.key
        if endpoint.proxy is not None and key not in self.proxied_pools.get(key[0], ()):
            self.left_pools.add(key)


def find(directory: Directory, names: OwnNames, request: Request) -> tuple[SipUri, Endpoint | None]:
    """Parse a request's Request-URI and find the endpoint that it names; None if it names none.

    A maddr that is this server's is removed from the Request-URI (RFC 3261 §16.4).

    Raises:
        SipError: the Request-URI can't be read.
    """
    known = directory.spelled_as(request.uri)
    if known is not None:  # without parameters, as in the configuration
        return known.uri, known
    uri, endpoint = directory.find(request.uri)
    if uri.params and (endpoint is None or endpoint.proxy is not None):
        freed = names.freed(uri)
        if freed is not None:
            request.uri = freed
            return directory.find(freed)
    return uri, endpoint
