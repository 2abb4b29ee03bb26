"""Certificates, keys and authorities in files: what is taken, what is refused, and renewal.

The files are real; the clock is the test's own.
"""

import asyncio
import os
import shutil
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from chatredirect.config import ListenUrl, TlsSettings
from chatredirect.transport.certificates import Certificates, file_warnings
from chatredirect.transport.tls_contexts import TlsError, client_context, expiry, server_context
from tests.held_clock import HeldClock
from tests.tls.authority import DAY, NOW, Authority, Leaf, key_pem, new_key

URL = ListenUrl("tls", "127.0.0.1", 5061)
OTHER = ListenUrl("tls", "127.0.0.1", 5062)


def look(certificates: Certificates) -> None:
    asyncio.run(certificates.look())


@pytest.fixture
def issuer(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def settings(leaf: Leaf, **keys: Any) -> TlsSettings:
    return TlsSettings(**(leaf.files | keys))


@pytest.fixture
def certificates() -> Certificates:
    return Certificates(HeldClock(NOW.timestamp()))


def taken(certificates: Certificates, **listeners: TlsSettings) -> Any:
    """Contexts in use: one listener, and outgoing connections with the same settings."""
    profile = listeners["listener"]
    prepared = certificates.prepare({URL: profile}, profile)
    certificates.take(prepared)
    return prepared


# -- what can be used --------------------------------------------------------------------------


def test_one_file_for_both(issuer: Authority, tmp_path: Path) -> None:
    leaf = issuer.issue("sip.contoso.com")
    both = tmp_path / "both.pem"
    both.write_bytes(leaf.private_key.read_bytes() + leaf.certificate.read_bytes())
    assert server_context(TlsSettings(certificate=str(both))).cert_store_stats()


def test_peers_are_verified_alike_on_every_python(issuer: Authority) -> None:
    """Whatever newer ones set by default: no X509_V_FLAG_X509_STRICT, no partial chain."""
    leaf = settings(issuer.issue("sip.contoso.com"), ca=str(issuer.file))
    for context in (server_context(leaf), client_context(leaf)):
        assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST


def test_defaults_are_modern(issuer: Authority) -> None:
    """TLS 1.2 and up, security level 2, no renegotiation, peers must show a certificate."""
    context = server_context(settings(issuer.issue("sip.contoso.com")))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.security_level >= 2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_a_pool_is_always_verified(issuer: Authority) -> None:
    """However little is asked of clients."""
    profile = settings(issuer.issue("sip.contoso.com"), verify_peer="none", ca=str(issuer.file))
    assert client_context(profile).verify_mode == ssl.CERT_REQUIRED


def half(file: Path) -> None:
    """What a file looks like that is being written."""
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _foreign_key(leaf: Leaf) -> None:
    leaf.private_key.write_bytes(key_pem(new_key()))


BROKEN: dict[str, tuple[Callable[[Leaf], object], str]] = {
    "no certificate": (lambda leaf: leaf.certificate.unlink(), "no such file"),
    "no key": (lambda leaf: leaf.private_key.unlink(), "no such file"),
    "a directory": (
        lambda leaf: (leaf.private_key.unlink(), leaf.private_key.mkdir()),
        "is a directory",
    ),
    "half a certificate": (lambda leaf: half(leaf.certificate), "no certificate"),
    "half a key": (lambda leaf: half(leaf.private_key), "no certificate and key"),
    "empty certificate": (lambda leaf: leaf.certificate.write_bytes(b""), "no certificate"),
    "empty key": (lambda leaf: leaf.private_key.write_bytes(b""), "no certificate and key"),
    "another's key": (_foreign_key, "not the key of the certificate"),
    "key twice": (
        lambda leaf: leaf.certificate.write_bytes(leaf.private_key.read_bytes()),
        "no certificate",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cant_be_used(issuer: Authority, case: str) -> None:
    """The file is named, and what is wrong with it, and no octet of it."""
    leaf = issuer.issue("sip.contoso.com")
    secret = leaf.private_key.read_text().splitlines()[1]
    spoil, says = BROKEN[case]
    spoil(leaf)
    with pytest.raises(TlsError) as caught:
        Certificates(HeldClock(NOW.timestamp())).prepare({URL: settings(leaf)}, TlsSettings())
    assert says in str(caught.value)
    assert str(leaf.certificate.with_suffix("")) in str(caught.value)
    assert secret[:16] not in str(caught.value)


def test_a_passphrase_is_never_asked_for(issuer: Authority) -> None:
    """Nobody is there to type it; nothing of it is shown."""
    leaf = issuer.issue("sip.contoso.com", passphrase=b"hunter2")
    with pytest.raises(TlsError, match="the key is encrypted") as caught:
        server_context(settings(leaf))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", None])
def test_authorities_that_cant_be_used(
    issuer: Authority, tmp_path: Path, content: bytes | None
) -> None:
    ca = tmp_path / "other-ca.pem"
    if content is not None:
        ca.write_bytes(content)
    with pytest.raises(TlsError, match=r"other-ca\.pem: "):
        server_context(settings(issuer.issue("sip.contoso.com"), ca=str(ca)))


def test_ciphers_that_are_none(issuer: Authority) -> None:
    with pytest.raises(TlsError, match='"NONSENSE" select nothing'):
        server_context(settings(issuer.issue("sip.contoso.com"), ciphers="NONSENSE"))


# -- what there is to worry about --------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "exposed"),
    [(0o600, False), (0o640, False), (0o601, False), (0o644, True), (0o604, True), (0o602, True)],
)
def test_exposed_keys(issuer: Authority, mode: int, exposed: bool) -> None:
    """Everybody may read or write it: a warning. The service's own group may: fine."""
    leaf = issuer.issue("sip.contoso.com")
    leaf.private_key.chmod(mode)
    found = list(file_warnings(settings(leaf), NOW.timestamp()))
    assert bool(found) == exposed
    for file, why in found:
        assert file == str(leaf.private_key)
        assert f"chmod o= {file}" in why


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (31, None),
        (29.5, "expires in 29 days, on "),
        (1.5, "expires in 1 day, on"),
        (0.5, "expires today, on"),
        (-0.5, "expired on "),
    ],
)
def test_expiry_warning(issuer: Authority, days: float, says: str | None) -> None:
    leaf = issuer.issue("sip.contoso.com", not_after=NOW + days * DAY)
    found = [why for _, why in file_warnings(settings(leaf), NOW.timestamp())]
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_expiry_is_a_number(certificates: Certificates, issuer: Authority) -> None:
    """Seconds since the epoch by file, for a metric; renewal changes it."""
    leaf = issuer.issue("sip.contoso.com", not_after=datetime(2040, 1, 1, tzinfo=UTC))
    assert certificates.expiries == {}
    taken(certificates, listener=settings(leaf))
    assert certificates.expiries == {str(leaf.certificate): 2208988800.0}
    assert expiry(str(leaf.certificate)) == 2208988800.0
    issuer.issue("sip.contoso.com", not_after=datetime(2041, 1, 1, tzinfo=UTC))
    look(certificates)
    assert certificates.expiries == {str(leaf.certificate): 2240611200.0}


