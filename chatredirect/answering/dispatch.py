"""The table of answers: what a request gets, by what it wants and of whom.

The order of the steps is the order of the table in docs/answers.md; the first that fits decides.
Nothing is awaited, and DNS isn't asked: the pool has done that already.
"""

from dataclasses import dataclass, field

from chatredirect.answering.registrar import Registrars
from chatredirect.answering.stateful import StatefulModes
from chatredirect.endpoints.directory import Directory, Endpoint, Unavailability, find
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.endpoints.redirection import contact_of_pool, contacts_of_targets
from chatredirect.lookup.uas_checks import ALLOW, CAPABILITIES
from chatredirect.net.own_names import OwnNames
from chatredirect.responses.planned import (
    MISCELLANEOUS,
    SIPS_NOT_ALLOWED,
    PlannedResponse,
    allow,
    capabilities,
    unavailable,
)
from chatredirect.sip.errors import SipError
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer, TagMaker
from chatredirect.sip.uri import SipUri

#: What has a meaning only within a dialog.
_ONLY_WITHIN = frozenset((b"BYE", b"INFO", b"NOTIFY", b"PRACK", b"UPDATE"))
#: Octets that an answer has for each Via line beyond what it repeats: "v:" comes back as "Via: ".
_ADDED_BY_VIA = 3


@dataclass(frozen=True, slots=True)
class ResponseSettings:
    """What all answers have in common, besides the endpoints.

    Attributes:
        tags: makes To tags.
        retry_after: seconds, for Retry-After.
        agent: our name in Warning header fields.
        log_requests: whether every request gets a line in the log.
        stateful: remember requests, where there are lookups or something to be passed on.
        registrars: where a REGISTER belongs.
        observing: holds the observer of messages.
    """

    tags: TagMaker
    retry_after: int
    agent: bytes
    log_requests: bool
    stateful: StatefulModes = field(default_factory=StatefulModes)
    registrars: Registrars | None = None
    observing: Observing = field(default_factory=Observing)


