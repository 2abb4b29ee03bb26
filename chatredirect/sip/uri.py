"""SIP and SIPS URIs: reading them, whether two are the same, and where one leads (RFC 3263 §4).

There are two comparisons. `equivalent` is that of RFC 3261 §19.1.4. `SipUri.canonical_key` is that
of the directory: contact objects are in Active Directory, which ignores case, and it only matters
which contact object a URI names, not its parameters.

Only `destination` decides where a URI leads. Sending a request to a URI, comparing two next hops
and checking whether a URI names this server must agree: otherwise a URI that passes a check would
be another one to the connection.
"""

import re
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from typing import Literal, TypeAlias

from chatredirect.sip import abnf
from chatredirect.sip.errors import BadRequestUri, UnsupportedUriScheme

DEFAULT_PORT = 5060
DEFAULT_TLS_PORT = 5061

#: What DNS is asked for: a transport, or `sips`: whichever is secure (RFC 3263 §4.1).
Wanted: TypeAlias = Literal["udp", "tcp", "tls", "sips"]
_TRANSPORTS: dict[bytes, Wanted] = {b"udp": "udp", b"tcp": "tcp", b"tls": "tls"}

#: Parameters that count even when only one of the URIs has them (RFC 3261 §19.1.4).
_NEVER_IGNORED = (b"user", b"ttl", b"method", b"maddr", b"transport")


@dataclass(slots=True)
class SipUri:
    """A SIP or SIPS URI, its parts as written (RFC 3261 §19.1.1).

    Attributes:
        scheme: `b"sip"` or `b"sips"`, lower case.
        user: the user part without the password, escapes not resolved; None if there is none.
        password: the part between the user's colon and the `@`; None if there is none.
        host: host name, IPv4 address, or IPv6 address in its brackets.
        params: the URI parameters with their semicolons, `b""` if there are none.
        headers: the embedded header fields with their question mark, `b""` if there are none.
    """

    scheme: bytes
    user: bytes | None
    password: bytes | None
    host: bytes
    port: int | None
    params: bytes
    headers: bytes

    def param(self, name: bytes) -> bytes | None:
        """The value of a URI parameter, `b""` for one without a value, None if it isn't there.

        The name is in lower case.
        """
        # most URIs don't have the parameter, and a search is faster than splitting
        if name not in self.params.lower() and b"%" not in self.params:
            return None
        value = _pairs(self.params, b";").get(name)
        return value[1:-1] if value and value[:1] == b'"' else value

    def canonical_key(self) -> bytes:
        """The directory's key of the contact object that this URI names.

        User and host are in lower case with escapes resolved; scheme, parameters, embedded header
        fields and a default port are left out. URIs with the same key name the same endpoint.
        """
        key = canonical_host(self.host)
        if self.user is not None:
            key = _fold_user(self.user, self.password) + b"@" + key
        if self.port is not None and self.port != self.default_port():
            return b"%b:%d" % (key, self.port)
        return key

    def default_port(self) -> int:
        """The port if none is written (RFC 3261 §19.1.2)."""
        tls = self.scheme == b"sips" or (self.param(b"transport") or b"").lower() == b"tls"
        return DEFAULT_TLS_PORT if tls else DEFAULT_PORT


def parse_uri(text: bytes) -> SipUri:
    """Read a SIP or SIPS URI.

    Raises:
        UnsupportedUriScheme: it is a URI, but of another scheme (RFC 3261 §8.2.2.1).
        BadRequestUri: it isn't a URI, or breaks the grammar of RFC 3261 §19.1.1.
    """
    match = abnf.SIP_URI.match(text)
    if match is None:
        other = abnf.ABSOLUTE_URI.match(text)
        if other is None or other[1].lower() in (b"sip", b"sips"):
            raise BadRequestUri(text)
        raise UnsupportedUriScheme(text)
    scheme, user, password, host, port, params, headers = match.groups()
    number = None if port is None else int(port)
    if number is not None and number > abnf.MAX_PORT:
        raise BadRequestUri(text)
    known = b"sip" if len(scheme) == 3 else b"sips"  # shared constants save memory
    return SipUri(known, user, password, host, number, params, headers or b"")