def test_expiry_is_told_once_a_day(issuer: Authority) -> None:
    """Also to a daemon that runs for months."""
    clock = HeldClock(NOW.timestamp())
    certificates = Certificates(clock)
    leaf = issuer.issue("sip.contoso.com", not_after=NOW + 40 * DAY)
    with capture_logs() as lines:
        taken(certificates, listener=settings(leaf))
        look(certificates)
        assert not lines
        clock.now += 11 * DAY.total_seconds()
        for _ in range(3):
            look(certificates)
        assert [line["event"] for line in lines] == ["certificate_expires"]
        assert "in 29 days" in lines[0]["why"]
        clock.now += DAY.total_seconds()
        look(certificates)
        assert len(lines) == 2
        issuer.issue("sip.contoso.com", not_after=NOW + 365 * DAY)
        clock.now += DAY.total_seconds()
        look(certificates)
        assert [line["event"] for line in lines[2:]] == ["certificate_renewed"]


# -- renewal -----------------------------------------------------------------------------------


def replaced(leaf: Leaf, new: Leaf) -> None:
    """As most tools do it: a new file under the old name."""
    os.replace(new.certificate, leaf.certificate)
    os.replace(new.private_key, leaf.private_key)


def rewritten(leaf: Leaf, new: Leaf) -> None:
    """As others do it: the same file with another content."""
    shutil.copyfile(new.certificate, leaf.certificate)
    shutil.copyfile(new.private_key, leaf.private_key)


@pytest.mark.parametrize("way", [replaced, rewritten])
def test_renewal(
    certificates: Certificates, issuer: Authority, way: Callable[[Leaf, Leaf], None]
) -> None:
    """A new context for listener and outgoing connections; the objects in use stay the same."""
    leaf = issuer.issue("sip.contoso.com")
    prepared = taken(certificates, listener=settings(leaf))
    security = prepared.listeners[URL]
    before, before_outgoing = security.context, prepared.outgoing.context
    look(certificates)
    assert security.context is before
    way(leaf, issuer.issue("sip.contoso.com", file="new", not_after=NOW + 400 * DAY))
    with capture_logs() as lines:
        look(certificates)
        look(certificates)
    assert security.context is not before
    assert prepared.outgoing.context is not before_outgoing
    assert (certificates.renewed, certificates.refused) == (1, 0)
    (line,) = lines
    assert line["event"] == "certificate_renewed"
    assert line["files"] == (str(leaf.certificate), str(leaf.private_key))


