"""Certificates for tests: authorities, and what they sign, in PEM files.

Made with `cryptography` and not with trustme where a test needs what trustme doesn't make: URI
names, dates of its own, certificates without any subjectAltName.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)  # a certificate's dates have no fractions
DAY = timedelta(days=1)
# What OpenSSL's X509_V_FLAG_X509_STRICT wants, which ssl.create_default_context() sets since Python
# 3.13: a CA's key usage, and key identifiers (RFC 5280 §4.2.1.1 to §4.2.1.3).
_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def peer_context(leaf: "Leaf", ca: Path | None = None, **attributes: object) -> ssl.SSLContext:
    """The context of a server that isn't ours; with `ca` clients must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.private_key)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def new_key(kind: str = "ec") -> Key:
    """A private key: `ec` (P-256) or `rsa` (2,048 bits)."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    """A key as a file has it."""
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@dataclass(frozen=True)
class Leaf:
    """A certificate with its key, in files.

    Attributes:
        certificate: the PEM file of the certificate.
        private_key: the PEM file of its key.
    """

    certificate: Path
    private_key: Path

    @property
    def files(self) -> dict[str, str]:
        """Both as the keys of a section `tls`."""
        return {"certificate": str(self.certificate), "private_key": str(self.private_key)}


@dataclass
class Authority:
    """A CA whose files go into a folder."""

    folder: Path
    name: str = "Contoso Test CA"
    key: Key = field(default_factory=new_key)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        subject = _name(self.name)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(NOW + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CA_KEY_USAGE, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    @property
    def file(self) -> Path:
        """Its own certificate, in a PEM file."""
        return self.folder / "ca.pem"

    def issue_by_a_leaf(self, name: str) -> Leaf:
        """A certificate signed by somebody who has one but is no authority, with the chain."""
        key = new_key()
        middle = self.issue("middle.contoso.com", common_name="middle", key=key, file="middle")
        impostor = Authority(self.folder / "impostor", key=key)
        impostor.certificate = x509.load_pem_x509_certificate(middle.certificate.read_bytes())
        leaf = impostor.issue(name)
        with leaf.certificate.open("ab") as file:
            file.write(middle.certificate.read_bytes())
        return leaf

    def issue(
        self,
        *names: str,
        file: str | None = None,
        uris: Sequence[str] = (),
        common_name: str = "",
        not_before: datetime = NOW - DAY,
        not_after: datetime = NOW + 365 * DAY,
        key: Key | None = None,
        passphrase: bytes | None = None,
        usages: Sequence[x509.ObjectIdentifier] = (),
        key_identifier: bool = True,
    ) -> Leaf:
        """Sign a certificate.

        Args:
            names: DNS names among its subjectAltNames.
            file: the files' name without suffix; the first name unless given.
            uris: URIs among its subjectAltNames.
            common_name: of its subject.
            not_before: when it begins to be valid.
            not_after: when it ceases to.
            key: its key, a new one unless given.
            passphrase: of its key's file.
            usages: its extended key usage, if any.
            key_identifier: whether it has an Authority Key Identifier, as RFC 5280 wants.
        """
        key = key or new_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(u) for u in uris]
        alternatives += [x509.DNSName(name) for name in names]
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=not common_name
            )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if key_identifier:
            builder = builder.add_extension(self._key_identifier, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        stem = file or (names[0] if names else common_name or "leaf")
        leaf = Leaf(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        leaf.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        leaf.private_key.touch(mode=0o600)
        leaf.private_key.write_bytes(key_pem(key, passphrase))
        return leaf

    @property
    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    def sign(self, request: bytes) -> bytes:
        """Sign a request (PEM) for both purposes, with the names that it asks for; a PEM file."""
        asked = x509.load_pem_x509_csr(request)
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.certificate.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + 365 * DAY)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(self._key_identifier, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    return x509.Name(attributes)
