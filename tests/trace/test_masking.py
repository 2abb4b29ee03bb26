"""Secrets made unreadable: what issue and documentation promise of `trace` without `--unmask`."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatredirect.trace.masking import mask

START = b"REGISTER sip:contoso.com SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1\r\n"
END = b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (
            b'Authorization: Digest username="bob", realm="contoso.com", response="6629fae4"',
            b'Authorization: Digest username="xxx", realm="contoso.com", response="xxxxxxxx"',
        ),
        (
            b'proxy-authorization: NTLM qop="auth", realm="SIP Communications Service", '
            b'targetname="fe01.contoso.com", gssapi-data="TlRMTVNTUAAD", version=4',
            b'proxy-authorization: NTLM qop="auth", realm="SIP Communications Service", '
            b'targetname="fe01.contoso.com", gssapi-data="xxxxxxxxxxxx", version=4',
        ),
        (
            b'WWW-Authenticate: Kerberos realm="x", targetname="sip/fe01", gssapi-data="YIIB"',
            b'WWW-Authenticate: Kerberos realm="x", targetname="sip/fe01", gssapi-data="xxxx"',
        ),
        (
            b'Authentication-Info: TLS-DSK qop="auth", rspauth="0123", srand="9F", snum="1"',
            b'Authentication-Info: TLS-DSK qop="auth", rspauth="xxxx", srand="xx", snum="x"',
        ),
        (b"Authorization: Basic Ym9iOnNlY3JldA==", b"Authorization: Basic xxxxxxxxxxxxxxxx"),
        (b"AUTHORIZATION :Bearer abc", b"AUTHORIZATION :Bearer xxx"),
        (
            b'Authorization: Digest username="b",\r\n response="6629",\r\n\trealm="c"',
            b'Authorization: Digest username="x",\r\n response="xxxx",\r\n\trealm="c"',
        ),
        # what tries to look harmless
        (
            b'Authorization: Digest response="a, realm=secret"',
            b'Authorization: Digest response="xx xxxxxxxxxxxx"',
        ),
        (b'Authorization: Digest realm="unclosed', b'Authorization: Digest xxxxxx"xxxxxxxx'),
        (b"Contact: <sip:bob:secret@192.0.2.1>", b"Contact: <sip:bob:xxxxxx@192.0.2.1>"),
    ],
)
def test_credentials_and_challenges_are_masked(field: bytes, shown: bytes) -> None:
    """The scheme, the realm and the server's name stay: they help, and prove nothing."""
    assert mask(START + field + b"\r\n" + END) == START + shown + b"\r\n" + END


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZi|2^20|1:32",
            b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxxxxxxxxxxxxxx|2^20|1:32",
        ),
        (b"k=base64:c2VjcmV0", b"k=xxxxxxxxxxxxxxx"),
        (b"a=ice-pwd:asd88fgpdd777uzjYhagZg", b"a=ice-pwd:xxxxxxxxxxxxxxxxxxxxxx"),
        (b"<c><password>hush</password></c>", b"<c><password>xxxx</password></c>"),
        (b"<w:BinarySecurityToken a='1'>AbC=</w:B", b"<w:BinarySecurityToken a='1'>xxxx</w:B"),
    ],
)
def test_keys_in_bodies_are_masked(line: bytes, shown: bytes) -> None:
    """RFC 4568 §6.1, RFC 8866 §5.12, RFC 8839 §5.4, and passwords in XML."""
    head = START + b"Content-Length: 99\r\n\r\n"
    assert mask(head + b"v=0\r\n" + line + b"\r\n") == head + b"v=0\r\n" + shown + b"\r\n"


@pytest.mark.parametrize("name", [b"Content-Encoding", b"content-encoding ", b"e"])
def test_what_is_compressed_is_masked_as_a_whole(name: bytes) -> None:
    head = START + name + b": gzip\r\nContent-Length: 4\r\n\r\n"
    assert mask(head + b"\x1f\x8b\x08\x00") == head + b"xxxx"
    plain = START + name + b": identity\r\nContent-Length: 4\r\n\r\nabcd"
    assert mask(plain) == plain


def test_what_is_no_secret_stays() -> None:
    plain = (
        START + b"From: <sip:bob@contoso.com:5060>;tag=1\r\nSubject: Authorization: none\r\n"
        b"Contact: <sip:192.0.2.1:5061;transport=tls>\r\n" + END
    )
    assert mask(plain) == plain


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=60))
def test_lengths_stay_whatever_comes(noise: bytes, secret: bytes) -> None:
    """Content-Length stays true, so that a capture can be taken apart."""
    data = START + b"Authorization: Digest " + secret + b"\r\n" + noise
    assert len(mask(data)) == len(data)


@given(st.text("abcdefghijklmnopqrstuvwyz0123456789+/=", min_size=8, max_size=60))
def test_no_secret_survives(secret: str) -> None:
    assume(secret != "response")  # the parameter's name stays
    value = secret.encode()
    for field in (b'Digest response="%b"', b"Digest response=%b", b"%b", b"NTLM %b, x=%b"):
        credentials = field.replace(b"%b", value)
        masked = mask(START + b"Proxy-Authorization: " + credentials + b"\r\n" + END)
        rest = masked.removeprefix(START).partition(b": ")[2]
        assert value not in rest


HEAD = b"INVITE sip:a@b SIP/2.0\r\n"
#: What costs most, and what of it must not be seen.
MANY = {
    "passwords": (HEAD + b"X: " + b"sip:a:SECRET@ " * 4000 + b"\r\n\r\n", b"SECRET"),
    "credentials": (HEAD + b"Authorization: SECRET\r\n" * 2500 + b"\r\n", b"CRET"),
    "parameters": (HEAD + b"Authorization: Digest " + b"a=SECRET," * 900 + b"\r\n\r\n", b"SECRET"),
    "keys": (HEAD + b"\r\n" + b"k=SECRET\r\n" * 5000, b"SECRET"),
    "tokens": (HEAD + b"\r\n" + b"<token>SECRET" * 4000, b"SECRET"),
    "no end": (HEAD + b"\r\n" + b"<password " * 6000, b""),
    "no address": (HEAD + b"X: " + b"sip::" * 12000 + b"\r\n\r\n", b""),
    "no value": (HEAD + b'Authorization: Digest a="' + b"\\a" * 30000 + b"\r\n\r\n", b"\\a"),
    "spaces": (HEAD + b"Authorization" + b" " * 60000 + b"x\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", MANY)
def test_more_secrets_than_anybody_sends(name: str) -> None:
    """All of them are masked, and it takes little more time than where there are none."""
    data, secret = MANY[name]
    assert len(mask(data)) == len(data)
    if secret:
        assert secret not in mask(data)
    plain = HEAD + b"X: " + b"sip:a@b;x=y, " * 4800 + b"\r\n\r\nk=\r\nauth"
    usual = min(_seconds(plain) for _ in range(5))
    assert min(_seconds(data) for _ in range(5)) < 5 * usual + 0.001


def _seconds(data: bytes) -> float:
    began = time.thread_time()
    mask(data)
    return time.thread_time() - began