def test_renewal_by_symbolic_links(
    certificates: Certificates, issuer: Authority, tmp_path: Path
) -> None:
    """As certbot does it: the names stay links, their targets change."""
    old, new = issuer.issue("sip.contoso.com"), issuer.issue("sip.contoso.com", file="new")
    link = Leaf(tmp_path / "live.pem", tmp_path / "live.key")
    for source in (old, new):
        for name, target in (
            (link.certificate, source.certificate),
            (link.private_key, source.private_key),
        ):
            name.unlink(missing_ok=True)
            name.symlink_to(target)
        if source is old:
            security = taken(certificates, listener=settings(link)).listeners[URL]
            before = security.context
    look(certificates)
    assert security.context is not before


def test_a_folder_behind_a_link(
    certificates: Certificates, issuer: Authority, tmp_path: Path
) -> None:
    """As Kubernetes does it: a link to a folder of files is swapped."""
    for number in (1, 2):
        folder = tmp_path / f"data{number}"
        folder.mkdir()
        leaf = issuer.issue("sip.contoso.com", file=f"leaf{number}")
        shutil.copy(leaf.certificate, folder / "tls.pem")
        shutil.copy(leaf.private_key, folder / "tls.key")
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "data1")
    profile = settings(Leaf(link / "tls.pem", link / "tls.key"))
    security = taken(certificates, listener=profile).listeners[URL]
    before = security.context
    link.unlink()
    link.symlink_to(tmp_path / "data2")
    look(certificates)
    assert security.context is not before


def test_a_half_written_pair_waits(certificates: Certificates, issuer: Authority) -> None:
    """The old stays while the new isn't whole: refused once, with the reason; then taken up."""
    leaf = issuer.issue("sip.contoso.com")
    security = taken(certificates, listener=settings(leaf)).listeners[URL]
    before = security.context
    new = issuer.issue("sip.contoso.com", file="new", not_after=NOW + 400 * DAY)
    os.replace(new.certificate, leaf.certificate)
    with capture_logs() as lines:
        for _ in range(3):
            look(certificates)
    assert [line["event"] for line in lines] == ["certificate_refused"]
    assert f"{leaf.private_key}: not the key of the certificate" in lines[0]["why"]
    assert "the old one stays" in lines[0]["remedy"]
    assert security.context is before
    os.replace(new.private_key, leaf.private_key)
    look(certificates)
    assert security.context is not before
    assert (certificates.renewed, certificates.refused) == (1, 1)


@pytest.mark.parametrize("case", BROKEN)
def test_what_cant_be_used_isnt_taken_up(
    certificates: Certificates, issuer: Authority, case: str
) -> None:
    leaf = issuer.issue("sip.contoso.com")
    security = taken(certificates, listener=settings(leaf)).listeners[URL]
    before = security.context
    BROKEN[case][0](leaf)
    look(certificates)
    assert security.context is before
    assert certificates.refused == 1


def test_renewed_authorities(certificates: Certificates, issuer: Authority) -> None:
    leaf = issuer.issue("sip.contoso.com")
    profile = settings(leaf, ca=str(issuer.file))
    security = taken(certificates, listener=profile).listeners[URL]
    before = security.context
    with issuer.file.open("ab") as file:
        file.write(Authority(issuer.folder / "second", "Second CA").file.read_bytes())
    look(certificates)
    assert security.context is not before
    assert len(security.context.get_ca_certs()) == 2


def test_only_what_changed_is_renewed(certificates: Certificates, issuer: Authority) -> None:
    """Each listener has files of its own; listeners of the same files share a context."""
    one, two = issuer.issue("one.contoso.com"), issuer.issue("two.contoso.com")
    third = ListenUrl("tls", "127.0.0.1", 5063)
    prepared = certificates.prepare(
        {URL: settings(one), OTHER: settings(two), third: settings(one)}, TlsSettings()
    )
    certificates.take(prepared)
    before = {url: each.context for url, each in prepared.listeners.items()}
    assert before[URL] is before[third]
    issuer.issue("two.contoso.com", not_after=NOW + 400 * DAY)
    look(certificates)
    after = {url: each.context for url, each in prepared.listeners.items()}
    assert after[URL] is before[URL]
    assert after[OTHER] is not before[OTHER]


def test_nothing_is_in_use_before_it_is_taken(
    certificates: Certificates, issuer: Authority
) -> None:
    """A configuration that is refused later leaves everything as it was."""
    leaf = issuer.issue("sip.contoso.com")
    prepared = taken(certificates, listener=settings(leaf))
    certificates.prepare({OTHER: settings(issuer.issue("two.contoso.com"))}, TlsSettings())
    assert certificates.outgoing() is prepared.outgoing


def test_exposed_keys_are_told_when_taken(certificates: Certificates, issuer: Authority) -> None:
    leaf = issuer.issue("sip.contoso.com")
    leaf.private_key.chmod(0o644)
    structlog.reset_defaults()
    with capture_logs() as lines:
        taken(certificates, listener=settings(leaf))
    assert [line["event"] for line in lines] == ["private_key_exposed"]
