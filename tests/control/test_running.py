"""A daemon that can't be asked is told apart from one that doesn't run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chatredirect.control.client import ControlError, ask
from chatredirect.control.running import config_of, daemons_of
from tests.service.daemon import eventually

_SLEEP = "import time; time.sleep(60)"


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("/usr/bin/python3 /opt/chatredirect/bin/chatredirect run --config a.yaml", "a.yaml"),
        ("chatredirect run -c /b.yaml --log-format json", "/b.yaml"),
        ("chatredirect run --config=c.yaml", "c.yaml"),
        ("python3 -P -m chatredirect run", ""),
        ("chatredirect run --config", ""),
        ("chatredirect status --config a.yaml", None),
        ("vi chatredirect run", ""),
        ("grep run chatredirect", None),
        ("", None),
    ],
)
def test_command_lines(line: str, config: str | None) -> None:
    assert config_of(line.split()) == config


def _process(*arguments: str, cwd: Path) -> "subprocess.Popen[bytes]":
    """A process with the command line of a daemon."""
    return subprocess.Popen(
        [sys.executable, "-c", _SLEEP, "chatredirect", "run", *arguments], cwd=cwd
    )


def test_a_daemon_without_its_socket(tmp_path: Path) -> None:
    """It is found by its configuration's path, which may be relative to its folder."""
    config, control = tmp_path / "chatredirect.yaml", tmp_path / "control"
    config.write_text(yaml.safe_dump({"control": {"socket": "control"}}))
    with pytest.raises(ControlError, match="isn't running: there is no control socket"):
        ask(str(control), "status")
    with _process("--config", "chatredirect.yaml", cwd=tmp_path) as process:
        eventually(lambda: len(daemons_of(config)) == 1, "the process")
        with pytest.raises(ControlError) as raised:
            ask(str(control), "status")
        with pytest.raises(ControlError) as elsewhere:
            ask(str(tmp_path / "other"), "status")
        process.kill()
    text = str(raised.value)
    assert text.startswith(f"the daemon runs (process {process.pid} with {config}), but can't be")
    assert "no_control_socket" in text
    assert raised.value.status == os.EX_UNAVAILABLE
    assert str(elsewhere.value).startswith("the daemon isn't running: there is no control socket")
