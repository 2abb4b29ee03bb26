"""Contact-object URI -> Endpoint: one dictionary look-up on a canonical key.

A directory never changes: a reload makes a new one, so a request sees either the old or the new
configuration and never a mixture.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.pool import Pool
from chatredirect.roles.lookup.endpoint import LookupEndpoint
from chatredirect.roles.redirection import Redirection
from chatredirect.sip.uri import SipUri, parse_uri


@dataclass(slots=True)
class Endpoint:
    """One contact object with its pool.

    Attributes:
        address: its SIP address with the scheme, for people.
        uri: the same, read.
        settings: what the configuration says of it.
        pool: the pool that it leads to; several endpoints may share one.
        redirection: what its answers are made of.
        methods: the methods that are redirected, None for all of them.
        for_trusted: whether it serves trusted peers only.
        lookup: what its lookups need; None in another mode.
    """

    address: str
    uri: SipUri
    settings: EndpointSettings
    pool: Pool
    redirection: Redirection
    methods: frozenset[bytes] | None
    for_trusted: bool
    lookup: LookupEndpoint | None = None


class Directory:
    """All endpoints, found by URI."""

    __slots__ = ("_by_key", "_by_spelling")

    def __init__(self, endpoints: Iterable[tuple[bytes, Endpoint]]) -> None:
        """Keep endpoints by the canonical key of their address."""
        self._by_key = dict(endpoints)
        # Nearly every request spells the address as the configuration does: that is found without
        # being read.
        self._by_spelling = {each.address.encode(): each for each in self._by_key.values()}

    def __len__(self) -> int:
        """How many endpoints there are."""
        return len(self._by_key)

    def __iter__(self) -> Iterator[Endpoint]:
        """All endpoints, in the order of the configuration."""
        return iter(self._by_key.values())

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


def build_directory(
    settings: Iterable[EndpointSettings],
    pool_of: Callable[[EndpointSettings], Pool],
    lookup_of: Callable[[EndpointSettings], LookupEndpoint | None] = lambda settings: None,
) -> Directory:
    """Make the directory of a configuration.

    Args:
        settings: the endpoints, no two with the same key.
        pool_of: gives an endpoint's pool, the same one for the same name, port and transport.
        lookup_of: gives what an endpoint in the mode `lookup` needs, None for others.
    """
    # Equal ones are one, so that requests for many endpoints find them in the processor's cache.
    redirections: dict[Redirection, Redirection] = {}
    return Directory(
        (
            each.sip_address.key,
            Endpoint(
                address=str(each.sip_address),
                uri=parse_uri(str(each.sip_address).encode()),
                settings=each,
                pool=pool_of(each),
                redirection=_shared(redirections, Redirection.of(each)),
                methods=_methods(each),
                for_trusted=each.peers == "trusted" or each.mode == "lookup",
                lookup=lookup_of(each),
            ),
        )
        for each in settings
    )


def _shared(redirections: dict[Redirection, Redirection], made: Redirection) -> Redirection:
    return redirections.setdefault(made, made)


def _methods(settings: EndpointSettings) -> frozenset[bytes] | None:
    if settings.methods is None:
        return None
    return frozenset(method.encode("ascii") for method in settings.methods)
