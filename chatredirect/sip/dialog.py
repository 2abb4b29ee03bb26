"""Dialogs (RFC 3261 §12), of a UAS and of a UAC, and our requests within them.

Remote target and route set go into our requests octet for octet, so that parameters that aren't
understood here (`maddr`, `gruu`, `opaque`) come back to the peer.
"""

from dataclasses import dataclass

from chatredirect.sip import abnf
from chatredirect.sip.client_request import ClientRequest, addresses, one_line, write_request
from chatredirect.sip.errors import BadHeaderValue, MissingHeader, SipError
from chatredirect.sip.headers import MAX_ADDRESSES, MandatoryHeaders, NameAddr, read_addresses
from chatredirect.sip.message import Request, Response, values
from chatredirect.sip.transaction.matching import tag_of
from chatredirect.sip.uri import parse_uri


@dataclass(slots=True, eq=False)
class ServerDialog:
    """A dialog that our 2xx to a peer's INVITE has made (RFC 3261 §12.1.1).

    Attributes:
        local: our address with our tag: the From of our requests.
        remote: the peer's address with its tag, as its From had it.
        key: see `dialog_key`.
        target: the remote target.
        routes: the route set, each with its angle brackets and parameters.
        local_number: our last CSeq number; 0 before the first.
        remote_number: the peer's last CSeq number.
    """

    call_id: bytes
    local: bytes
    remote: bytes
    key: bytes
    target: bytes
    routes: tuple[bytes, ...]
    local_number: int
    remote_number: int

    @classmethod
    def of(cls, invite: Request, headers: MandatoryHeaders, tag: bytes) -> "ServerDialog":
        """The dialog of an INVITE without a To tag that will be accepted with our To tag `tag`.

        Raises:
            SipError: its Contact is missing, or Contact or Record-Route can't be read.
        """
        call_id = invite.call_id or b""
        return cls(
            call_id,
            b"%b;tag=%b" % (one_line(headers.to), tag),
            one_line(headers.from_),
            dialog_key(call_id, tag, tag_of(headers.from_, "From")),
            contact_of(invite),
            _routes(invite),
            0,
            headers.number,
        )

    def request(
        self, method: bytes, via: bytes, fields: tuple[tuple[bytes, bytes], ...], body: bytes
    ) -> bytes:
        """Write our next request within the dialog, not ACK and not CANCEL (RFC 3261 §12.2.1.1).

        The arguments are those of `ClientRequest`.
        """
        self.local_number += 1
        uri, routes = routed(self.target, self.routes)
        from_, to, number = self.local, self.remote, self.local_number
        return write_request(
            method, uri, via, from_, to, self.call_id, number, routes, fields, body
        )


def dialog_key(call_id: bytes, local_tag: bytes, remote_tag: bytes) -> bytes:
    """What identifies a dialog (RFC 3261 §12): no value has a line break, tags have no case."""
    return b"%b\n%b\n%b" % (call_id, local_tag.lower(), remote_tag.lower())


def key_within(request: Request, headers: MandatoryHeaders) -> bytes:
    """The key of the dialog of a peer's request with a To tag."""
    local, remote = tag_of(headers.to, "To"), tag_of(headers.from_, "From")
    return dialog_key(request.call_id or b"", local, remote)


def contact_of(request: Request) -> bytes:
    """The URI of the only Contact of a request (RFC 3261 §8.1.1.8).

    Raises:
        SipError: there isn't exactly one, or it isn't a SIP URI.
    """
    found = values(request, b"contact")
    if not found:
        raise MissingHeader(about="Contact")
    if len(found) > 1:
        raise BadHeaderValue(found[1], "Contact")
    plain = abnf.PLAIN_CONTACT.match(found[0])
    if plain is not None:
        return plain[1]
    (address,) = read_addresses(found[0], "Contact", 1)
    uri = address.uri
    try:
        parse_uri(uri)
    except SipError:
        raise BadHeaderValue(uri, "Contact") from None
    return uri


def _routes(invite: Request) -> tuple[bytes, ...]:
    """A UAS's route set: the Record-Route in its order (RFC 3261 §12.1.1)."""
    recorded = values(invite, b"record-route")
    if not recorded:
        return ()
    found: list[NameAddr] = []
    for value in recorded:
        found += read_addresses(value, "Record-Route", MAX_ADDRESSES - len(found))
    return tuple(map(_entry, found))


def _entry(route: NameAddr) -> bytes:
    return b"<%b>%b" % (route.uri, one_line(route.params))


@dataclass(frozen=True, slots=True)
class ClientDialog:
    """The dialog that a 2xx to our INVITE has made (RFC 3261 §12.1.2).

    Attributes:
        invite: the INVITE.
        to: the response's To, with its tag.
        remote_target: the response's Contact; the Request-URI if it has no valid one.
        route_set: the response's Record-Route, the last first, each with its angle brackets.
    """

    invite: ClientRequest
    to: bytes
    remote_target: bytes
    route_set: tuple[bytes, ...]

    @classmethod
    def of(cls, invite: ClientRequest, response: Response) -> "ClientDialog":
        """Read what the dialog needs from a 2xx."""
        contacts = addresses(response, "Contact")
        routes = addresses(response, "Record-Route")
        return cls(
            invite,
            one_line(response.to) or invite.to,
            contacts[0].uri if contacts else invite.uri,
            tuple(map(_entry, reversed(routes))),
        )

    def request(self, method: bytes, number: int, via: bytes) -> ClientRequest:
        """A request within the dialog (RFC 3261 §12.2.1.1).

        An ACK has the INVITE's CSeq number (§13.2.2.4), another request a higher one. Each has a
        new branch in its Via: the ACK of a 2xx is its own transaction.
        """
        uri, routes = routed(self.remote_target, self.route_set)
        from_, call_id = self.invite.from_, self.invite.call_id
        return ClientRequest(method, uri, via, from_, self.to, call_id, number, routes)

    @property
    def next_hop(self) -> bytes:
        """The URI that requests within the dialog are sent to (RFC 3261 §8.1.2)."""
        return _bare(self.route_set[0]) if self.route_set else self.remote_target


def routed(target: bytes, route_set: tuple[bytes, ...]) -> tuple[bytes, tuple[bytes, ...]]:
    """Request-URI and Route values of a request within a dialog (RFC 3261 §12.2.1.1)."""
    if not route_set or _loose(route_set[0]):
        return target, route_set
    # the Request-URI names a strict router (RFC 2543)
    return _bare(route_set[0]), (*route_set[1:], b"<%b>" % target)


def _bare(route: bytes) -> bytes:
    return route[1 : route.index(b">")]


def _loose(route: bytes) -> bool:
    try:
        return parse_uri(_bare(route)).param(b"lr") is not None
    except SipError:
        return True  # unreadable: send it unchanged
