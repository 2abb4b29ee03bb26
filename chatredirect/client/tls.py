"""TLS with a target: verified, or no connection and a reason.

The reason has two parts: what is wrong, and which key of the section `tls` may help. Somebody who
writes a configuration needs the key; somebody who calls `probe` needs the option.
"""

import ssl
from dataclasses import dataclass, replace
from enum import Enum

from chatredirect.net.target import Target
from chatredirect.transport.peer_identity import PeerRefused, Security, explain

_EPOCH = "Jan  1 00:00:00 1970 GMT"  # a verified certificate always has a time


class Remedy(Enum):
    """What may help; the values are texts for people who write configurations."""

    CA = "tls.ca says which authorities count"
    CERTIFICATE = "tls.certificate is what would be shown"
    OURS = "it may have refused our certificate, see tls.certificate"
    MINIMUM_VERSION = "old peers need tls.minimum_version"
    CIPHERS = "old peers need tls.ciphers"
    COMMON_NAME = "tls.common_name: true would let its common name count"
    WILDCARDS = "tls.wildcards: true would let its wildcard count"
    SRV_NAMES = "tls.srv_names: true would let the name from DNS count"
    NAME = "pool_fqdn has to be a name in it"
    ADDRESS = "certificates are issued to names: pool_fqdn has to be one"
    FILES = "see tls in the configuration"
    SERVER = ""


@dataclass(slots=True, eq=False)
class NotSecureError(ConnectionError):
    """No connection: TLS failed, or the peer isn't the one that was meant.

    Attributes:
        names: those of the peer's certificate, if nothing but the name was wrong.
    """

    why: str
    remedy: Remedy = Remedy.SERVER
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Why, and what may help, for people who write configurations."""
        return f"{self.why}; {self.remedy.value}" if self.remedy.value else self.why


@dataclass(frozen=True, slots=True)
class Secured:
    """The TLS session with a peer, and the peer's identity.

    Attributes:
        protocol: such as `TLSv1.3`.
        cipher: OpenSSL's name of it.
        names: the SIP identities of the peer's certificate (RFC 5922 §7.1).
        verified: the name that its certificate had to carry.
        until: when its certificate ceases to be valid, in seconds since the epoch.
    """

    protocol: str
    cipher: str
    names: tuple[str, ...]
    verified: str
    until: float = 0.0


def secured(connection: ssl.SSLObject, security: Security, target: Target) -> Secured:
    """Verify the peer's identity after the handshake.

    Raises:
        NotSecureError: its certificate carries another name.
    """
    certificate = connection.getpeercert() or {}
    names = security.names(connection)
    try:
        security.check_server(connection, target.domain, target.host)
    except PeerRefused as refused:
        remedy = _helpful_option(connection, security, target)
        raise NotSecureError(str(refused), remedy, names) from None
    cipher = connection.cipher()
    until = ssl.cert_time_to_seconds(str(certificate.get("notAfter", _EPOCH)))
    return Secured(
        connection.version() or "", cipher[0] if cipher else "", names, target.domain, until
    )


def _helpful_option(connection: ssl.SSLObject, security: Security, target: Target) -> Remedy:
    """The first option with which the certificate would be accepted, else what to change."""
    profile = security.profile
    for remedy, wider in (
        (Remedy.COMMON_NAME, replace(profile, common_name=True)),
        (Remedy.WILDCARDS, replace(profile, wildcards=True)),
        (Remedy.SRV_NAMES, replace(profile, srv_names=True)),
    ):
        try:
            Security(wider, security.context).check_server(connection, target.domain, target.host)
        except PeerRefused:
            continue
        return remedy
    return Remedy.ADDRESS if target.domain == target.address else Remedy.NAME


def not_secure(error: OSError) -> NotSecureError:
    """Why a handshake failed, or why a connection ended that had begun."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the peer's certificate was refused: {error.verify_message}"
        return NotSecureError(why, _VERIFICATION.get(error.verify_code, Remedy.SERVER))
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        remedy = _HANDSHAKE.get(reason, Remedy.SERVER)
        return NotSecureError(_MEANING.get(reason) or explain(error).why, remedy)
    if isinstance(error, ConnectionAbortedError):
        return NotSecureError(explain(error).why)
    # some peers refuse everything that we offer in this way
    return NotSecureError("closed the connection in the TLS handshake", Remedy.MINIMUM_VERSION)


