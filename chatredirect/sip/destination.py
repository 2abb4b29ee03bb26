"""Where a URI leads (RFC 3263 §4): the one module that decides it.

Sending a request to a URI, comparing two next hops and checking whether a URI names this server
must agree: otherwise a URI that passes a check would be another one to the connection.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from chatredirect.sip.uri import SipUri, canonical_host

#: What DNS is asked for: a transport, or `sips`: whichever is secure (RFC 3263 §4.1).
Wanted: TypeAlias = Literal["udp", "tcp", "tls", "sips"]

_TRANSPORTS: dict[bytes, Wanted] = {b"udp": "udp", b"tcp": "tcp", b"tls": "tls"}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URI leads, in canonical form.

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
        """The host to be resolved: maddr takes precedence (TARGET in RFC 3263 §4)."""
        return self.maddr or self.host

    @property
    def canonical(self) -> bytes:
        """Octets that are equal for two URIs if and only if these lead to the same next hop."""
        port = b"" if self.port is None else b"%d" % self.port
        return b"\n".join((self.scheme, self.host, port, self.transport, self.maddr))

    def wanted(self) -> Wanted | None:
        """The transport to resolve the host with; None to let DNS decide.

        Raises:
            ValueError: the URI leads nowhere; the text says why.
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
    """A URI whose maddr names this server, without it (RFC 3261 §16.4).

    A port other than the default and the transport are removed as well: both were maddr's.
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
