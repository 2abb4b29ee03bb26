"""Certificates renewed under a running daemon: by being watched, and on SIGHUP."""

import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.service.client import request
from tests.service.daemon import Daemon, eventually
from tests.service.fixtures import Run
from tests.tls.authority import DAY, NOW, Authority, Leaf
from tests.tls.client import SERVER, Tls, talk_tls

Section = Callable[..., dict[str, Any]]


@pytest.fixture
def live(authority: Authority, tmp_path: Path) -> Leaf:
    """Links to the daemon's certificate, as renewal tools keep them."""
    live = Leaf(tmp_path / "live.pem", tmp_path / "live.key")
    point(live, authority.issue(SERVER, file="first"))
    return live


def point(live: Leaf, to: Leaf) -> None:
    """Let the links lead to other files."""
    for link, target in (
        (live.certificate, to.certificate),
        (live.private_key, to.private_key),
    ):
        new = link.with_suffix(".new")
        new.symlink_to(target)
        os.replace(new, link)


def serial(client: Tls) -> int:
    """Which certificate the daemon has shown."""
    data = client.socket.getpeercert(binary_form=True)
    assert data is not None
    return x509.load_der_x509_certificate(data).serial_number


def shown(daemon: Daemon, context: ssl.SSLContext) -> int:
    with talk_tls(daemon.address("tls"), context) as client:
        serves(client)
        return serial(client)


def serves(client: Tls) -> None:
    client.send(request())
    assert client.receive().status == 302


def serial_of(leaf: Leaf) -> int:
    return x509.load_pem_x509_certificate(leaf.certificate.read_bytes()).serial_number


@pytest.fixture
def daemon(run_daemon: Run, tls: Section, live: Leaf) -> Daemon:
    section = tls(certificate=str(live.certificate), private_key=str(live.private_key))
    return run_daemon(listen=["tls://127.0.0.1:0"], tls=section)


def test_watched_files(
    daemon: Daemon, authority: Authority, live: Leaf, context: ssl.SSLContext
) -> None:
    """A half-changed pair is refused, a whole one taken up; open connections stay as they are."""
    first, second = serial_of(live), authority.issue(SERVER, file="second")
    with talk_tls(daemon.address("tls"), context) as old:
        assert serial(old) == first
        point(live, Leaf(second.certificate, live.private_key.resolve()))
        line = daemon.event("certificate_refused")
        assert f"{live.private_key}: not the key of the certificate" in line["why"]
        assert shown(daemon, context) == first
        point(live, second)
        daemon.event("certificate_renewed")
        assert shown(daemon, context) == serial_of(second)
        serves(old)
        assert serial(old) == first
    assert len(daemon.events("certificate_refused")) == 1
    assert len(daemon.events("certificate_renewed")) == 1


def test_on_reload(
    daemon: Daemon, authority: Authority, live: Leaf, context: ssl.SSLContext
) -> None:
    """SIGHUP takes changed files at once; files that can't be used refuse the reload."""
    with talk_tls(daemon.address("tls"), context) as old:
        half = authority.issue(SERVER, file="third", not_after=NOW + 20 * DAY)
        data = half.certificate.read_bytes()
        half.certificate.write_bytes(data[: len(data) // 2])
        point(live, half)
        daemon.send_signal(signal.SIGHUP)
        assert str(live.certificate) in daemon.event("reload_refused")["why"]
        serves(old)
        half.certificate.write_bytes(data)
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: shown(daemon, context) == serial_of(half), "the new certificate")
        serves(old)
        line = daemon.event("certificate_expires", file=str(live.certificate))
        assert "expires in " in line["why"]