#: By OpenSSL's X509_V_ERR_…: unknown authorities, and keys or digests that are too weak.
_VERIFICATION = {
    **dict.fromkeys((2, 18, 19, 20, 21), Remedy.CA),
    **dict.fromkeys((66, 67, 68), Remedy.CIPHERS),
}
#: By OpenSSL's names for failures of a client's handshake, found by us or sent as an alert.
_HANDSHAKE = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Remedy.CERTIFICATE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": Remedy.CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": Remedy.CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": Remedy.CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": Remedy.CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": Remedy.CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": Remedy.CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Remedy.CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": Remedy.CERTIFICATE,
    "TLSV1_UNRECOGNIZED_NAME": Remedy.NAME,
    "TLSV1_ALERT_PROTOCOL_VERSION": Remedy.MINIMUM_VERSION,
    "UNSUPPORTED_PROTOCOL": Remedy.MINIMUM_VERSION,
    "WRONG_SSL_VERSION": Remedy.MINIMUM_VERSION,
    "TLSV1_ALERT_INTERNAL_ERROR": Remedy.MINIMUM_VERSION,
    "UNEXPECTED_EOF_WHILE_READING": Remedy.MINIMUM_VERSION,
    "DH_KEY_TOO_SMALL": Remedy.CIPHERS,
}
#: What they mean, where `transport.peer_identity.explain` has no words, or those for a server.
_MEANING = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer asks for a certificate of ours",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer ended the handshake: there is no cipher in common, "
    "or it asks for a certificate of ours",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the peer refused our certificate: not made for "
    "clients?",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the peer says that our certificate is revoked",
    "TLSV1_ALERT_ACCESS_DENIED": "the peer doesn't let us in",
    "TLSV1_UNRECOGNIZED_NAME": "the peer knows no server of that name",
    "UNSUPPORTED_PROTOCOL": "no TLS version in common",
    "WRONG_SSL_VERSION": "no TLS version in common",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "the peer asks for stronger ciphers",
    "TLSV1_ALERT_INTERNAL_ERROR": "the peer ended the handshake: it may be too old for what was "
    "offered",
    "DH_KEY_TOO_SMALL": "the peer's key exchange is too weak",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the peer lacks secure renegotiation (RFC 5746): it "
    "needs its security updates",
    "UNEXPECTED_EOF_WHILE_READING": "closed the connection in the TLS handshake",
}


_HINTS = {
    Remedy.CA: "If its authority is to be trusted: --ca FILE.",
    Remedy.CERTIFICATE: "Ours is given with --certificate FILE and --private-key FILE.",
    Remedy.OURS: "It may have refused our certificate: see --certificate.",
    Remedy.MINIMUM_VERSION: "Does it speak TLS there? An old peer needs --minimum-version TLSv1.",
    Remedy.CIPHERS: "An old peer needs --ciphers DEFAULT:@SECLEVEL=0.",
    Remedy.COMMON_NAME: "--common-name would let its common name count.",
    Remedy.WILDCARDS: "--wildcards would let its wildcard count.",
    Remedy.SRV_NAMES: "--srv-names would let the name from DNS count.",
    Remedy.FILES: "Give files that can be read (--certificate, --private-key, --ca), or "
    "--no-certificate to show none.",
}


def hint(failure: NotSecureError, target: Target) -> str:
    """What somebody who calls `probe` may do; empty if there is nothing to say."""
    if failure.remedy not in (Remedy.NAME, Remedy.ADDRESS):
        return _HINTS.get(failure.remedy, "")
    why = ""
    if failure.remedy is Remedy.ADDRESS:
        why = "An IP address is no name that a certificate is verified for. "
    name = next((each for each in failure.names if not each.startswith("*.")), "NAME")
    return f"{why}If that is the server that is meant: --via {target} --tls-name {name}."
