"""Decides which response a request gets, or which mode handles it.

The order of the steps is the order of the table in docs/answers.md; the first that fits decides.
Nothing is awaited, and DNS isn't asked: the pool has done that already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chatredirect.answering.stateful import StatefulModes
from chatredirect.endpoints.directory import Directory, Endpoint, Unavailability, find
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.endpoints.redirection import contact_of_pool, contacts_of_targets
from chatredirect.lookup.uas_checks import ALLOW, CAPABILITIES
from chatredirect.net.addresses import HostPort
from chatredirect.net.instances import InstanceIdentity
from chatredirect.net.own_names import OwnNames
from chatredirect.net.refusals import RefusalReason
from chatredirect.responses.planned import (
    MISCELLANEOUS,
    SIPS_NOT_ALLOWED,
    PlannedResponse,
    allow,
    capabilities,
    unavailable,
)
from chatredirect.sip.client_request import hostport
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer, TagMaker
from chatredirect.sip.uri import SipUri, canonical_host

#: Methods that have a meaning only within a dialog.
_IN_DIALOG_ONLY = frozenset((b"BYE", b"INFO", b"NOTIFY", b"PRACK", b"UPDATE"))
#: Octets that a response has for each Via line beyond what it copies: "v:" comes back as "Via: ".
_ADDED_BY_VIA = 3


@dataclass(frozen=True, slots=True)
class Registrars:
    """Where the clients of each SIP domain sign in: what a REGISTER that comes here is answered.

    A client that is configured with this server's name instead of its domain's records gets a 301
    to its home pool. Office Communicator's clients follow it (and no other 3xx).

    Attributes:
        homes: the home pools by domain, in lower case.
        domains: those of lookup endpoints, where a REGISTER is a mistake of the routing.
    """

    homes: Mapping[bytes, HostPort]
    domains: frozenset[bytes]

    @classmethod
    def of(cls, homes: Mapping[str, HostPort], lookups: Iterable[str]) -> "Registrars":
        """Read the section `registrars`, and the domains of the lookup endpoints."""
        return cls(
            {domain.encode("ascii"): home for domain, home in homes.items()},
            frozenset(canonical_host(domain.encode("ascii")) for domain in lookups),
        )

    def response(self, uri: SipUri, transport: str) -> PlannedResponse | None:
        """The response to a REGISTER with this Request-URI; None if its domain isn't known here.

        A client that is sent to its home pool goes on with the transport that it uses.
        """
        if uri.user is not None:
            return None
        domain = canonical_host(uri.host)
        home = self.homes.get(domain)
        if home is not None:
            over = b"" if transport == "udp" else b";transport=" + transport.encode("ascii")
            contact = b"Contact: <sip:%b%b>\r\n" % (hostport(home.host, home.port), over)
            return PlannedResponse(301, contact)
        return PlannedResponse(405, ALLOW) if domain in self.domains else None


@dataclass(frozen=True, slots=True)
class ResponseSettings:
    """What all responses depend on, besides the endpoints.

    Attributes:
        retry_after: seconds, for Retry-After.
        agent: our name in Warning header fields.
        log_requests: whether every request gets a line in the log.
        observing: holds the observer of messages.
        identity: what this instance tells another one of itself; None if it has no shared secret.
    """

    tags: TagMaker
    retry_after: int
    agent: bytes
    log_requests: bool
    stateful: StatefulModes = field(default_factory=StatefulModes)
    registrars: Registrars = Registrars({}, frozenset())
    observing: Observing = field(default_factory=Observing)
    identity: InstanceIdentity | None = None


class Dispatcher:
    """Decides for the endpoints of a directory; `own_names` says which hosts are this server."""

    __slots__ = ("_directory", "_own_names", "_settings", "_stateful")

    def __init__(
        self, directory: Directory, own_names: OwnNames, settings: ResponseSettings
    ) -> None:
        """Decide by these settings."""
        self._directory = directory
        self._own_names = own_names
        self._settings = settings
        self._stateful = settings.stateful

    def decide(
        self,
        request: Request,
        headers: MandatoryHeaders,
        peer: Peer,
        room: int,
        return_path: ReturnPath,
    ) -> PlannedResponse | None:
        """Decide on the response to a request; None if a lookup or the proxy handles it.

        The Contacts of a redirect take at most `room` octets.

        Raises:
            SipError: its Request-URI, or a header field that a proxy reads, can't be read.
        """
        method = request.method
        uri, endpoint = find(self._directory, self._own_names, request)
        if method == b"CANCEL":
            return self._cancel(request, headers, endpoint, peer)
        if headers.in_dialog:
            if self._stateful.within(request, headers, peer, return_path):
                return None
            # a caller that ignores Record-Route: only the endpoint's pool may know the dialog
            if endpoint is None or endpoint.proxy is None:
                if self._stateful.lookup and not peer.trusted and self._own_names.names(uri):
                    # it doesn't say whether there is a dialog
                    return PlannedResponse(403, tagged=False, refusal=RefusalReason.NOT_TRUSTED)
                return PlannedResponse(481, tagged=False)

        user = uri.user
        if endpoint is None and self._own_names.names(uri):
            endpoint, user = self._by_to(headers.called, user)
            if endpoint is None and method == b"OPTIONS" and uri.user is None:
                identity = self._settings.identity
                told = b""
                if identity is not None and peer.trusted:  # a stranger could guess a weak secret
                    told = identity.answer(request.head)
                return PlannedResponse(200, capabilities(None) + told)
        if endpoint is None:
            # an RFC 2543 caller has no tag, so the requests to it have none in To
            if self._stateful.within(request, headers, peer, return_path):
                return None
            return self._elsewhere(method, uri, return_path)
        if endpoint.closed is not None and not headers.in_dialog:
            return self._closed(request, headers, peer, return_path, endpoint, endpoint.closed)
        methods = endpoint.methods
        listed = methods is None or method in methods or method == b"OPTIONS"
        if endpoint.for_trusted:
            if not peer.trusted:
                return _not_trusted(endpoint)
            lookup = endpoint.lookup  # here, since lookups are for trusted peers only
            if lookup is not None and listed:
                if method == b"INVITE":
                    driver = self._stateful.lookup
                    assert driver is not None  # there is one where there are such endpoints
                    driver.invite(request, headers, peer, return_path, lookup)
                    return None
                planned = self._beside_lookups(method, endpoint, lookup)
                if planned is not None:
                    return planned
            if endpoint.proxy is not None and (listed or headers.in_dialog):
                proxy = self._stateful.proxy
                assert proxy is not None  # as above
                named = uri if uri is endpoint.uri or not self._own_names.names(uri) else None
                proxy.arrive(request, headers, peer, return_path, named, endpoint.proxy)
                return None
        if not listed:
            return PlannedResponse(405, allow(methods), endpoint=endpoint)

        sips = uri.scheme == b"sips"
        redirection, pool = endpoint.redirection, endpoint.pool
        # a Contact with the pool's name needs no targets: that the pool exists is enough
        ready = pool.usable and (redirection.form == "fqdn" or pool.resolved)
        if not ready and not (endpoint.settings.on_all_down == "serve" and pool.resolved):
            if pool.want is not None:
                pool.want(pool)
            return self._unavailable(endpoint, MISCELLANEOUS, pool.reason)
        if redirection.form == "fqdn":
            contacts = contact_of_pool(redirection, user or b"", sips)
        else:
            caller = headers.caller
            room -= _ADDED_BY_VIA * len(request.vias)
            contacts = contacts_of_targets(redirection, pool, user or b"", sips, caller, room)
        if contacts is None:
            return self._unavailable(endpoint, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
        if method == b"OPTIONS":
            return PlannedResponse(200, capabilities(methods), endpoint=endpoint)
        return PlannedResponse(redirection.status, contacts, endpoint=endpoint)

    def _beside_lookups(
        self, method: bytes, endpoint: Endpoint, lookup: LookupEndpoint
    ) -> PlannedResponse | None:
        """A lookup endpoint's response to other methods than INVITE; None if it redirects them."""
        if method == b"REGISTER":
            return PlannedResponse(405, ALLOW, endpoint=endpoint)
        if method in _IN_DIALOG_ONLY:
            return PlannedResponse(481, endpoint=endpoint)
        if method != b"OPTIONS":
            return None
        if not lookup.channels.usable:
            return self._unavailable(endpoint, MISCELLANEOUS, lookup.channels.reason)
        return PlannedResponse(200, CAPABILITIES, endpoint=endpoint)

    def _cancel(
        self, cancel: Request, headers: MandatoryHeaders, endpoint: Endpoint | None, peer: Peer
    ) -> PlannedResponse:
        """200 (RFC 3261 §8.3); 481 if the INVITE would be known and isn't (§9.2)."""
        tagged = not headers.in_dialog
        if self._stateful.cancels(cancel, headers, endpoint, peer):
            return PlannedResponse(200, tagged=tagged, endpoint=endpoint)
        if endpoint is not None and (endpoint.lookup is not None or endpoint.proxy is not None):
            return PlannedResponse(481, tagged=tagged, endpoint=endpoint)
        return PlannedResponse(200, tagged=tagged)

    def _closed(
        self,
        request: Request,
        headers: MandatoryHeaders,
        peer: Peer,
        return_path: ReturnPath,
        endpoint: Endpoint,
        closed: Unavailability,
    ) -> PlannedResponse | None:
        """The response of an endpoint that is in maintenance or disabled."""
        if (
            endpoint.for_trusted
            and peer.trusted
            and self._stateful.repeats(request, headers, peer, return_path, endpoint)
        ):  # a retransmission of a request that was accepted before
            return None
        if closed.disabled:
            if request.method == b"REGISTER":
                return self._elsewhere(request.method, endpoint.uri, return_path)
            return PlannedResponse(404, endpoint=endpoint)
        if endpoint.for_trusted and not peer.trusted:
            return _not_trusted(endpoint)
        lookup, methods = endpoint.lookup, endpoint.methods
        if (
            lookup is not None
            and request.method == b"INVITE"
            and (methods is None or b"INVITE" in methods)
        ):  # a client whose INVITE is refused switches its group chat off
            driver = self._stateful.lookup
            assert driver is not None  # there is one where there are such endpoints
            driver.invite(request, headers, peer, return_path, lookup, closed.why)
            return None
        seconds = closed.retry_after(self._settings.retry_after)
        return self._unavailable(endpoint, MISCELLANEOUS, closed.why, seconds)

    def _elsewhere(self, method: bytes, uri: SipUri, return_path: ReturnPath) -> PlannedResponse:
        """The response for a URI that is no endpoint's; a REGISTER may get a 301."""
        planned = None
        if method == b"REGISTER":
            planned = self._settings.registrars.response(uri, return_path.transport)
        return planned or PlannedResponse(404)

    def _by_to(self, to: bytes, user: bytes | None) -> tuple[Endpoint | None, bytes | None]:
        """The endpoint that the To URI names, and the user part for its Contact."""
        try:
            uri, endpoint = self._directory.find(to)
        except SipError:
            return None, user  # a To may hold any URI; this one is no contact object's
        return endpoint, user if user is not None else uri.user

    def _unavailable(
        self, endpoint: Endpoint, code: bytes, why: str, seconds: int | None = None
    ) -> PlannedResponse:
        """480 and not 503, which would take the whole server out of a front end's rotation."""
        retry_after = self._settings.retry_after if seconds is None else seconds
        fields = unavailable(retry_after, self._settings.agent, code, why)
        return PlannedResponse(480, fields, endpoint=endpoint)


def _not_trusted(endpoint: Endpoint) -> PlannedResponse:
    return PlannedResponse(403, endpoint=endpoint, refusal=RefusalReason.NOT_TRUSTED)
