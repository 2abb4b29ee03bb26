"""A request as it goes out: what is the same for all targets, our Via and our Record-Route.

Via and Record-Route name the local address that the request goes out from, and the token in
Record-Route names the target. Everything else is written once, however many targets are tried.
Via names this instance, whose transactions its responses belong to; Record-Route may name all that
share the secret, any of which can serve the dialog.

A request comes in at one of our local addresses and goes out from another. Where both are the same
address, port and transport, one Record-Route does for both. Where they differ there are two, so
that each neighbour finds the one that it can reach (RFC 5658 §4).
"""

from dataclasses import dataclass

from chatredirect.net.addresses import HostPort
from chatredirect.net.target import Target
from chatredirect.proxy.record_route import RecordRouteCodec
from chatredirect.sip.client_request import hostport
from chatredirect.sip.flow import Flow
from chatredirect.sip.forwarding import named

BRANCH_COOKIE = b"z9hG4bK"  # RFC 3261 §8.1.1.7
TOKEN_PARAM = b"cr-flow="
"""The URI parameter of our Record-Route that holds the token, up to its value."""
_IN_URI = b";" + TOKEN_PARAM
_MAX_KNOWN = 256  # local addresses that are remembered; then all are forgotten

#: Only a trusted peer may say who the caller is (RFC 3325 §5).
IDENTITY_FIELDS = named(
    b"P-Asserted-Identity", b"P-Preferred-Identity", b"Remote-Party-ID",
    b"P-Session-On-Behalf-Of", b"ms-edge-proxy-message-trust", b"ms-asserted-verification-level",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class LocalAddress:
    """One of our own addresses, as Via and Record-Route name it.

    Attributes:
        via: a Via value up to the branch.
        after: what follows the branch there.
        uri: our SIP URI, up to the token.
        secure_uri: the same as a SIPS URI (RFC 3261 §16.6 step 4).
    """

    via: bytes
    after: bytes
    uri: bytes
    secure_uri: bytes


class LocalAddresses:
    """All of our addresses that have been used."""

    __slots__ = ("_advertise", "_known", "_record_route_host")

    def __init__(self, advertise: HostPort | None, record_route_host: HostPort | None) -> None:
        """Begin without addresses.

        Args:
            advertise: the host for Via; None for the address in use.
            record_route_host: the host for Record-Route; None for the address in use.
        """
        self._advertise = advertise
        self._record_route_host = record_route_host
        self._known: dict[tuple[str, str, int], LocalAddress] = {}

    def of(self, flow: Flow) -> LocalAddress:
        """Our own address of a flow."""
        key = (flow.transport, flow.host, flow.port)
        local = self._known.get(key)
        if local is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            local = self._known[key] = self._make(*key)
        return local

    def _make(self, transport: str, host: str, port: int) -> LocalAddress:
        sent_by = _named(self._advertise, host, port)
        recorded = _named(self._record_route_host, host, port)
        name = transport.encode("ascii")
        param = b"" if transport == "udp" else b";transport=" + name
        return LocalAddress(
            via=b"SIP/2.0/%b %b;branch=" % (name.upper(), sent_by),
            after=b";rport" if transport == "udp" else b"",  # RFC 3581
            uri=b"sip:%b%b;lr%b" % (recorded, param, _IN_URI),
            secure_uri=b"sips:%b;lr%b" % (recorded, _IN_URI),
        )


def _named(name: HostPort | None, host: str, port: int) -> bytes:
    """A configured name with its own port or this one; without a name the address in use."""
    if name is None:
        return hostport(host, port)
    return hostport(name.host, name.port or port)


@dataclass(slots=True, eq=False)
class Record:
    """What our Record-Route is made of.

    Attributes:
        inside: the local address that the request came in at.
        secure: whether its Request-URI is a SIPS URI.
        token: the dialog's token; `b""` for a request outside of a dialog, which gets one made of
            the attributes below: see `RecordRouteCodec.write`.
    """

    inside: LocalAddress
    secure: bool
    token: bytes = b""
    flow: bytes = b""
    behind: bytes = b""
    made: int = 0
    call_id: bytes = b""
    tag: bytes = b""


@dataclass(slots=True, eq=False)
class OutgoingRequest:
    """A request to be forwarded.

    Attributes:
        rest: its header fields from where our Via and Record-Route end, and its body.
        loop: the part of our branch that is the same should the request come again unchanged
            (RFC 3261 §16.6 step 8).
        record: what our Record-Route is made of; None for no Record-Route.
    """

    method: bytes
    start_line: bytes
    rest: bytes
    loop: bytes
    record: Record | None

    def write(
        self, codec: RecordRouteCodec, local: LocalAddress, branch: bytes, target: Target | None
    ) -> bytes:
        """The message as it goes out from a local address.

        `target` is None for the caller of a dialog, which has its token; `codec` makes a new token.
        """
        record, fields = self.record, b""
        if record is not None:
            token = record.token
            if not token and target is not None:
                token = codec.write(
                    record.flow, target, record.behind, record.made, record.call_id, record.tag
                )
            fields = _record_route(record, local, token)
        return b"".join((  # twice as fast as formatting
            self.start_line, b"\r\nVia: ", local.via, branch, local.after, b"\r\n",
            fields, self.rest,
        ))  # fmt: skip


def _record_route(record: Record, outside: LocalAddress, token: bytes) -> bytes:
    """Our Record-Route field or fields, with their CRLF."""
    if record.secure:
        came, goes = record.inside.secure_uri, outside.secure_uri
    else:
        came, goes = record.inside.uri, outside.uri
    if came == goes:
        return b"Record-Route: <%b%b>\r\n" % (goes, token)
    return b"Record-Route: <%b%b>\r\nRecord-Route: <%b%b>\r\n" % (goes, token, came, token)


def token_in(uri: bytes) -> bytes | None:
    """The token of a URI that looks like one of ours; None if it has none."""
    at = uri.find(_IN_URI)
    if at < 0:
        return None
    return uri[at + len(_IN_URI) :].partition(b";")[0].partition(b"?")[0]
