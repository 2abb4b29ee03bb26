"""The modes that keep state, `lookup` and `proxy`; each may be absent.

The dispatcher keeps none. It offers them each message that may belong to an earlier request, and
the mode that knows the request handles the message and sends the responses.
"""

from dataclasses import dataclass

from chatredirect.endpoints.directory import Endpoint
from chatredirect.lookup.driver import LookupDriver
from chatredirect.proxy.driver import ProxyDriver
from chatredirect.responses.explain import NO_REQUEST
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, Response
from chatredirect.sip.response import Peer


@dataclass(frozen=True, slots=True)
class StatefulModes:
    """The drivers of both modes.

    Attributes:
        lookup: deals with lookups; None where there are none.
        proxy: passes requests on; None where there is nothing to be passed on.
    """

    lookup: LookupDriver | None = None
    proxy: ProxyDriver | None = None

    def respond(self, response: Response, source: Peer, reach: ReturnPath | None) -> str | None:
        """Take a response; if it isn't taken, return why: a constant for counting."""
        lookup, proxy = self.lookup, self.proxy
        why: str | None = NO_REQUEST
        if reach is None:
            return why
        if proxy is not None:
            why = proxy.respond(response, source, reach)
        if why == NO_REQUEST and lookup is not None:
            why = lookup.respond(response, source, reach)
        return why

    def run(self, request: Request, source: Peer, reach: ReturnPath | None) -> bool:
        """Deal with an ACK or BENOTIFY, which gets no answer; False if nobody wants it."""
        lookup, proxy = self.lookup, self.proxy
        if lookup is not None and request.method == b"ACK" and lookup.acknowledge(request, source):
            return True
        return proxy is not None and reach is not None and proxy.run(request, source, reach)

    def within(
        self, request: Request, envelope: MandatoryHeaders, source: Peer, reach: ReturnPath | None
    ) -> bool:
        """Whether a request belongs to a dialog that came through here, or to a lookup.

        Raises:
            SipError: a header field that a proxy reads can't be read.
        """
        if reach is None:
            return False
        lookup, proxy = self.lookup, self.proxy
        if proxy is not None and proxy.within(request, envelope, source, reach):
            return True
        return (
            envelope.in_dialog
            and source.trusted
            and lookup is not None
            and lookup.within(request, envelope, source, reach)
        )

    def repeats(
        self,
        request: Request,
        envelope: MandatoryHeaders,
        source: Peer,
        reach: ReturnPath | None,
        endpoint: Endpoint,
    ) -> bool:
        """Whether a request for an endpoint has come before; it gets its answer again then."""
        driver = self.lookup if endpoint.lookup is not None else self.proxy
        return (
            driver is not None
            and reach is not None
            and driver.repeats(request, envelope, source, reach)
        )

    def cancels(
        self, cancel: Request, envelope: MandatoryHeaders, endpoint: Endpoint | None, source: Peer
    ) -> bool:
        """Whether a CANCEL is about an INVITE that is remembered, which is cancelled then."""
        lookup, proxy = self.lookup, self.proxy
        if proxy is not None and proxy.cancels(cancel, envelope, source):
            return True
        return (
            lookup is not None
            and endpoint is not None
            and endpoint.lookup is not None
            and lookup.cancels(cancel, envelope, source)
        )
