"""Connections that end in unusual ways: each is told once, in words of its own."""

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.service.client import request
from tests.service.daemon import eventually
from tests.service.fixtures import Run
from tests.tls.authority import DAY, NOW, Authority, Leaf, key_pem, new_key
from tests.tls.client import client_context, talk_tls
from tests.transport.test_stream import descriptors

TLS = "tls://127.0.0.1:0"
Section = Callable[..., dict[str, Any]]


@pytest.fixture
def no_text(authority: Authority) -> Leaf:
    """A certificate whose name has octets that aren't UTF-8."""
    key = new_key()
    name = b"\x30\x06\x82\x04\xff\xfe\x41\x42"  # a SEQUENCE of one dNSName of four octets
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "no text")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(
            x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, name), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    leaf = Leaf(authority.folder / "no-text.pem", authority.folder / "no-text.key")
    leaf.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    leaf.private_key.write_bytes(key_pem(key))
    return leaf


def test_a_name_that_is_no_text(
    run_daemon: Run, loop: str, tls: Section, authority: Authority, no_text: Leaf
) -> None:
    """Nobody is let in, and the line says why."""
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls())
    context = client_context(authority.file, no_text)
    with contextlib.suppress(OSError), talk_tls(daemon.address("tls"), context) as client:
        client.rest()
    daemon.event("tls_handshake_failed", why="the peer's certificate has a name that isn't text")
    assert "never retrieved" not in daemon.log_text


def test_an_idle_connection_is_told_once(
    run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext
) -> None:
    """Also if the peer doesn't read our goodbye; silence is no fault, so it is no warning."""
    limits = {"idle_timeout": 2.0, "write_timeout": 0.5}
    daemon = run_daemon(loop=loop, listen=[TLS], tls=tls(), limits=limits)
    with talk_tls(daemon.address("tls"), context) as client:  # uvloop needs another one with it
        client.send(request())
        assert client.receive().status == 302
        with_one = len(descriptors(daemon))
    with talk_tls(daemon.address("tls"), context):
        daemon.event("connection_closed", reason="idle", level="info")
        eventually(lambda: len(descriptors(daemon)) < with_one, "the connection to be gone")
    assert len(daemon.events("connection_closed")) == 1
