"""Where a URI leads: the one place that decides it (RFC 3263 §4).

Who sends a request to a URI, who compares two next hops and who asks whether a URI names this
server must agree; otherwise a URI that is one thing to the check is another to the connection.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from chatredirect.sip.uri import SipUri, canonical_host

#: What DNS is asked for: a transport, or `sips`: whichever is secure (RFC 3263 §4.1).
Wanted: TypeAlias = Literal["udp", "tcp", "tls", "sips"]

_TRANSPORTS: dict[bytes, Wanted] = {b"udp": "udp", b"tcp": "tcp", b"tls": "tls"}


@dataclass(frozen=True, slots=True)
class Destination:
    """What a URI says of where it leads, in canonical form.

    Attributes:
        scheme: `b"sip"` or `b"sips"`.
        host: its host. Over TLS the certificate must prove this one (RFC 5922 §7.3).
        port: its port, None if it has none.
        transport: its transport parameter in lower case, `b""` if it has none.
        maddr: its maddr parameter, `b""` if it has none.
    """

    scheme: bytes
    host: bytes
    port: int | None
    transport: bytes
    maddr: bytes

    @property
    def looked_up(self) -> bytes:
        """The host that is looked up: maddr goes before the URI's own (RFC 3263 §4, TARGET)."""
        return self.maddr or self.host

    @property
    def canonical(self) -> bytes:
        """Octets that two URIs share exactly if they lead to the same place by their text."""
        port = b"" if self.port is None else b"%d" % self.port
        return b"\n".join((self.scheme, self.host, port, self.transport, self.maddr))

    def wanted(self) -> Wanted | None:
        """The transport to look for; None to let DNS decide.

        Raises:
            ValueError: it leads nowhere, and why.
        """
        if self.port == 0:
            raise ValueError("its port is 0")
        if self.scheme == b"sips":  # RFC 3263 §4.1, RFC 3261 §26.2.2: TLS on every hop
            return "tls" if self.transport else "sips"
        if not self.transport:
            return None
        transport = _TRANSPORTS.get(self.transport)
        if transport is None:
            named = self.transport[:40].decode("ascii", "replace")
            raise ValueError(f'its transport "{named}" is none of udp, tcp and tls')
        return transport


def destination(uri: SipUri) -> Destination:
    """Where a URI leads."""
    transport = maddr = b""
    if uri.params:
        transport = (uri.param(b"transport") or b"").lower()
        maddr = canonical_host(uri.param(b"maddr") or b"")
    return Destination(uri.scheme, canonical_host(uri.host), uri.port, transport, maddr)


def without_maddr(uri: SipUri) -> bytes:
    """A URI whose maddr has led here, as if it had none (RFC 3261 §16.4).

    With maddr go a port that isn't the default one and the transport: both were maddr's.
    """
    user = b""
    if uri.user is not None:
        user = uri.user if uri.password is None else b"%b:%b" % (uri.user, uri.password)
        user += b"@"
    params = b"".join(
        b";" + param
        for param in uri.params.split(b";")[1:]
        if param.partition(b"=")[0].lower() not in (b"maddr", b"transport")
    )
    port = b":%d" % uri.port if uri.port == uri.default_port() else b""
    return b"%b:%b%b%b%b%b" % (uri.scheme, user, uri.host, port, params, uri.headers)