def canonical_host(host: bytes) -> bytes:
    """A host in canonical form: lower case, no final dot, IPv6 compressed and in brackets.

    A v4-mapped IPv6 address becomes IPv4. An invalid IPv6 address is only put in lower case.
    """
    if not host.startswith(b"["):
        return host.lower().rstrip(b".")
    text = host[1:-1].decode("latin-1")  # a maddr may hold any octet
    before, colons, after = text.rpartition(":::")
    if colons and "." in after:
        text = f"{before}::{after}"  # RFC 3261's grammar allowed a third colon (RFC 5118 §4.10)
    try:
        address = IPv6Address(text)
    except ValueError:
        return host.lower()
    mapped = address.ipv4_mapped
    return str(mapped).encode() if mapped is not None else b"[%b]" % str(address).encode()


def _fold_user(user: bytes, password: bytes | None) -> bytes:
    """The userinfo part without case and escapes, except escaped separators."""
    if password is not None:
        user = b"%b:%b" % (user, password)
    if b"%" in user:
        user = abnf.ESCAPED.sub(_unescape, user)
    if user.isascii():
        return user.lower()
    return user.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


# resolving an escaped "@", ":" or "%" of a user would make it another URI
def _unescape(match: re.Match[bytes], kept: bytes = b"@:%") -> bytes:
    octet = bytes.fromhex(match[1].decode("ascii"))
    return b"%" + match[1].upper() if octet in kept else octet


_unescape_unreserved = partial(_unescape, kept=b";/?:@&=+$,%")


def _pairs(text: bytes, separator: bytes) -> dict[bytes, bytes]:
    """Parameters or embedded header fields by name; of a repeated name the first."""
    pairs: dict[bytes, bytes] = {}
    for pair in text.split(separator):
        if pair:
            name, _, value = pair.partition(b"=")
            pairs.setdefault(_resolve(name).lower(), value)
    return pairs


def _resolve(text: bytes) -> bytes:
    """Resolve escapes except of reserved characters: `%2F` isn't `/` (§19.1.4)."""
    return abnf.ESCAPED.sub(_unescape_unreserved, text) if b"%" in text else text


def equivalent(a: SipUri, b: SipUri) -> bool:
    """Whether two URIs are equal by RFC 3261 §19.1.4.

    Only the user part is case-sensitive; an escape equals its character; a missing port isn't the
    default port; parameters that only one URI has are ignored, except user, ttl, method, maddr and
    transport; embedded header fields must be equal.
    """
    return _comparable(a) == _comparable(b) and _same_params(a.params, b.params)


def _comparable(uri: SipUri) -> tuple[object, ...]:
    """The parts of a URI that must be equal to those of the other one."""
    user = uri.user and _resolve(uri.user)
    password = uri.password and _resolve(uri.password)
    headers = {name: _resolve(value) for name, value in _pairs(uri.headers[1:], b"&").items()}
    return uri.scheme, user, password, canonical_host(uri.host), uri.port, headers


def _same_params(a: bytes, b: bytes) -> bool:
    ours, theirs = _pairs(a, b";"), _pairs(b, b";")
    for name in ours.keys() | theirs.keys():
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None:
            if name in _NEVER_IGNORED:
                return False
        elif _resolve(one).lower() != _resolve(other).lower():
            return False
    return True


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URI leads, in canonical form; a parameter that isn't there is `b""`.

    Over TLS the certificate must prove `host`, even if there is a maddr (RFC 5922 §7.3).
    """

    scheme: bytes
    host: bytes
    port: int | None
    transport: bytes
    maddr: bytes

    @property
    def looked_up(self) -> bytes:
        """The host to resolve: maddr takes precedence (TARGET in RFC 3263 §4)."""
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
