"""REGISTER, which is sent to a bare domain: a client that signs in at the wrong place.

A client that is configured with this server by name, and not by its domain's records, is sent to
its home pool with 301, which Office Communicator's clients follow (and of 3xx only that).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chatredirect.net.addresses import HostPort
from chatredirect.sip.client_request import hostport
from chatredirect.sip.uri import SipUri, canonical_host


@dataclass(frozen=True, slots=True)
class Registrars:
    """Where clients of each SIP domain belong.

    Attributes:
        homes: by domain, in lower case.
        domains: those of lookup endpoints, where a REGISTER is a mistake of the routing.
    """

    homes: Mapping[bytes, HostPort]
    domains: frozenset[bytes]

    @classmethod
    def of(cls, homes: Mapping[str, HostPort], lookups: Iterable[str]) -> "Registrars":
        """Of the configuration's `registrars`, and of the domains of its lookup endpoints."""
        return cls(
            {domain.encode("ascii"): home for domain, home in homes.items()},
            frozenset(canonical_host(domain.encode("ascii")) for domain in lookups),
        )

    def contact(self, uri: SipUri, transport: str) -> bytes | None:
        """The Contact header field of the 301; None if no home is known.

        Args:
            uri: the Request-URI.
            transport: what the client speaks, and is to go on with.
        """
        home = self.homes.get(canonical_host(uri.host))
        if home is None or uri.user is not None:
            return None
        over = b"" if transport == "udp" else b";transport=" + transport.encode("ascii")
        return b"Contact: <sip:%b%b>\r\n" % (hostport(home.host, home.port), over)

    def misplaced(self, uri: SipUri) -> bool:
        """Whether it is for a lookup endpoint's domain."""
        return uri.user is None and canonical_host(uri.host) in self.domains