class Dispatcher:
    """What requests to these endpoints get, under these names."""

    __slots__ = ("_answering", "_directory", "_own_names", "_stateful")

    def __init__(
        self, directory: Directory, own_names: OwnNames, answering: ResponseSettings
    ) -> None:
        """Decide for these endpoints."""
        self._directory = directory
        self._own_names = own_names
        self._answering = answering
        self._stateful = answering.stateful

    def decide(
        self,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        room: int,
        reach: ReturnPath | None,
    ) -> PlannedResponse | None:
        """Go down the table, from where it asks what the request wants.

        Args:
            request: has a Via that can be read.
            envelope: its envelope.
            source: where it came from.
            room: octets that Contacts may take.
            reach: the way back for what is sent later, if there is one.

        Returns:
            None if the request is a lookup's, or is passed on.

        Raises:
            SipError: its Request-URI can't be read.
        """
        method = request.method
        uri, endpoint = find(self._directory, self._own_names, request)
        if method == b"CANCEL":
            return self._cancel(request, envelope, endpoint, source)
        if envelope.in_dialog:
            if self._stateful.within(request, envelope, source, reach):
                return None
            # a caller that heeds no Record-Route: his pool knows the dialog, if anybody does
            if endpoint is None or endpoint.proxy is None or reach is None:
                if self._stateful.lookup and not source.trusted and self._own_names.names(uri):
                    return PlannedResponse(403, tagged=False)  # whether there is one or not
                return PlannedResponse(481, tagged=False)

        user = uri.user
        if endpoint is None and self._own_names.names(uri):
            endpoint, user = self._by_to(envelope.called, user)
            if endpoint is None and method == b"OPTIONS" and uri.user is None:
                return PlannedResponse(200, capabilities(None))
        if endpoint is None:
            # an older caller has no tag, so the requests to him have none in To (RFC 2543)
            if self._stateful.within(request, envelope, source, reach):
                return None
            return self._elsewhere(method, uri, reach)
        if endpoint.closed is not None and not envelope.in_dialog:
            return self._closed(request, envelope, source, reach, endpoint, endpoint.closed)
        methods = endpoint.methods
        if endpoint.for_trusted:
            if not source.trusted:
                return PlannedResponse(403, endpoint=endpoint)
            lookup = endpoint.lookup  # asked here, since lookups are for trusted peers only
            if lookup is not None and (methods is None or method in {*methods, b"OPTIONS"}):
                if method == b"INVITE" and reach is not None:
                    driver = self._stateful.lookup
                    assert driver is not None  # there is one where there are such endpoints
                    driver.invite(request, envelope, source, reach, lookup)
                    return None
                verdict = self._beside_lookups(method, endpoint, lookup)
                if verdict is not None:
                    return verdict
            proxy = endpoint.proxy
            if (
                proxy is not None
                and reach is not None
                and self._passed_on(endpoint, envelope, method)
            ):
                passing = self._stateful.proxy
                assert passing is not None  # as above
                named = uri if uri is endpoint.uri or not self._own_names.names(uri) else None
                passing.arrive(request, envelope, source, reach, named, proxy)
                return None
        if methods is not None and method != b"OPTIONS" and method not in methods:
            return PlannedResponse(405, allow(methods), endpoint=endpoint)

        sips = uri.scheme == b"sips"
        redirection, pool = endpoint.redirection, endpoint.pool
        # a pool may be known to exist before its targets are, which is enough for its name
        ready = pool.usable and (redirection.form == "fqdn" or pool.resolved)
        if not ready and not _serves_all_the_same(endpoint):
            if pool.want is not None:
                pool.want(pool)
            return self._unavailable(endpoint, MISCELLANEOUS, pool.reason)
        if redirection.form == "fqdn":
            contacts = contact_of_pool(redirection, user or b"", sips)
        else:
            caller = envelope.caller
            room -= _ADDED_BY_VIA * len(request.vias)
            contacts = contacts_of_targets(redirection, pool, user or b"", sips, caller, room)
        if contacts is None:
            return self._unavailable(endpoint, SIPS_NOT_ALLOWED, "SIPS Not Allowed")
        if method == b"OPTIONS":
            return PlannedResponse(200, capabilities(methods), endpoint=endpoint)
        return PlannedResponse(redirection.status, contacts, endpoint=endpoint)

    def _passed_on(self, endpoint: Endpoint, envelope: MandatoryHeaders, method: bytes) -> bool:
        """Whether a method is on the endpoint's list; what is in a dialog needn't be."""
        methods = endpoint.methods
        return methods is None or method == b"OPTIONS" or envelope.in_dialog or method in methods

    def _beside_lookups(
        self, method: bytes, endpoint: Endpoint, lookup: LookupEndpoint
    ) -> PlannedResponse | None:
        """What a lookup endpoint answers to other methods; None for those it redirects."""
        if method == b"REGISTER":
            return PlannedResponse(405, ALLOW, endpoint=endpoint)
        if method in _ONLY_WITHIN:
            return PlannedResponse(481, endpoint=endpoint)
        if method != b"OPTIONS":
            return None
        if not lookup.channels.usable:
            return self._unavailable(endpoint, MISCELLANEOUS, lookup.channels.reason)
        return PlannedResponse(200, CAPABILITIES, endpoint=endpoint)

    def _cancel(
        self,
        cancel: Request,
        envelope: MandatoryHeaders,
        endpoint: Endpoint | None,
        source: Peer,
    ) -> PlannedResponse:
        """200, as RFC 3261 §8.3 has it; where INVITEs are remembered §9.2 tells the others."""
        tagged = not envelope.in_dialog
        if self._stateful.cancels(cancel, envelope, endpoint, source):
            return PlannedResponse(200, tagged=tagged, endpoint=endpoint)
        if endpoint is not None and (endpoint.lookup is not None or endpoint.proxy is not None):
            return PlannedResponse(481, tagged=tagged, endpoint=endpoint)
        return PlannedResponse(200, tagged=tagged)

    def _closed(
        self,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath | None,
        endpoint: Endpoint,
        closed: Unavailability,
    ) -> PlannedResponse | None:
        """What an endpoint answers that is in maintenance or disabled."""
        if (
            endpoint.for_trusted
            and source.trusted
            and self._stateful.repeats(request, envelope, source, reach, endpoint)
        ):  # what was accepted before goes on
            return None
        if closed.disabled:
            if request.method == b"REGISTER":
                return self._elsewhere(request.method, endpoint.uri, reach)
            return PlannedResponse(404, endpoint=endpoint)
        if endpoint.for_trusted and not source.trusted:
            return PlannedResponse(403, endpoint=endpoint)
        lookup, methods = endpoint.lookup, endpoint.methods
        if (
            lookup is not None
            and reach is not None
            and request.method == b"INVITE"
            and (methods is None or b"INVITE" in methods)
        ):  # a refusal of its INVITE would switch a client's group chat off
            driver = self._stateful.lookup
            assert driver is not None  # there is one where there are such endpoints
            driver.invite(request, envelope, source, reach, lookup, closed.why)
            return None
        seconds = closed.retry_after(self._answering.retry_after)
        return self._unavailable(endpoint, MISCELLANEOUS, closed.why, seconds)

    def _elsewhere(self, method: bytes, uri: SipUri, reach: ReturnPath | None) -> PlannedResponse:
        """A URI that is no endpoint; a REGISTER may be told where it belongs."""
        registrars = self._answering.registrars
        if method == b"REGISTER" and registrars is not None:
            contact = registrars.contact(uri, "udp" if reach is None else reach.transport)
            if contact is not None:
                return PlannedResponse(301, contact)
            if registrars.misplaced(uri):
                return PlannedResponse(405, ALLOW)
        return PlannedResponse(404)

    def _by_to(self, to: bytes, user: bytes | None) -> tuple[Endpoint | None, bytes | None]:
        """The endpoint that the To URI names, and the user part for its Contact."""
        try:
            uri, endpoint = self._directory.find(to)
        except SipError:
            return None, user  # any URI may stand in a To; this one is no contact object
        return endpoint, user if user is not None else uri.user

    def _unavailable(
        self, endpoint: Endpoint, code: bytes, why: str, seconds: int | None = None
    ) -> PlannedResponse:
        """480 and not 503, which would take the whole server out of a front end's rotation."""
        answering = self._answering
        retry_after = answering.retry_after if seconds is None else seconds
        fields = unavailable(retry_after, answering.agent, code, why)
        return PlannedResponse(480, fields, endpoint=endpoint)


def _serves_all_the_same(endpoint: Endpoint) -> bool:
    """Whether targets that are all down are given out, as the configuration may ask for."""
    return endpoint.settings.on_all_down == "serve" and endpoint.pool.resolved
