"""Our own addresses, as Via and Record-Route name them: one side for each way that others reach us.

A request comes in on one side and goes out on another. Where both are the same address, port and
transport, one Record-Route does for both; where they differ there are two, so that each neighbour
finds the one that it can reach (RFC 5658 §4).
"""

from dataclasses import dataclass

from chatredirect.net.addresses import HostPort
from chatredirect.sip.client_request import hostport
from chatredirect.sip.flow import Flow

PARAM = b"cr-flow"
"""The URI parameter of our Record-Route that holds the token."""
_IN_URI = b";" + PARAM + b"="
_KNOWN = 256  # sides that are remembered; then anew


@dataclass(slots=True, eq=False)
class LocalAddress:
    """One of our own addresses.

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

    __slots__ = ("_advertise", "_known")

    def __init__(self, advertise: HostPort | None) -> None:
        """Begin.

        Args:
            advertise: the host that we call ourselves, with its port; None: the address in use.
        """
        self._advertise = advertise
        self._known: dict[tuple[str, str, int], LocalAddress] = {}

    def of(self, flow: Flow) -> LocalAddress:
        """The side that a flow is on."""
        key = (flow.transport, flow.host, flow.port)
        side = self._known.get(key)
        if side is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            side = self._known[key] = self._make(*key)
        return side

    def _make(self, transport: str, host: str, port: int) -> LocalAddress:
        if self._advertise is not None:
            host, port = self._advertise.host, self._advertise.port or port
        sent_by = hostport(host, port)
        name = transport.encode("ascii")
        param = b"" if transport == "udp" else b";transport=" + name
        return LocalAddress(
            via=b"SIP/2.0/%b %b;branch=" % (name.upper(), sent_by),
            after=b";rport" if transport == "udp" else b"",  # RFC 3581
            uri=b"sip:%b%b;lr%b" % (sent_by, param, _IN_URI),
            secure_uri=b"sips:%b;lr%b" % (sent_by, _IN_URI),
        )


def record_route(inside: LocalAddress, outside: LocalAddress, token: bytes, secure: bool) -> bytes:
    """Our Record-Route field or fields, with their CRLF.

    Args:
        inside: where the request came in.
        outside: where it goes out.
        token: for whoever sends the next request of the dialog.
        secure: whether its Request-URI is a SIPS URI.
    """
    if secure:
        came, goes = inside.secure_uri, outside.secure_uri
    else:
        came, goes = inside.uri, outside.uri
    if came == goes:
        return b"Record-Route: <%b%b>\r\n" % (goes, token)
    return b"Record-Route: <%b%b>\r\nRecord-Route: <%b%b>\r\n" % (goes, token, came, token)


def token_in(uri: bytes) -> bytes | None:
    """The token of a URI that looks like one of ours; None if it has none."""
    _, found, rest = uri.partition(_IN_URI)
    return rest.partition(b";")[0].partition(b"?")[0] if found else None
