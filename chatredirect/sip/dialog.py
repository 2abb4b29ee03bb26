"""Dialogs of a UAS: made by our 2xx to a peer's INVITE (RFC 3261 §12.1.1).

Remote target and route set go into our requests octet for octet, so that parameters that aren't
understood here (`maddr`, `gruu`, `opaque`) come back to the peer.
"""

from dataclasses import dataclass

from chatredirect.sip.client_request import ClientRequest, one_line, routed
from chatredirect.sip.errors import BadHeaderValue, MissingHeader, SipError
from chatredirect.sip.headers import MAX_ADDRESSES, MandatoryHeaders, NameAddr, read_addresses
from chatredirect.sip.message import Request, values
from chatredirect.sip.transaction.matching import tag_of
from chatredirect.sip.uri import parse_uri


@dataclass(slots=True, eq=False)
class ServerDialog:
    """A dialog in which we are the UAS.

    Attributes:
        call_id: the Call-ID.
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
        """The dialog of an INVITE without a To tag that will be accepted.

        Args:
            invite: the INVITE.
            headers: its mandatory headers.
            tag: our To tag.

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
        self,
        method: bytes,
        via: bytes,
        fields: tuple[tuple[bytes, bytes], ...] = (),
        body: bytes = b"",
    ) -> bytes:
        """Write our next request within the dialog (RFC 3261 §12.2.1.1).

        Args:
            method: not ACK and not CANCEL.
            via: the only Via value.
            fields: further header fields; Content-Type among them if there is a body.
            body: the body.
        """
        self.local_number += 1
        uri, routes = routed(self.target, self.routes)
        return ClientRequest(
            method,
            uri,
            via,
            self.local,
            self.remote,
            self.call_id,
            self.local_number,
            routes,
            fields,
            body,
        ).write()


def dialog_key(call_id: bytes, local_tag: bytes, remote_tag: bytes) -> bytes:
    """What identifies a dialog (RFC 3261 §12); no value has a line break.

    Tags are tokens, which are compared without case (§7.3.1).
    """
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
    (address,) = read_addresses(found[0], "Contact", 1)
    uri = address.uri
    try:
        parse_uri(uri)
    except SipError:
        raise BadHeaderValue(uri, "Contact") from None
    return uri


def _routes(invite: Request) -> tuple[bytes, ...]:
    """A UAS's route set: the Record-Route in its order (RFC 3261 §12.1.1)."""
    found: list[NameAddr] = []
    for value in values(invite, b"record-route"):
        room = MAX_ADDRESSES - len(found)
        found += read_addresses(value, "Record-Route", room)
    return tuple(b"<%b>%b" % (address.uri, one_line(address.params)) for address in found)
