"""`tls.private_key_password_file`: encrypted keys, as OpenSSL writes them."""

import subprocess
import time
from pathlib import Path

import pytest

from chatredirect.config import TlsSettings
from chatredirect.transport.certificates import file_warnings
from chatredirect.transport.tls_contexts import (
    TlsError,
    client_context,
    exposed_keys,
    server_context,
)
from tests.tls.authority import Authority, Leaf, new_key
from tests.tls.client import SERVER

PASSWORD = "correct horse battery staple"
PKCS8 = ("pkcs8", "-topk8", "-v2", "aes-256-cbc")
SCRYPT = ("pkcs8", "-topk8", "-scrypt")
TRADITIONAL = ("rsa", "-aes256", "-traditional")
FORMS = pytest.mark.parametrize("form", [PKCS8, SCRYPT, TRADITIONAL], ids=lambda form: form[-1])


@pytest.fixture
def leaf(authority: Authority, tmp_path: Path) -> Leaf:
    """A certificate with an RSA key, both this test's own."""
    made = authority.issue(SERVER, file="encrypted", key=new_key("rsa"))
    copies = Leaf(tmp_path / "own.pem", tmp_path / "own.key")
    copies.certificate.write_bytes(made.certificate.read_bytes())
    copies.private_key.write_bytes(made.private_key.read_bytes())
    return copies


def encrypted(leaf: Leaf, form: tuple[str, ...], end: str = "\n") -> TlsSettings:
    """The settings, with the key encrypted by OpenSSL and the password in a file."""
    folder = leaf.private_key.parent
    password, key = folder / "password", folder / "encrypted.key"
    password.write_text(PASSWORD + end)
    password.chmod(0o600)
    subprocess.run(
        ["openssl", *form, "-in", leaf.private_key, "-out", key, "-passout", f"pass:{PASSWORD}"],
        check=True,
        capture_output=True,
    )
    assert b"ENCRYPTED" in key.read_bytes()
    return TlsSettings(
        certificate=str(leaf.certificate),
        private_key=str(key),
        private_key_password_file=str(password),
    )


@FORMS
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_key_is_opened(leaf: Leaf, form: tuple[str, ...], end: str) -> None:
    """PKCS#8 and OpenSSL's own form; for listeners and for connections to pools."""
    settings = encrypted(leaf, form, end)
    server_context(settings)
    client_context(settings)


@FORMS
def test_a_wrong_password(leaf: Leaf, form: tuple[str, ...]) -> None:
    settings = encrypted(leaf, form)
    assert settings.private_key_password_file is not None
    Path(settings.private_key_password_file).write_text("hunter2")
    with pytest.raises(
        TlsError, match=r"can't be decrypted with the password in .*/password"
    ) as no:
        server_context(settings)
    assert "hunter2" not in str(no.value)


@FORMS
def test_no_password(leaf: Leaf, form: tuple[str, ...]) -> None:
    """Nobody is asked on the terminal; the key to write is named."""
    settings = encrypted(leaf, form)
    without = TlsSettings(certificate=settings.certificate, private_key=settings.private_key)
    with pytest.raises(TlsError, match=r"name a file .* in\s+tls.private_key_password_file"):
        server_context(without)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        (f"{PASSWORD}\n\n", "more than one line"),
        ("x" * 1025, "more than 1,024 octets"),
        ("x" * 10_000, "is larger than"),
        (None, "there is no file"),
    ],
)
def test_files_that_hold_no_password(leaf: Leaf, content: str | None, says: str) -> None:
    settings = encrypted(leaf, PKCS8)
    assert settings.private_key_password_file is not None
    file = Path(settings.private_key_password_file)
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(TlsError, match=f"tls.private_key_password_file: .*{says}"):
        server_context(settings)


def test_the_right_password_of_another_key(leaf: Leaf, stranger: Leaf) -> None:
    settings = encrypted(leaf, PKCS8)
    other = TlsSettings(
        certificate=str(stranger.certificate),
        private_key=settings.private_key,
        private_key_password_file=settings.private_key_password_file,
    )
    with pytest.raises(TlsError, match="not the key of the certificate"):
        server_context(other)


def test_a_password_that_everybody_can_read(leaf: Leaf) -> None:
    """The same rights as for keys."""
    settings = encrypted(leaf, PKCS8)
    assert settings.private_key is not None
    assert settings.private_key_password_file is not None
    Path(settings.private_key).chmod(0o640)
    assert list(exposed_keys(settings)) == []
    Path(settings.private_key_password_file).chmod(0o644)
    assert list(exposed_keys(settings)) == [settings.private_key_password_file]


def test_a_file_that_isnt_needed_yet(leaf: Leaf) -> None:
    """A key without a password: `check` warns of what would fail at its renewal, and only of it."""
    password = leaf.private_key.with_name("password")
    settings = TlsSettings(
        certificate=str(leaf.certificate),
        private_key=str(leaf.private_key),
        private_key_password_file=str(password),
    )
    leaf.private_key.chmod(0o600)
    server_context(settings)
    ((file, why),) = file_warnings(settings, time.time())
    assert file == str(password)
    assert "there is no file" in why
    password.write_text(PASSWORD)
    password.chmod(0o600)
    assert list(file_warnings(settings, time.time())) == []
