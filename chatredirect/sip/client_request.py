"""Requests of a UAC, and which response belongs to which.

A `ClientRequest` has all parts of a request. The requests that belong to it are derived from it and
from the response: the ACK of a final response that isn't 2xx (RFC 3261 §17.1.1.3), the CANCEL
(§9.1), and within the dialog of a 2xx the ACK (§13.2.2.4) and the BYE (§15.1.1). Random values are
arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatredirect.sip import headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Response, values
from chatredirect.sip.uri import parse_uri

MAX_FORWARDS = 70
"""RFC 3261 §8.1.1.6."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request of our own (RFC 3261 §8.1.1). No value may have a line break.

    Attributes:
        method: the method in upper case.
        uri: the Request-URI.
        via: the only Via value, made by `via`.
        from_: the value of From, with a tag.
        to: the value of To.
        call_id: the value of Call-ID.
        cseq: the sequence number.
        routes: the values of Route, from the top.
        fields: names and values of further header fields; Content-Type if there is a body.
        body: the body.
    """

    method: bytes
    uri: bytes
    via: bytes
    from_: bytes
    to: bytes
    call_id: bytes
    cseq: int
    routes: tuple[bytes, ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def write(self) -> bytes:
        """The message as it is sent."""
        lines = [
            b"%b %b SIP/2.0" % (self.method, self.uri),
            b"Via: " + self.via,
            b"Max-Forwards: %d" % MAX_FORWARDS,
            *(b"Route: " + route for route in self.routes),
            b"From: " + self.from_,
            b"To: " + self.to,
            b"Call-ID: " + self.call_id,
            b"CSeq: %d %b" % (self.cseq, self.method),
            *(b"%b: %b" % field for field in self.fields),
            b"Content-Length: %d" % len(self.body),
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def hostport(host: str, port: int | None) -> bytes:
    """`host:port` for a URI or Via, with IPv6 in brackets (RFC 3261 §25.1)."""
    bare = host.partition("%")[0]  # a zone means something on this machine only
    written = f"[{bare}]" if ":" in bare else bare
    return (written if port is None else f"{written}:{port}").encode("ascii")


def via(transport: str, sent_by: bytes, branch: bytes) -> bytes:
    """A Via value (RFC 3261 §8.1.1.7) with `rport` (RFC 3581).

    Args:
        transport: `udp`, `tcp` or `tls`.
        sent_by: our own address, made by `hostport`.
        branch: unique, beginning with `z9hG4bK`.
    """
    return b"SIP/2.0/%b %b;branch=%b;rport" % (transport.upper().encode("ascii"), sent_by, branch)


def answers(response: Response, request: ClientRequest) -> bool:
    """Whether a response answers this request: branch and CSeq match (§17.1.3), and Call-ID."""
    if response.call_id != request.call_id or not response.vias or response.cseq is None:
        return False
    try:
        theirs = headers.param(headers.read_via(response.vias[0]).params, b"branch")
        cseq = headers.read_cseq(response.cseq)
    except SipError:
        return False
    ours = headers.param(headers.read_via(request.via).params, b"branch")
    same = theirs is not None and ours is not None and theirs.lower() == ours.lower()  # §7.3.1
    return same and cseq == (request.cseq, request.method)


def ack(request: ClientRequest, response: Response) -> ClientRequest:
    """The ACK of an INVITE's final response that isn't 2xx (RFC 3261 §17.1.1.3).

    It belongs to the INVITE's transaction: same Request-URI, Via and Route, the response's To.
    """
    return replace(
        request, method=b"ACK", to=one_line(response.to) or request.to, fields=(), body=b""
    )


def cancel(request: ClientRequest) -> ClientRequest:
    """The CANCEL of an INVITE that has had a provisional response (RFC 3261 §9.1)."""
    return replace(request, method=b"CANCEL", fields=(), body=b"")


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
            tuple(b"<%b>%b" % (route.uri, one_line(route.params)) for route in reversed(routes)),
        )

    def request(self, method: bytes, number: int, via: bytes) -> ClientRequest:
        """A request within the dialog (RFC 3261 §12.2.1.1).

        Args:
            method: `ACK` with the INVITE's number (§13.2.2.4), or another with a higher one.
            number: the CSeq number.
            via: a Via value with a new branch: the ACK of a 2xx is its own transaction.
        """
        uri, routes = routed(self.remote_target, self.route_set)
        return replace(
            self.invite,
            method=method,
            uri=uri,
            via=via,
            to=self.to,
            cseq=number,
            routes=routes,
            fields=(),
            body=b"",
        )

    @property
    def next_hop(self) -> bytes:
        """The URI that requests within the dialog are sent to (RFC 3261 §8.1.2)."""
        return _bare(self.route_set[0]) if self.route_set else self.remote_target


def routed(target: bytes, route_set: tuple[bytes, ...]) -> tuple[bytes, tuple[bytes, ...]]:
    """Request-URI and Route values of a request within a dialog (RFC 3261 §12.2.1.1).

    Args:
        target: the remote target.
        route_set: the dialog's route set, each entry with its angle brackets.
    """
    if not route_set or _loose(route_set[0]):
        return target, route_set
    # the Request-URI names a strict router (RFC 2543)
    return _bare(route_set[0]), (*route_set[1:], b"<%b>" % target)


def addresses(response: Response, name: str) -> list[headers.NameAddr]:
    """The addresses of all valid Contact or Record-Route header fields, in order."""
    found: list[headers.NameAddr] = []
    for value in values(response, name.lower().encode("ascii")):
        try:
            found += headers.read_addresses(value, name, headers.MAX_ADDRESSES - len(found))
        except SipError:
            continue
    return found


def by_quality(contacts: Sequence[headers.NameAddr]) -> list[headers.NameAddr]:
    """Contacts by descending q-value; the default is 1 (RFC 3261 §20.10)."""
    return sorted(contacts, key=_quality, reverse=True)


def _quality(contact: headers.NameAddr) -> float:
    text = headers.param(contact.params, b"q")
    if text is None:
        return 1.0
    # 1, 0.5 or .5, and nothing else that float() reads: no nan, no infinity
    if not set(text) <= set(b"0123456789.") or text.count(b".") > 1 or not text.strip(b"."):
        return 0.0
    return min(float(text), 1.0)


def one_line(value: bytes | None) -> bytes:
    """A peer's value with its folded lines joined, for a message of our own (§7.3.1)."""
    return b" ".join(value.split()) if value else b""


def _bare(route: bytes) -> bytes:
    return route[1 : route.index(b">")]


def _loose(route: bytes) -> bool:
    try:
        return parse_uri(_bare(route)).param(b"lr") is not None
    except SipError:
        return True  # unreadable: send it unchanged
