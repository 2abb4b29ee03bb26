"""The date of a certificate, whatever else is odd about it."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from chatredirect.transport.tls_contexts import not_after
from tests.tls.authority import NOW, Authority

# ecdsa-with-SHA256 without parameters, and with NULL ones as older JDKs write them
_STRICT = bytes.fromhex("300a06082a8648ce3d040302")
_WITH_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")


def pem(der: bytes, label: str = "CERTIFICATE") -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


def der_of(authority: Authority, until: datetime) -> bytes:
    leaf = authority.issue("dates.contoso.com", not_after=until)
    lines = leaf.certificate.read_text().splitlines()[1:-1]
    return base64.b64decode("".join(lines))


@pytest.mark.parametrize(
    "until", [NOW + timedelta(days=90), datetime(2060, 2, 29, 1, 2, 3, tzinfo=UTC)]
)
@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_dates(authority: Authority, until: datetime, label: str) -> None:
    """RFC 5280 §4.1.2.5: two digits of a year until 2049, four after it; OpenSSL's three labels."""
    assert not_after(pem(der_of(authority, until), label)) == until.timestamp()


def test_null_parameters(authority: Authority) -> None:
    """OpenSSL loads it and serves it, so its date must be found."""
    until = NOW + timedelta(days=90)
    der = der_of(authority, until)
    assert der.count(_STRICT) == 2
    certificate, _ = content(der)
    signed, rest = content(certificate)
    inner = sequence(signed.replace(_STRICT, _WITH_NULL))
    odd = sequence(inner + rest.replace(_STRICT, _WITH_NULL))
    assert not_after(pem(odd)) == until.timestamp()


def sequence(data: bytes) -> bytes:
    """A SEQUENCE with its length in two octets (ITU-T X.690 §8.1.3)."""
    return b"\x30\x82" + len(data).to_bytes(2, "big") + data


def content(data: bytes) -> tuple[bytes, bytes]:
    """What is in the first element, and what follows it."""
    size, begin = data[1], 2
    if size & 0x80:
        begin = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:begin], "big")
    return data[begin : begin + size], data[begin + size :]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no certificate",
        pem(b""),
        pem(b"\x30\x82"),
        pem(b"\x30\x03\x02\x01\x01"),
        pem(b"\xff" * 50),
    ],
)
def test_what_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        not_after(text)
