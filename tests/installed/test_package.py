"""The Debian package: built, judged by lintian, and put through its life on a booted Debian.

The tests run in their order. `make packages` does the same in a Debian 12 and a Debian 13 of their
own, with the package of the commit before as the older one.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.installed.clone import WHEELS
from tests.installed.container import Container, booted
from tests.installed.loaded_service import LoadedService, configure, under_load
from tests.installed.readme import ROOT
from tests.tls.authority import Authority

SOCKETS = "ss -Hlntue sport = :5060 or sport = :443 | grep -o 'ino:[0-9]*' | sort"


@dataclass(frozen=True, slots=True)
class Machine:
    """A booted Debian without chatredirect.

    Attributes:
        container: it.
        older: the package that an administrator has, a path in the container.
        newer: the one that comes next.
        authority: who has issued the certificates.
    """

    container: Container
    older: str
    newer: str
    authority: Authority


def _build(folder: Path) -> Path:
    """The package of this tree."""
    for tool in ("dpkg-buildpackage", "dh", "lintian"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    if not (WHEELS / ".complete").exists():
        pytest.skip("no wheels in .cache/wheels: tests/setup/wheels")
    done = subprocess.run(
        ["deploy/debian/deb", str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "WHEELS": str(WHEELS)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = folder.glob("*.deb")
    return package


def _renumber(package: Path, folder: Path) -> Path:
    """The same package as an older one."""
    tree, older = folder / "older", folder / "older.deb"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text(
        "".join(f"{'Version: 0.0.1' if x.startswith('Version:') else x}\n" for x in lines)
    )
    subprocess.run(
        ["dpkg-deb", "-Zgzip", "-z1", "-b", tree, older], check=True, capture_output=True
    )
    return older


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted Debian: like this one, or that of `make packages`."""
    folder = tmp_path_factory.mktemp("package")
    root = folder / "root"
    if os.environ.get("PACKAGE_ROOT"):
        subprocess.run(["cp", "-a", os.environ["PACKAGE_ROOT"], root], check=True)
    newer = Path(os.environ.get("PACKAGE_NEWER") or _build(folder))
    older = Path(os.environ.get("PACKAGE_OLDER") or _renumber(newer, folder))
    with booted(root, writable=True) as container:
        for file, name in ((older, "older.deb"), (newer, "newer.deb")):
            shutil.copy(file, container.root / "opt" / name)
        yield Machine(
            container, "/opt/older.deb", "/opt/newer.deb", Authority(folder / "authority")
        )


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Container:
    """The older package, installed."""
    machine.container.check(f"dpkg -i {machine.older}")
    return machine.container


@pytest.fixture(scope="module")
def loaded(machine: Machine, installed: Container) -> Iterator[LoadedService]:
    """Its service, set up by an administrator and under load."""
    configure(installed, machine.authority)
    installed.check("systemctl enable --now chatredirect.socket chatredirect")
    with under_load(installed, machine.authority) as loaded:
        yield loaded


def test_installed(installed: Container) -> None:
    """Nothing is enabled or started; the configuration is for root and the service alone."""
    assert installed.run(
        "systemctl is-enabled chatredirect chatredirect.socket"
    ).stdout.split() == [
        "disabled",
        "disabled",
    ]
    assert installed.run("systemctl is-active chatredirect").stdout.strip() == "inactive"
    listed = installed.check(
        "stat -c '%A %U:%G' /etc/chatredirect /etc/chatredirect/chatredirect.yaml"
    )
    assert listed.splitlines() == ["drwxr-x--- root:chatredirect", "-rw-r----- root:chatredirect"]
    assert "(codec: compiled)" in installed.check("chatredirect --version")
    assert "chatredirect.yaml" in installed.check("dpkg-query -W -f '${Conffiles}' chatredirect")
    installed.check("test -e /usr/share/man/man8/chatredirect.8.gz")
    installed.check("test -e /usr/share/bash-completion/completions/chatredirect")
    assert installed.check("systemctl cat chatredirect | grep ExecStart=").startswith(
        "ExecStart=/usr/lib/chatredirect/bin/chatredirect run "
    )


def test_upgraded(machine: Machine, loaded: LoadedService) -> None:
    """Another process serves, on the same sockets; the administrator's file stays.

    Nobody's request is lost.
    """
    before, sockets = loaded.show("MainPID"), loaded.container.check(SOCKETS)
    settings = loaded.container.check("cat /etc/chatredirect/chatredirect.yaml")
    loaded.container.check(f"dpkg -i {machine.newer}")
    loaded.wait_for_another(before)
    assert loaded.container.check(SOCKETS) == sockets
    assert loaded.container.check("cat /etc/chatredirect/chatredirect.yaml") == settings
    loaded.settle()
    assert loaded.drops() == 0


def test_removed(loaded: LoadedService) -> None:
    """The service and its sockets are gone; the configuration and what it keeps are left."""
    assert loaded.container.check("ss -Hlntu sport = :5060") != ""
    loaded.container.check("dpkg -r chatredirect")
    assert loaded.container.check("ss -Hlntu sport = :5060") == ""
    loaded.container.check(
        "test -e /etc/chatredirect/chatredirect.yaml -a -d /var/lib/chatredirect"
    )
    left = loaded.container.run("find /usr -path '*chatredirect*' -not -path '/usr/local/*'").stdout
    assert left == ""


def test_purged(loaded: LoadedService) -> None:
    """Only the user is left, and what is the administrator's in /etc/systemd."""
    loaded.container.check("dpkg -P chatredirect")
    left = loaded.container.run(
        "find /etc /usr /var -name '*chatredirect*' -not -path '/var/log/*'"
        " -not -path '/etc/systemd/*'"
        " -not -path '/var/tmp/systemd-private-*'"
    ).stdout
    assert left == ""
    assert "chatredirect" in loaded.container.check("cat /etc/passwd")
