"""The page's settings in `http`: off unless asked for, and closed to strangers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import ConfigError, Settings, load
from chatredirect.config.http_section import HttpSettings
from chatredirect.config.service_environment import ServiceEnvironment

WithHttp = Callable[..., Settings]
Write = Callable[..., Path]


def test_off_unless_asked_for() -> None:
    assert HttpSettings().page_listen is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"127.0.0.1:9470"', "http://127.0.0.1:9470"),
        ("9470", "http://127.0.0.1:9470"),
        ("127.0.0.1", "http://127.0.0.1:9465"),
        ("http://127.0.0.1", "http://127.0.0.1:9465"),
        ("http://127.0.0.1:80/", "http://127.0.0.1:80"),
        ('"http://[::1]:9470"', "http://[::1]:9470"),
        ("off", "None"),
    ],
)
def test_an_address(with_http: WithHttp, written: str, meant: str) -> None:
    assert str(with_http(f"{{page_listen: {written}}}").http.page_listen) == meant


@pytest.mark.parametrize(
    ("http", "why"),
    [
        ("{page_listen: ftp://127.0.0.1}", 'http.page_listen: "ftp": write https://ADDRESS:PORT'),
        ("{page_listen: localhost}", 'http.page_listen: "localhost" is no IP address'),
        ("{page_listen: true}", "http.page_listen: must be ADDRESS:PORT, or off"),
        (
            "{page_listen: 0.0.0.0}",
            "http.page_listen: http://0.0.0.0:9465 would send the token and callers' names in the "
            "clear: write https://0.0.0.0:9465, an address of loopback, or behind_proxy: true",
        ),
        (
            "{page_listen: http://192.0.2.1}",
            "http.page_listen: http://192.0.2.1:9465 would send the token",
        ),
        ("{page_listen: https://127.0.0.1}", "http.page_listen: https://127.0.0.1:9465 needs a"),
        ("{page_listen: 5060}", "http.page_listen: tcp://127.0.0.1:5060 in line 1 wants the same"),
        ("{page_listen: 9464, listen: 9464}", "http.page_listen: http.listen wants 127.0.0.1:9464"),
        ("{token_file: page.token}", 'http.token_file: "page.token" must be an absolute path, or'),
        (r'{token_file: "/a\0"}', "http.token_file: "),
        ("{page_names: [192.0.2.1]}", 'http.page_names[0]: "192.0.2.1" is an IP address'),
    ],
)
def test_faults(with_http: WithHttp, http: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_http(http)
    (fault,) = raised.value.faults
    assert fault.message.startswith(why)
    assert fault.line == 2


def test_a_proxy_may_speak_tls_for_it(with_http: WithHttp) -> None:
    settings = with_http("{page_listen: 192.0.2.1, behind_proxy: true}")
    assert not settings.tls_profiles


def test_tls_is_the_sections_without_what_it_wants_of_sip_peers(with_http: WithHttp) -> None:
    more = "tls: {certificate: /c.pem, minimum_version: TLSv1, allowed_peers: [a.contoso.com]}\n"
    settings = with_http("{page_listen: https://0.0.0.0}", more)
    ((url, profile),) = settings.tls_profiles.items()
    assert str(url) == "tls://0.0.0.0:9465"
    assert (profile.certificate, profile.verify_peer, profile.minimum_version) == (
        "/c.pem",
        "none",
        "TLSv1.2",
    )
    assert not settings.secure_listeners


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_token_that_every_user_could_read_is_none(
    tmp_path: Path, with_http: WithHttp, mode: int
) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 40)
    token.chmod(mode)
    with pytest.raises(ConfigError) as raised:
        with_http(f"{{page_listen: 9465, token_file: {token}}}")
    assert f"every user can read or write {token}: chmod o= {token}" in str(raised.value)
    token.chmod(0o640)
    assert with_http(f"{{page_listen: 9465, token_file: {token}}}").http.token_file


def test_a_token_that_systemd_hands_over(write: Write, tmp_path: Path) -> None:
    """`credential:NAME`, as for all secrets; an open source of it is a fault as well."""
    main = write(
        "listen: [udp://127.0.0.1:5060]\n"
        "http: {page_listen: 9465, listen: 9464, token_file: credential:page}\n"
    )
    environment = ServiceEnvironment(credentials=str(tmp_path))
    with pytest.raises(ConfigError, match=r"main.yaml:2:.* http.token_file: .*LoadCredential=page"):
        load(main, environment=environment)
    token = tmp_path / "page"
    token.write_text("a-token-of-many-characters\n")
    token.chmod(0o600)
    http = load(main, environment=environment).http
    assert http.token_path("/var/lib/chatredirect") == str(token)
    assert str(http.page_listen) == "http://127.0.0.1:9465"
    token.chmod(0o644)
    from_unit = ServiceEnvironment(sources={"page": str(token)})
    with pytest.raises(ConfigError, match=f"every user can read or write {token}"):
        load(main, environment=from_unit)
