"""What a configuration takes from the environment of its process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import ConfigError, HostPort, load
from chatredirect.config.service_environment import ServiceEnvironment

Write = Callable[..., Path]
LISTEN = "listen: [udp://0.0.0.0:5060]\n"


@pytest.mark.parametrize(
    ("text", "variable", "advertise"),
    [
        ("", "cr1.contoso.com", HostPort("cr1.contoso.com")),
        ("", "cr1.contoso.com:5070", HostPort("cr1.contoso.com", 5070)),
        ("advertise:\n", "cr1.contoso.com", HostPort("cr1.contoso.com")),
        ("advertise: cr.contoso.com\n", "cr1.contoso.com", HostPort("cr.contoso.com")),
        ("", "", None),
    ],
)
def test_advertise(write: Write, text: str, variable: str, advertise: HostPort | None) -> None:
    """The file's own key counts first; an empty variable is none."""
    environment = ServiceEnvironment.of({"CHATREDIRECT_ADVERTISE": variable})
    assert load(write(LISTEN + text), environment=environment).advertise == advertise


def test_it_is_this_processs_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATREDIRECT_ADVERTISE", "cr1.contoso.com")
    assert load(write(LISTEN)).advertise == HostPort("cr1.contoso.com")


def test_a_faulty_name(write: Write) -> None:
    """Reported by the variable's name."""
    environment = ServiceEnvironment("sip:cr1.contoso.com")
    with pytest.raises(ConfigError, match=r"\$CHATREDIRECT_ADVERTISE: .* is a URL"):
        load(write(LISTEN), environment=environment)


def test_a_lookup_on_a_wildcard_has_its_name_from_it(write: Write) -> None:
    lookup = "endpoints: [{sip_address: a@contoso.com, pool_fqdn: p.contoso.com, mode: lookup}]\n"
    with pytest.raises(ConfigError, match="CHATREDIRECT_ADVERTISE"):
        load(write(LISTEN + lookup), environment=ServiceEnvironment())
    load(write(LISTEN + lookup), environment=ServiceEnvironment("cr1.contoso.com"))


TLS = "listen: [tls://127.0.0.1:5061]\ntls: {certificate: a.pem, private_key: 'credential:%s'}\n"


def test_a_credential_of_systemd(write: Write, tmp_path: Path) -> None:
    """`$CREDENTIALS_DIRECTORY`, which systemd sets for the service (systemd.exec(5))."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "tls.key").touch()
    environment = ServiceEnvironment.of({"CREDENTIALS_DIRECTORY": f"{tmp_path}/credentials"})
    found = load(write(TLS % "tls.key"), environment=environment).tls
    assert found.certificate == f"{tmp_path}/a.pem"
    assert found.private_key == f"{tmp_path}/credentials/tls.key"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tls.key", "there is no credential .*LoadCredential=tls.key:/PATH"),
        ("", "is no name of a credential"),
        ("..", "is no name of a credential"),
        ("../main.yaml", "is no name of a credential"),
        ("a" * 256, "is no name of a credential"),
    ],
)
def test_a_credential_that_isnt_there(write: Write, tmp_path: Path, name: str, says: str) -> None:
    """At the key, with what to write; nothing outside of the folder is read."""
    environment = ServiceEnvironment(credentials=str(tmp_path))
    with pytest.raises(ConfigError, match=rf"main.yaml:2:.* tls.private_key: .*{says}"):
        load(write(TLS % name), environment=environment)


def test_without_credentials(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"\$CREDENTIALS_DIRECTORY isn't set"):
        load(write(TLS % "tls.key"), environment=ServiceEnvironment())


def test_where_the_unit_has_it_from(write: Write) -> None:
    """For commands: the service need not run."""
    environment = ServiceEnvironment(sources={"tls.key": "/etc/chatredirect/tls.key"})
    found = load(write(TLS % "tls.key"), environment=environment).tls
    assert found.private_key == "/etc/chatredirect/tls.key"
