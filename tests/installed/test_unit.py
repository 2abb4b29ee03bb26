"""The systemd unit as systemd itself judges it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatredirect.transport.stream_listener import BACKLOG

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/chatredirect.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze not found"
)


def test_verify_where_installed(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of the units where the package is installed."""
    text = UNIT.read_text()
    command = re.search(r"(?m)^ExecStart=(\S+) run --config (\S+)$", text)
    assert command is not None
    assert command[1] == "/opt/chatredirect/bin/chatredirect"  # README.md installs it there
    assert command[2] == "/etc/chatredirect/chatredirect.yaml"
    here = Path(sys.prefix, "bin/chatredirect")
    assert f"\nExecReload={command[1]} reload --config {command[2]}\n" in text
    units = sorted(UNIT.parent.glob("*.service")) + sorted(UNIT.parent.glob("*.socket"))
    assert len(units) == 6
    names = [tmp_path / unit.name.replace("@", "@5070") for unit in units]
    for unit, name in zip(units, names, strict=True):
        name.write_text(unit.read_text().replace(command[1], str(here)))
    # the manual page is made when it is installed
    done = _analyze("verify", "--man=no", *map(str, names))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["chatredirect.service", "chatredirect.socket", "chatredirect-hold.service"]
)
def test_an_instance_is_as_the_single_service(name: str) -> None:
    """Its template differs in names and addresses alone, comments apart."""
    single = UNIT.with_name(name)
    template = single.with_stem(f"{single.stem}@").read_text()
    made = _settings(template)
    for instance, one in (
        (" (%i)", ""),
        ("chatredirect@%i.", "chatredirect."),
        ("chatredirect-hold@%i.", "chatredirect-hold."),
        ("=chatredirect-%i", "=chatredirect"),
        ("/etc/chatredirect/%i.yaml", "/etc/chatredirect/chatredirect.yaml"),
        ("=0.0.0.0:%i", "=0.0.0.0:5060"),
    ):
        made = [line.replace(instance, one) for line in made]
    assert made == _settings(single.read_text())


def _settings(unit: str) -> list[str]:
    return [line for line in unit.splitlines() if line and not line.startswith("#")]


def test_verify_notices_a_mistake(tmp_path: Path) -> None:
    """The check above can fail."""
    broken = tmp_path / UNIT.name
    broken.write_text(UNIT.read_text().replace("Restart=on-failure", "Restart=sometimes"))
    done = _analyze("verify", "--man=no", str(broken))
    assert "sometimes" in done.stderr


def test_exposure_is_under_1_5() -> None:
    """`systemd-analyze security` rates the sandbox under 1.5; 0 is locked up, 10 is open."""
    done = _analyze("security", "--offline=yes", "--no-pager", str(UNIT))
    rating = re.search(r"Overall exposure level for chatredirect\.service: ([0-9.]+)", done.stdout)
    assert rating is not None, done.stdout + done.stderr
    assert float(rating[1]) < 1.5, done.stdout


def test_runs_as_its_own_user() -> None:
    """The sysusers file makes the unit's user; a faulty configuration isn't started again."""
    done = _analyze("security", "--offline=yes", "--json=short", str(UNIT))
    findings = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert findings["User=/DynamicUser="]["set"] is True
    assert re.search(r"(?m)^User=chatredirect$", UNIT.read_text())
    sysusers = (ROOT / "systemd/chatredirect.sysusers.conf").read_text()
    assert re.search(r"(?m)^u chatredirect ", sysusers)
    assert re.search(r"(?m)^RestartPreventExitStatus=78$", UNIT.read_text())
    limit = re.search(r"(?m)^LimitNOFILE=(\d+)$", UNIT.read_text())
    assert limit is not None
    assert int(limit[1]) > 10_000  # limits.connections


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_sockets_keep_their_backlog() -> None:
    """The daemon listens anew on systemd's sockets, which then have the backlog that it says."""
    socket = (ROOT / "systemd/chatredirect.socket").read_text()
    assert f"\nBacklog={BACKLOG}\n" in socket
