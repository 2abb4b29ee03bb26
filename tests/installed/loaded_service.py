"""The service in a booted container, under a steady load over UDP, TCP and TLS."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.installed.container import Container
from tests.installed.readme import ROOT
from tests.installed.steady import DEADLINE
from tests.tls.authority import Authority

PROBE = "chatredirect probe sip:ocschat@contoso.com --via {}"
CONFIG = "/etc/chatredirect/chatredirect.yaml"
SETTINGS = """\
listen: ["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060", "tls://0.0.0.0:443"]
advertise: chatredirect.contoso.com
tls: {certificate: tls/chatredirect.pem, private_key: tls/chatredirect.key, ca: tls/ca.pem}
endpoints:
  - {sip_address: "sip:ocschat@contoso.com", pool_fqdn: pcpool.contoso.com, port: 5061}
  - {sip_address: "sip:lookup@contoso.com", pool_fqdn: pcpool.contoso.com, mode: lookup}
  - sip_address: sip:proxied@contoso.com
    mode: proxy
    pool_fqdn: behind.contoso.com
    port: 5080
    transport: tcp
"""
DROP_IN = "etc/systemd/system/chatredirect.service.d/test.conf"


@dataclass
class LoadedService:
    """The container and the load on it.

    Attributes:
        container: it.
        load: the program that sends.
        planned: from when to when connections were closed on purpose, monotonic times.
        quiet: from when to when none may be closed.
    """

    container: Container
    load: subprocess.Popen[str]
    planned: list[tuple[float, float]]
    quiet: list[tuple[float, float]]

    def show(self, name: str, unit: str = "chatredirect") -> str:
        """One property of a unit."""
        return self.container.check(f"systemctl show --value -p {name} {unit}").strip()

    def journal(self, *match: str) -> str:
        """What the journal has of the service."""
        return self.container.check(f"journalctl -u chatredirect --no-pager {' '.join(match)}")

    def answers(self) -> bool:
        """Whether a probe gets its redirect."""
        return self.container.run(PROBE.format("udp://127.0.0.1:5060")).returncode == 0

    def wait_for_another(self, before: str) -> None:
        """Until another process serves."""
        wait_until(lambda: self.show("MainPID") not in {"0", before}, "a restart")
        wait_until(lambda: self.show("SubState") == "running", "start")
        assert self.answers()

    def restart_on_purpose(self, command: str) -> None:
        """Run a command that restarts the service in an orderly way."""
        began = time.monotonic()
        self.container.check(command)
        self.planned.append((began, time.monotonic()))

    def reload(self) -> bool:
        """Reload with `systemctl`, which keeps every connection; whether it was accepted."""
        began = time.monotonic()
        done = self.container.run("systemctl reload chatredirect")
        self.quiet.append((began, time.monotonic()))
        return done.returncode == 0

    def settle(self) -> dict[str, Any]:
        """End the load; every transaction was answered within 32 s, nobody was turned away.

        Returns what the load has counted.
        """
        said, _ = self.load.communicate("", timeout=DEADLINE + 30)
        account: dict[str, Any] = json.loads(said)
        assert sum(account["sent"].values()) / (account["ended"] - account["began"]) >= 300
        assert account["failed"] == []
        assert account["wrong"] == []
        assert account["refused"] == []
        return account

    def drops(self) -> int:
        """Datagrams to port 5060 that the kernel had no room for, by its own count."""
        return kernel_drops(Path(f"/proc/{self.container.leader}/net/udp").read_text())


def kernel_drops(table: str) -> int:
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if row[1].endswith(f":{5060:04X}"))


def configure(container: Container, authority: Authority) -> None:
    """Names, certificates and settings of an installed service, for its first start."""
    with (container.root / "etc/hosts").open("a") as hosts:
        hosts.write("192.0.2.20 pcpool.contoso.com\n")
        hosts.write("127.0.0.1 behind.contoso.com chatredirect.contoso.com\n")
    server = authority.issue("chatredirect.contoso.com")
    etc = container.root / "etc"
    (etc / "chatredirect/tls").mkdir()
    for file, name in (
        (server.certificate, "chatredirect.pem"),
        (server.private_key, "chatredirect.key"),
    ):
        shutil.copy(file, etc / "chatredirect/tls" / name)
    shutil.copy(authority.file, etc / "chatredirect/tls")
    container.check("chown -R root:chatredirect /etc/chatredirect/tls")
    container.check("chmod -R u=rwX,g=rX,o= /etc/chatredirect/tls")
    (etc / "chatredirect/chatredirect.yaml").write_text(SETTINGS)
    drop_in = etc / "systemd/system/chatredirect.socket.d/test.conf"
    drop_in.parent.mkdir(parents=True)
    # a port that the service itself has no right to open
    drop_in.write_text("[Socket]\nListenStream=0.0.0.0:443\n")
    # The unit's ten seconds are much for a test.
    write_drop_in(container, "[Service]\nWatchdogSec=2\n")


def write_drop_in(container: Container, drop_in: str) -> None:
    """Change the service's unit."""
    path = container.root / DROP_IN
    path.parent.mkdir(exist_ok=True)
    path.write_text(drop_in)
    container.check("systemctl daemon-reload")


@contextmanager
def under_load(container: Container, authority: Authority) -> Iterator[LoadedService]:
    """Load a service that runs, from its own network, but with our own interpreter."""
    client = authority.issue("fe01.contoso.com")
    load = subprocess.Popen(
        [
            *("nsenter", f"--target={container.leader}", "--net", "--"),
            *(sys.executable, "-m", "tests.installed.steady"),
            *("--udp=5060", "--tcp=5060", "--tls=443"),
            *(f"--ca={authority.file}", f"--certificate={client.certificate}"),
            f"--key={client.private_key}",
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdout is not None
    if load.stdout.readline() != "sending\n":
        load.kill()
        pytest.fail("the load doesn't begin")
    try:
        yield LoadedService(container, load, [], [])
    finally:
        load.kill()
        load.communicate()


def write_settings(site: LoadedService, text: str) -> None:
    (site.container.root / CONFIG.lstrip("/")).write_text(text)


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout:g} s"
        time.sleep(0.1)
