"""What is read of the service's unit: its environment, as systemd would make it."""

import socket
from pathlib import Path

import pytest

from chatredirect.config.service_environment import ServiceEnvironment
from chatredirect.systemd.unit_file import ServiceUnit, installed_unit


def unit(folder: Path, text: str, drop_in: str = "") -> ServiceUnit:
    (folder / "chatredirect.service.d").mkdir()
    (folder / "chatredirect.service").write_text(f"[Service]\n{text}")
    (folder / "chatredirect.service.d" / "local.conf").write_text(f"[Service]\n{drop_in}")
    found = installed_unit([str(folder)])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", None),
        ("Environment=CHATREDIRECT_ADVERTISE=cr1.contoso.com", "cr1.contoso.com"),
        ("Environment=A=b 'CHATREDIRECT_ADVERTISE=cr1.contoso.com' C=d", "cr1.contoso.com"),
        ("Environment=CHATREDIRECT_ADVERTISE=%H", socket.gethostname()),
        ("Environment=CHATREDIRECT_ADVERTISE=%l.x%%y", f"{socket.gethostname().split('.')[0]}.x%y"),
        ("Environment=CHATREDIRECT_ADVERTISE=a\nEnvironment=CHATREDIRECT_ADVERTISE=b", "b"),
        ("Environment=CHATREDIRECT_ADVERTISE=a\nEnvironment=", None),
        ("Environment='CHATREDIRECT_ADVERTISE=a", None),
        ("Environment=CHATREDIRECT_ADVERTISE=", None),
    ],
)
def test_advertise_in_a_drop_in(tmp_path: Path, text: str, name: str | None) -> None:
    """docs/configuration.md: what the service has from its unit, commands find there."""
    environment = unit(tmp_path, "Environment=B=c", text).environment
    assert ServiceEnvironment.of(environment).advertise == name


def test_advertise_in_a_file(tmp_path: Path) -> None:
    """`EnvironmentFile=` counts over `Environment=`; one that isn't there says nothing."""
    file = tmp_path / "environment"
    file.write_text('# a comment\nCHATREDIRECT_ADVERTISE="cr2.contoso.com"\n\nA=b\n')
    text = f"EnvironmentFile={file}\nEnvironment=CHATREDIRECT_ADVERTISE=cr1.contoso.com\n"
    found = unit(tmp_path, text, f"EnvironmentFile=-{tmp_path}/missing")
    assert found.environment == {"CHATREDIRECT_ADVERTISE": "cr2.contoso.com", "A": "b"}


def test_an_instance(tmp_path: Path) -> None:
    """Its unit is the template, with the instance's name; its own drop-in counts last."""
    for name, text in (
        ("chatredirect@.service", "ExecStart=/x run --config /etc/chatredirect/%i.yaml\n"),
        ("chatredirect@.service.d/a.conf", "Environment=CHATREDIRECT_ADVERTISE=cr%i.contoso.com"),
        ("chatredirect@5070.service.d/b.conf", "User=other"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"[Service]\n{text}")
    (tmp_path / "sockets.target.wants").mkdir()
    (tmp_path / "sockets.target.wants/chatredirect@5070.socket").touch()
    found = [installed_unit([str(tmp_path)], instance=name) for name in ("5070", "5071")]
    assert [each and each.config for each in found] == [
        "/etc/chatredirect/5070.yaml",
        "/etc/chatredirect/5071.yaml",
    ]
    assert [each and each.user for each in found] == ["other", "root"]
    assert [each and each.sockets for each in found] == [True, False]
    assert found[0] is not None
    assert found[0].name == "chatredirect@5070.service"
    assert found[0].environment["CHATREDIRECT_ADVERTISE"] == "cr5070.contoso.com"
    assert installed_unit([str(tmp_path)]) is None


def test_credentials(tmp_path: Path) -> None:
    """`LoadCredential=`: those whose files are there, and aren't in another store of systemd's."""
    (tmp_path / "key").touch()
    text = f"LoadCredential=tls.key:{tmp_path}/key\nLoadCredential=no:{tmp_path}/no\n"
    found = unit(tmp_path, text, "LoadCredential=nowhere-in-any-store")
    assert found.credentials == {"tls.key": f"{tmp_path}/key"}
