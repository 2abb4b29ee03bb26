"""Makes TLS contexts from files, and reads when their certificates expire.

A context is never changed once connections use it. When files change, a new one is made, which
replaces the old one only if the files are valid. Open connections keep their context.
"""

import binascii
import ctypes
import re
import ssl
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from chatredirect.config.models import OLD_TLS_VERSIONS, TlsSettings
from chatredirect.config.secret_files import is_exposed, read_secret
from chatredirect.runtime.regular_file import UnfitFileError, look_at, read_file
from chatredirect.transport.peer_identity import dns_names, names_of

_PURPOSE_ANY = 7  # X509_PURPOSE_ANY of openssl/x509v3.h
#: OpenSSL's reasons: another key of the same type, one of another type.
_ANOTHER_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"

MAX_CERTIFICATE = 1024 * 1024
"""Octets of a file with a certificate or key; one with all issuers has a few thousand."""
MAX_AUTHORITIES = 16 * 1024 * 1024
"""Octets of the file with authorities; that of a system has some 200 thousand."""
#: A certificate, or one with OpenSSL's trust settings (openssl-x509(1), -trustout).
_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)"
    rb"-----END (?:X509 |TRUSTED )?CERTIFICATE-----"
)
_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


class TlsError(Exception):
    """TLS can't be set up; the text says which file or setting is wrong, and what to do."""


def server_context(profile: TlsSettings) -> ssl.SSLContext:
    """The context of a listener.

    Raises:
        TlsError: a file can't be used, or no cipher is valid.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # renegotiation would let a peer repeat the costly part of the handshake
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = ssl.VerifyMode[f"CERT_{profile.verify_peer.upper()}"]
    if profile.any_purpose:
        try:
            _allow_any_purpose(context)
        except OSError as error:
            raise TlsError(f"any_purpose: {error}; leave it out") from None
    return _set_up(context, profile)


def client_context(profile: TlsSettings) -> ssl.SSLContext:
    """The context of outgoing connections. The server's certificate is always verified.

    `peer_identity.matches` checks its names after the handshake, by RFC 5922's rules instead of
    HTTP's.

    Raises:
        TlsError: a file can't be used, or no cipher is valid.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    return _set_up(context, profile)


def _allow_any_purpose(context: ssl.SSLContext) -> None:
    """Accept peers' certificates with any purpose. Nothing else changes. Raises OSError."""
    import _ssl  # noqa: PLC0415 - private, and rarely needed

    set_purpose = None
    library = getattr(_ssl, "__file__", None)
    if sys.implementation.name == "cpython" and library is not None:
        set_purpose = getattr(ctypes.CDLL(library), "SSL_CTX_set_purpose", None)
    if set_purpose is None:
        raise OSError("this Python's libssl can't be called")
    set_purpose.argtypes = (ctypes.c_void_p, ctypes.c_int)
    set_purpose.restype = ctypes.c_int
    # PySSLContext in CPython's Modules/_ssl.c: the object header, then SSL_CTX *ctx
    handle = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not handle or set_purpose(handle, _PURPOSE_ANY) != 1:
        raise OSError("libssl refused it")


