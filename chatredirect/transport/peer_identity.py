"""Who a peer is: the names in its certificate (RFC 5922), which are allowed, and who is trusted."""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from chatredirect.config.models import TlsSettings
from chatredirect.net.addresses import IPNetwork
from chatredirect.net.refusals import RefusalReason
from chatredirect.sip.response import Peer

_PLAIN_TEXT = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL")


def names_of(certificate: Mapping[str, object], *, common_name: bool = False) -> tuple[str, ...]:
    """The SIP identities of a verified certificate from `getpeercert()`, in lower case (§7.1).

    These are the domains of `sip:` URIs among the subjectAltNames, else its DNS names; without any
    subjectAltName the subject's common names, with `common_name`.
    """
    alternatives = _pairs(certificate.get("subjectAltName"))
    uris = [_sip_domain(value) for kind, value in alternatives if kind == "URI"]
    domains = [domain for domain in uris if domain]
    if not domains:
        domains = list(dns_names(certificate))
    if not alternatives and common_name:
        domains = _common_names(certificate.get("subject"))
    return tuple(dict.fromkeys(domains))


def dns_names(certificate: Mapping[str, object]) -> tuple[str, ...]:
    """The DNS names of a certificate from `getpeercert()`, in lower case."""
    alternatives = _pairs(certificate.get("subjectAltName"))
    return tuple(value.lower().rstrip(".") for kind, value in alternatives if kind == "DNS")


def matches(names: Iterable[str], wanted: str, *, wildcards: bool = False) -> bool:
    """Whether one of a certificate's names is the wanted one.

    Args:
        names: from `names_of`.
        wanted: a host or domain name; `*.` matches any one label, as an extension for
            `allowed_peers`.
        wildcards: whether `*.` in a certificate matches one label, unlike in RFC 5922 §7.2.
    """
    wanted = wanted.lower().rstrip(".")
    return any(_same(name, wanted, wildcards) for name in names)


def _same(name: str, wanted: str, wildcards: bool) -> bool:
    if name.startswith("*."):
        return wildcards and _one_label_more(wanted, name[2:])
    if wanted.startswith("*."):
        return _one_label_more(name, wanted[2:])
    return name == wanted


def _one_label_more(name: str, parent: str) -> bool:
    label, _, rest = name.partition(".")
    return bool(label) and label != "*" and rest == parent


def _sip_domain(uri: str) -> str:
    """The domain of `sip:example.com`; `""` for another scheme or a URI with a user (§7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return ""
    hostport = rest.partition(";")[0].partition("?")[0]
    return hostport.partition(":")[0].lower().rstrip(".")


def _pairs(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, tuple):
        return []
    return [(str(pair[0]), str(pair[1])) for pair in value if isinstance(pair, tuple)]


def _common_names(subject: object) -> list[str]:
    if not isinstance(subject, tuple):
        return []
    return [
        value.lower().rstrip(".")
        for names in subject
        for kind, value in _pairs(names)
        if kind == "commonName"
    ]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of the peer of a connection.

    Attributes:
        verified: whether it is one of the `allowed_peers`, or a server that we have chosen.
        names: the names that its certificate has proved, in lower case.
    """

    verified: bool = False
    names: tuple[str, ...] = ()


NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """The `trusted_peers` of a configuration.

    A peer is trusted if its address is in one of these networks, or if its certificate has proved
    one of the `allowed_peers`. A UDP source address can be forged; listing it is the operator's
    decision.
    """

    networks: tuple[IPNetwork, ...]

    def peer(self, host: str, port: int, identity: Identity = NOBODY) -> Peer:
        """A peer at an address (v4-mapped ones as IPv4), trusted or not."""
        trusted = identity.verified or self.lists(host)
        return Peer(host.encode("ascii"), port, trusted, identity.names)

    def lists(self, host: str) -> bool:
        """Whether an address is in one of the networks."""
        address = ip_address(host)
        return any(address in network for network in self.networks)


class PeerRefused(Exception):
    """A peer's certificate is valid, but its names aren't allowed.

    Attributes:
        names: the names that its certificate has proved.
        reason: what it is counted as.
    """

    def __init__(self, why: str, names: tuple[str, ...], reason: RefusalReason) -> None:
        """Refuse it; `why` is for people."""
        super().__init__(why)
        self.names = names
        self.reason = reason


