"""What TLS adds to a listener: a context that can be renewed, and who is let in."""

import ssl
from dataclasses import dataclass

from chatredirect.config.models import TlsSettings
from chatredirect.transport.certificate import NameRules, matches, names_of

_PLAIN_TEXT = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL")


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of the peer of a connection.

    Attributes:
        verified: whether it is one of those that the configuration names.
        names: what its certificate has proved, in lower case.
    """

    verified: bool = False
    names: tuple[str, ...] = ()


class Refused(Exception):
    """A peer whose certificate is good, but whose names aren't on the list."""


@dataclass(slots=True)
class Security:
    """TLS for the connections of one listener.

    Attributes:
        profile: what is spoken and who is believed.
        context: what new connections begin with; exchanged when certificates are renewed.
    """

    profile: TlsSettings
    context: ssl.SSLContext

    @property
    def rules(self) -> NameRules:
        """What counts as a name of a certificate."""
        return NameRules(self.profile.common_name, self.profile.wildcards)

    def admit(self, tls: ssl.SSLObject) -> Identity:
        """Look at a peer's names after its handshake.

        Returns:
            Who it is: verified if one of its names is among the `allowed_peers`. Not verified, but
            let in, where there is no such list, and without a certificate where none is required.

        Raises:
            Refused: none of them is among the `allowed_peers`.
        """
        profile = self.profile
        rules = self.rules
        certificate = tls.getpeercert() or {}
        names = names_of(certificate, rules)
        allowed = profile.allowed_peers
        if not allowed or (not certificate and profile.verify_peer != "required"):
            return Identity(names=names)
        if any(matches(names, each, rules) for each in allowed):
            return Identity(verified=True, names=names)
        raise Refused(
            f"its certificate names {_listed(names)}; tls.allowed_peers has none of these"
        )

    def check_server(self, tls: ssl.SSLObject, domain: str, host: str) -> Identity:
        """Look at a server's names after a handshake with it.

        Args:
            tls: the connection's.
            domain: the name that was asked for.
            host: the SRV record's target, which counts only if the configuration says so: whoever
                forges the record would choose it (RFC 5922 §4).

        Raises:
            Refused: its certificate carries neither.
        """
        names = names_of(tls.getpeercert() or {}, self.rules)
        wanted = (domain, host) if self.profile.srv_names else (domain,)
        if not any(matches(names, each, self.rules) for each in wanted):
            raise Refused(f"its certificate names {_listed(names)}, not {' or '.join(wanted)}")
        return Identity(verified=True, names=names)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) or "no SIP identity"


def explain(error: BaseException) -> str:
    """Why a handshake or a connection failed, in words that say what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _HINTS.get(error.verify_code, "")
        return f"the peer's certificate was refused: {error.verify_message}{hint}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "unknown"
        if reason in _PLAIN_TEXT:
            return f"it doesn't speak TLS here ({reason.lower()})"
        return _EXPLAINED.get(reason, reason.lower().replace("_", " "))
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        # what asyncio and uvloop call it when ssl_handshake_timeout is over
        return "the handshake took too long"
    if isinstance(error, ValueError):
        return "the peer's certificate has a name that isn't text"
    return "the peer closed the connection"


#: What to do about X509_V_ERR_… codes of openssl/x509_vfy.h.
_HINTS = {26: "; tls.any_purpose takes clients with certificates issued for servers"}
_SHOWN = 8  # names of a certificate that a log line has
_EXPLAINED = {
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