def _set_up(context: ssl.SSLContext, profile: TlsSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion[profile.minimum_version.replace(".", "_")]
    ciphers = profile.ciphers
    if ciphers is None and profile.minimum_version in OLD_TLS_VERSIONS:
        ciphers = _OLD_CIPHERS
    if ciphers is not None:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise TlsError(
                f'ciphers "{ciphers}" select nothing; see `man openssl-ciphers`'
            ) from None
    _load_authorities(context, profile)
    if profile.certificate is not None:
        _load_pair(context, profile.certificate, profile)
    return context


def _load_authorities(context: ssl.SSLContext, profile: TlsSettings) -> None:
    if context.verify_mode == ssl.CERT_NONE:
        return
    if profile.ca is None:
        context.set_default_verify_paths()
        return
    try:
        look_at(profile.ca, MAX_AUTHORITIES)
        context.load_verify_locations(cafile=profile.ca)
    except OSError as error:
        raise TlsError(f"{profile.ca}: {_why(error, 'no CA certificates in PEM form')}") from None


def _load_pair(context: ssl.SSLContext, certificate: str, profile: TlsSettings) -> None:
    private_key = profile.private_key
    for file in filter(None, (certificate, private_key)):
        try:
            look_at(file, MAX_CERTIFICATE)
        except OSError as error:
            raise TlsError(f"{file}: {_why(error, '')}") from None
    key, password = private_key or certificate, _Password(profile.private_key_password_file)
    try:
        # without a function OpenSSL would ask for a password on the terminal
        context.load_cert_chain(certificate, private_key, password=password)
    except _PasswordError as error:
        raise TlsError(f"{key}: the key is encrypted, and {error}") from None
    except ssl.SSLError as error:
        if error.reason in _ANOTHER_KEY:
            raise TlsError(f"{key}: not the key of the certificate in {certificate}") from None
        if password.asked:
            raise TlsError(
                f"{key}: the key can't be decrypted with the password in {password.file} "
                f"({error.reason or 'unreadable'})"
            ) from None
        why = f"no certificate and key in PEM form ({error.reason or 'unreadable'})"
        raise TlsError(f"{certificate}, {key}: {why}") from None


class _PasswordError(Exception):
    """A key is encrypted, and there is no password for it: why, and what to do."""


class _Password:
    """Gives OpenSSL the password of a key, if it asks for it.

    Attributes:
        asked: whether it has asked: the key is encrypted.
    """

    __slots__ = ("asked", "file")

    def __init__(self, file: str | None) -> None:
        """Read nothing yet; `file` has the password."""
        self.file, self.asked = file, False

    def __call__(self) -> str:
        self.asked = True
        if self.file is None:
            raise _PasswordError(
                "nobody is there to type its password: name a file with it in "
                "tls.private_key_password_file, or store the key without one, readable only by the "
                "service"
            )
        try:
            return read_secret(self.file)
        except ValueError as error:
            raise _PasswordError(f"tls.private_key_password_file: {error}") from None


def _why(error: OSError, otherwise: str) -> str:
    if isinstance(error, UnfitFileError):
        return str(error)
    if isinstance(error, ssl.SSLError) or error.strerror is None:
        return otherwise
    return error.strerror.lower()


def exposed_keys(profile: TlsSettings) -> Iterable[str]:
    """Files of private keys, and of their passwords, that every user can read or write."""
    for file in (profile.private_key or profile.certificate, profile.private_key_password_file):
        if file is not None and is_exposed(file):
            yield file


def expiry(certificate: str) -> float:
    """When the first certificate in a PEM file expires, in seconds since the epoch.

    Raises:
        TlsError: the file has no valid certificate.
    """
    try:
        return not_after(read_file(certificate, MAX_CERTIFICATE))
    except OSError as error:
        raise TlsError(f"{certificate}: {_why(error, 'unreadable')}") from None
    except ValueError as error:
        raise TlsError(f"{certificate}: {error}") from None


def certificate_names(certificate: str) -> tuple[str, ...] | None:
    """All names that a peer may look for in the first certificate of a PEM file, in lower case.

    These are hosts of SIP URIs, DNS names and, where there is neither, common names; None where
    they can't be read.
    """
    import _ssl  # noqa: PLC0415 - private, and only `check` needs it

    decode = getattr(_ssl, "_test_decode_cert", None)  # `getpeercert` of a file
    if decode is None:
        return None
    try:
        decoded = decode(certificate)
    except (OSError, ValueError):  # as ssl.SSLError is an OSError
        return None
    return (*names_of(decoded, common_name=True), *dns_names(decoded))


def not_after(pem: bytes) -> float:
    """The date of the first certificate in a PEM file, in seconds since the epoch (RFC 5280 §4.1).

    Only the date is read: strict parsers refuse certificates that OpenSSL accepts, such as those of
    older JDKs with NULL parameters of an ECDSA signature.

    Raises:
        ValueError: there is none, or its date can't be read.
    """
    match = _PEM.search(pem)
    if match is None:
        raise ValueError("no certificate in PEM form")
    try:
        der = binascii.a2b_base64(match[1])
        certificate, _ = _element(der, _SEQUENCE)
        body, _ = _element(certificate, _SEQUENCE)
        rest = body
        if rest[:1] == bytes((_VERSION,)):
            _, rest = _element(rest, _VERSION)
        for kind in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature, issuer
            _, rest = _element(rest, kind)
        validity, _ = _element(rest, _SEQUENCE)
        _, rest = _element(validity, validity[0])  # notBefore
        text, _ = _element(rest, rest[0])
        return _seconds(rest[0], text.decode("ascii"))
    except (binascii.Error, IndexError, ValueError):
        raise ValueError("no certificate whose date can be read") from None


def _element(data: bytes, kind: int) -> tuple[bytes, bytes]:
    """The content of the first element, and the octets after it (ITU-T X.690 §8.1)."""
    if data[0] != kind:
        raise ValueError(f"kind {data[0]} instead of {kind}")
    size, begin = data[1], 2
    if size & 0x80:
        octets = size & 0x7F
        size, begin = int.from_bytes(data[2 : 2 + octets], "big"), 2 + octets
    if begin + size > len(data):
        raise ValueError("an element that doesn't end")
    return data[begin : begin + size], data[begin + size :]


def _seconds(kind: int, text: str) -> float:
    """Read a time (RFC 5280 §4.1.2.5): years of two digits are 1950 to 2049."""
    if kind == _UTC_TIME:
        text = ("19" if text[0] >= "5" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