@dataclass(slots=True)
class Security:
    """TLS for the connections of a listener, or for outgoing ones.

    Attributes:
        context: that of new connections; replaced when certificates are renewed.
    """

    profile: TlsSettings
    context: ssl.SSLContext

    def names(self, tls: ssl.SSLObject) -> tuple[str, ...]:
        """The names that count of the certificate that a peer has shown."""
        return names_of(tls.getpeercert() or {}, common_name=self.profile.common_name)

    def _is_one_of(self, names: tuple[str, ...], wanted: Iterable[str]) -> bool:
        wildcards = self.profile.wildcards
        return any(matches(names, each, wildcards=wildcards) for each in wanted)

    def admit(self, tls: ssl.SSLObject) -> Identity:
        """Check a client's names after its handshake: they are verified by `allowed_peers`.

        Without such a list, or without a certificate if none is required, nothing is verified.

        Raises:
            PeerRefused: none of its names is among the `allowed_peers`.
        """
        names, allowed = self.names(tls), self.profile.allowed_peers
        optional = self.profile.verify_peer != "required"
        if not allowed or (optional and not tls.getpeercert()):
            return Identity(names=names)
        if self._is_one_of(names, allowed):
            return Identity(verified=True, names=names)
        raise PeerRefused(
            f"its certificate names {_listed(names)}; tls.allowed_peers has none of these",
            names,
            RefusalReason.NAME_NOT_ALLOWED if names else RefusalReason.NO_IDENTITY,
        )

    def check_server(self, tls: ssl.SSLObject, domain: str, host: str) -> Identity:
        """Check a server's names after the handshake.

        The name that was resolved counts, `domain`. The target of the SRV record, `host`, counts
        only with `srv_names`, since a forged record would choose it (RFC 5922 §4).

        Raises:
            PeerRefused: its certificate has neither name.
        """
        names = self.names(tls)
        wanted = (domain, host) if self.profile.srv_names else (domain,)
        if not self._is_one_of(names, wanted):
            why = f"its certificate names {_listed(names)}, not {' or '.join(wanted)}"
            raise PeerRefused(why, names, RefusalReason.SERVER_NAME)
        return Identity(verified=True, names=names)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) or "no SIP identity"


@dataclass(frozen=True, slots=True)
class FailedHandshake:
    """Why a handshake or a connection failed.

    Attributes:
        why: for people.
        reason: what it is counted as; None if nobody was refused.
    """

    why: str
    reason: RefusalReason | None


def explain(error: BaseException) -> FailedHandshake:
    """Why a handshake or a connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _HINTS.get(error.verify_code, "")
        why = f"the peer's certificate was refused: {error.verify_message}{hint}"
        refused = _VERIFICATION.get(error.verify_code, RefusalReason.CERTIFICATE_REFUSED)
        return FailedHandshake(why, refused)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "unknown"
        if reason in _PLAIN_TEXT:
            why = f"it doesn't speak TLS here ({reason.lower()})"
            return FailedHandshake(why, RefusalReason.NOT_TLS)
        why = _EXPLAINED.get(reason, reason.lower().replace("_", " "))
        return FailedHandshake(why, _REFUSED.get(reason, RefusalReason.HANDSHAKE_FAILED))
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        # asyncio and uvloop raise these after ssl_handshake_timeout
        return FailedHandshake("the handshake took too long", RefusalReason.HANDSHAKE_TIMEOUT)
    if isinstance(error, ValueError):
        why = "the peer's certificate has a name that isn't text"
        return FailedHandshake(why, RefusalReason.NO_IDENTITY)
    return FailedHandshake("the peer closed the connection", None)


#: Remedies for X509_V_ERR_… codes of openssl/x509_vfy.h.
_HINTS = {26: "; tls.any_purpose takes clients with certificates issued for servers"}
_SHOWN = 8  # names of a certificate in a log line
_BAD_RECORD = "the peer sent what is no TLS record, or one that can't be decrypted"
_EXPLAINED = {
    # since OpenSSL 3.2 the second name
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": _BAD_RECORD,
    "RECORD_LAYER_FAILURE": _BAD_RECORD,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate; "
    "tls.verify_peer: required asks for one",
    "NO_SHARED_CIPHER": "no cipher in common; old peers need tls.ciphers",
    "UNSUPPORTED_PROTOCOL": "no TLS version in common; old peers need tls.minimum_version",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer doesn't know the authority of our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer refused the handshake, or wanted another one, "
    "which there isn't",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refused our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that our certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer refused our certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no TLS version in common",
}
_REFUSED = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": RefusalReason.NO_CERTIFICATE,
    "NO_SHARED_CIPHER": RefusalReason.NO_COMMON_CIPHER,
    "UNSUPPORTED_PROTOCOL": RefusalReason.NO_COMMON_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": RefusalReason.NO_COMMON_VERSION,
    "TLSV1_ALERT_UNKNOWN_CA": RefusalReason.OUR_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": RefusalReason.OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": RefusalReason.OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": RefusalReason.OUR_CERTIFICATE,
}
#: X509_V_ERR_… codes of openssl/x509_vfy.h: no issuer that is known (7: its name is known, with
#: another key), and a wrong purpose.
_VERIFICATION = {
    **dict.fromkeys((2, 7, 18, 19, 20, 21, 27), RefusalReason.UNKNOWN_AUTHORITY),
    26: RefusalReason.CERTIFICATE_PURPOSE,
}
