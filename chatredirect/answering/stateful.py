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
    """The drivers of both modes; None if no endpoint ever had the mode."""

    lookup: LookupDriver | None = None
    proxy: ProxyDriver | None = None

    def respond(self, response: Response, peer: Peer, return_path: ReturnPath) -> str | None:
        """Handle a response; if it isn't accepted, return why: a constant for counting."""
        why: str | None = NO_REQUEST
        if self.proxy is not None:
            why = self.proxy.respond(response, peer, return_path)
        if why == NO_REQUEST and self.lookup is not None:
            why = self.lookup.respond(response, peer, return_path)
        return why

    def run(self, request: Request, peer: Peer, return_path: ReturnPath) -> bool:
        """Handle an ACK or BENOTIFY, which gets no response; False if neither mode knows it."""
        lookup, proxy = self.lookup, self.proxy
        if lookup is not None and request.method == b"ACK" and lookup.acknowledge(request, peer):
            return True
        return proxy is not None and proxy.run(request, peer, return_path)

    def within(
        self, request: Request, headers: MandatoryHeaders, peer: Peer, return_path: ReturnPath
    ) -> bool:
        """Handle a request in a dialog of the proxy or of a lookup; False if none is known.

        Raises:
            SipError: a header field that a proxy reads can't be read.
        """
        lookup, proxy = self.lookup, self.proxy
        if proxy is not None and proxy.within(request, headers, peer, return_path):
            return True
        return (
            lookup is not None
            and headers.in_dialog
            and peer.trusted
            and lookup.within(request, headers, peer, return_path)
        )

    def repeats(
        self,
        request: Request,
        headers: MandatoryHeaders,
        peer: Peer,
        return_path: ReturnPath,
        endpoint: Endpoint,
    ) -> bool:
        """Whether a request for an endpoint has come before; if so, send its response again."""
        driver = self.lookup if endpoint.lookup is not None else self.proxy
        return driver is not None and driver.repeats(request, headers, peer, return_path)

    def cancels(
        self, cancel: Request, headers: MandatoryHeaders, endpoint: Endpoint | None, peer: Peer
    ) -> bool:
        """Whether the INVITE that a CANCEL is for is known; if so, cancel it."""
        lookup, proxy = self.lookup, self.proxy
        if proxy is not None and proxy.cancels(cancel, headers, peer):
            return True
        return (
            lookup is not None
            and endpoint is not None
            and endpoint.lookup is not None
            and lookup.cancels(cancel, headers, peer)
        )
