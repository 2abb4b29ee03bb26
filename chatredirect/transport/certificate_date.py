"""When a certificate expires, for every certificate that OpenSSL loads.

Only the date is read: strict parsers refuse certificates that OpenSSL accepts, such as those of
older JDKs with NULL parameters of an ECDSA signature.
"""

import binascii
import re
from datetime import UTC, datetime

#: A certificate, or one with OpenSSL's trust settings (openssl-x509(1), -trustout).
_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)"
    rb"-----END (?:X509 |TRUSTED )?CERTIFICATE-----"
)
_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


def not_after(pem: bytes) -> float:
    """The date of the first certificate in a PEM file, in seconds since the epoch (RFC 5280 §4.1).

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
