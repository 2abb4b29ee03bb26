"""The section `tls`: its own keys, what single listeners have instead, and what goes together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import ListenUrl, Settings, TlsSettings, load, warnings

Faults = Callable[[str], list[tuple[int, str]]]

FIRST = ListenUrl("tls", "127.0.0.1", 5061)
SECOND = ListenUrl("tls", "127.0.0.1", 5062)


def test_one_section_for_all(write: Callable[..., Path], tmp_path: Path) -> None:
    """Every key; files are relative to the main file, absolute ones stay."""
    settings = load(
        write("""
        listen: [tls://127.0.0.1]
        tls:
          certificate: tls/c.pem
          private_key: /etc/k.pem
          ca: ../ca.pem
          verify_peer: optional
          allowed_peers: [FE01.contoso.com., "*.Branch.contoso.com"]
          minimum_version: TLSv1.1
          ciphers: DEFAULT:@SECLEVEL=0
          common_name: true
          wildcards: true
          srv_names: true
    """)
    )
    assert settings.tls == TlsSettings(
        certificate=f"{tmp_path}/tls/c.pem",
        private_key="/etc/k.pem",
        ca=f"{tmp_path}/../ca.pem",
        verify_peer="optional",
        allowed_peers=("fe01.contoso.com", "*.branch.contoso.com"),
        minimum_version="TLSv1.1",
        ciphers="DEFAULT:@SECLEVEL=0",
        common_name=True,
        wildcards=True,
        srv_names=True,
    )
    assert settings.secure_listeners[FIRST] is settings.tls


def test_without_a_section() -> None:
    settings = Settings(listen=("udp://127.0.0.1:0",))
    assert settings.tls == TlsSettings()
    assert settings.secure_listeners == {}


def test_listeners_differ(write: Callable[..., Path], tmp_path: Path) -> None:
    """A listener has the section's keys and, instead of some, its own."""
    settings = load(
        write("""
        listen: [tls://127.0.0.1, tls://127.0.0.1:5062, tcp://127.0.0.1]
        tls:
          certificate: c.pem
          allowed_peers: [fe01.contoso.com]
          listeners:
            tls://127.0.0.1:5062: {minimum_version: TLSv1, allowed_peers: [], ca: old.pem}
    """)
    )
    common = TlsSettings(certificate=f"{tmp_path}/c.pem", allowed_peers=("fe01.contoso.com",))
    old = TlsSettings(
        certificate=f"{tmp_path}/c.pem", minimum_version="TLSv1", ca=f"{tmp_path}/old.pem"
    )
    assert settings.secure_listeners == {FIRST: common, SECOND: old}


def test_a_listener_may_bring_all_of_it(settings: Callable[[str], Settings]) -> None:
    text = "listen: [tls://127.0.0.1]\ntls: {listeners: {tls://127.0.0.1:5061: {certificate: c}}}"
    assert settings(text).tls.certificate is None
    assert settings(text).secure_listeners[FIRST].certificate is not None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("tls: {minimum_version: TLS1}", 2, "tls.minimum_version: must be TLSv1, TLSv1.1"),
        ("tls: {listners: {}}", 2, 'unknown key "listners" in tls (did you mean "listeners"?)'),
        ("tls: {certificate: c, ca: ''}", 2, "tls.ca: must not be empty"),
        ("tls: {allowed_peers: [192.0.2.1]}", 2, "is an IP address; a host name belongs here"),
        ("tls: {allowed_peers: ['fe*.contoso.com']}", 2, "is a wildcard"),
        ("tls: {allowed_peers: ['*.*.contoso.com']}", 2, "is a wildcard"),
        ("tls: {allowed_peers: ['sip:contoso.com']}", 2, "is no host name"),
        ("tls: {private_key: k}", 2, "tls.private_key: there is no certificate"),
        (
            "tls:\n  verify_peer: none\n  allowed_peers: [fe.contoso.com]",
            4,
            "names can't be checked with verify_peer: none",
        ),
        ("tls: {listeners: []}", 2, "tls.listeners: must be a mapping of entries of listen"),
        ("tls:\n  listeners:\n    tls: {}", 4, "tls.listeners: "),
        ("tls:\n  listeners:\n    tls://127.0.0.1:5063: {}", 4, "is not in listen"),
        ("tls:\n  listeners:\n    udp://127.0.0.1: {}", 4, "is no tls:// listener"),
    ],
)
def test_faults(faults: Faults, text: str, line: int, says: str) -> None:
    (found,) = faults(f"listen: [udp://127.0.0.1]\n{text}")
    assert found[0] == line
    assert says in found[1]


def test_each_fault_once(faults: Faults) -> None:
    """A fault of the section isn't told again for every listener, nor the other way round."""
    found = faults("""
        listen: [tls://127.0.0.1, tls://127.0.0.1:5062]
        tls:
          certificate: c
          verify_peer: never
          listeners:
            tls://127.0.0.1:
              ciphers: 5
            tls://127.0.0.1:5062:
              cipher: x
            tls://127.0.0.1:5062/: {}
    """)
    assert [line for line, _ in found] == [4, 7, 9]
    assert "must be required, optional or none" in found[0][1]
    assert 'did you mean "ciphers"' in found[2][1]


def test_faults_of_what_a_listener_has_instead(faults: Faults) -> None:
    found = faults("""
        listen: [tls://127.0.0.1, tls://127.0.0.1:5062]
        tls:
          certificate: c
          allowed_peers: [fe.contoso.com]
          listeners:
            tls://127.0.0.1:
              verify_peer: none
            tls://127.0.0.1:5062: {}
            tls://127.0.0.1:5062/: {}
    """)
    assert [line for line, _ in found] == [7, 9]
    assert "names can't be checked" in found[0][1]
    assert "is there already" in found[1][1]


@pytest.mark.parametrize(
    ("allowed", "mode", "warned"),
    [
        ("[fe01.contoso.com]", "proxy", True),
        ("[fe01.contoso.com, PCPOOL.contoso.com]", "proxy", False),
        ("['*.contoso.com']", "proxy", False),
        ("[]", "proxy", False),
        ("[fe01.contoso.com]", "redirect", False),
    ],
)
def test_a_pool_that_may_not_connect(
    settings: Callable[[str], Settings], allowed: str, mode: str, warned: bool
) -> None:
    """A pool's requests within proxied dialogs come over connections that it opens itself."""
    found = warnings(
        settings(f"""
        listen: [tls://127.0.0.1:5061]
        tls: {{certificate: /etc/x.pem, ca: /etc/ca.pem, allowed_peers: {allowed}}}
        endpoints:
          - {{sip_address: a@contoso.com, pool_fqdn: pcpool.contoso.com, port: 5061,
             transport: tls, mode: {mode}}}
        """)
    )
    said = [each for each in found if "allowed_peers has pcpool.contoso.com" in each.message]
    assert len(said) == warned
    assert all(each.line == 4 for each in said)
