"""Two daemons, a crash, rights: what a person is told, and which status the process ends with."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.privileges import WITHOUT_OVERRIDE
from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, ROOT, Daemon, command, configured
from tests.service.fixtures import Run
from tests.service.reload import reload


def serves(daemon: Daemon) -> bool:
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request())
    assert answer is not None
    return answer.status == 302


def test_two_daemons_on_one_configuration(run_daemon: Run, tmp_path: Path) -> None:
    """The second names the first, and ends with 69; the first isn't disturbed."""
    first = run_daemon(configured(tmp_path))
    second = run_daemon(first.config, wait=False)
    assert second.process.wait(PATIENCE) == os.EX_UNAVAILABLE
    told = second.log_text
    assert str(tmp_path / "control") in told
    assert f"process {first.process.pid}" in told
    assert "two daemons on one configuration" in told
    assert reload(first).returncode == 0
    assert serves(first)


def test_a_crash_leaves_nothing_in_the_way(run_daemon: Run, tmp_path: Path) -> None:
    first = run_daemon(configured(tmp_path))
    first.process.kill()
    first.process.wait()
    assert stat.S_ISSOCK(os.stat(tmp_path / "control").st_mode)
    second = run_daemon(first.config)
    assert reload(second).returncode == 0
    assert second.stop() == 0
    assert not (tmp_path / "control").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_control_socket_that_cannot_be(run_daemon: Run, tmp_path: Path, what: str) -> None:
    path = tmp_path / "missing" / "control" if what == "folder" else tmp_path / "control"
    if what == "file":
        path.write_text("mine")
    daemon = run_daemon(configured(tmp_path, control={"socket": str(path)}), wait=False)
    assert daemon.process.wait(PATIENCE) == os.EX_UNAVAILABLE
    assert str(path) in daemon.log_text
    assert "control.socket" in daemon.log_text
    assert not daemon.events("started")


@pytest.mark.parametrize("what", ["configuration", "control", "key"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_rights_that_are_missing(tmp_path: Path, what: str) -> None:
    """Named, with what is missing."""
    settings = configured(tmp_path)
    key = tmp_path / "key.pem"
    if what == "key":
        key.touch(mode=0o600)
        settings |= {"listen": ["tls://127.0.0.1:0"], "tls": {"certificate": str(key)}}
    if what != "control":
        settings |= {"control": {"socket": False}}
    config = tmp_path / "chatredirect.yaml"
    config.write_text(yaml.safe_dump(settings))
    config.chmod(0o600)
    others = {"configuration": config, "control": tmp_path, "key": key}[what]
    others.chmod(0o755 if what == "control" else 0o600)
    os.chown(others, 65534, 65534)
    done = subprocess.run(
        [*WITHOUT_OVERRIDE, *command("run", "--config", config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "permi" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    named = {"configuration": config, "control": tmp_path / "control", "key": key}
    assert str(named[what]) in done.stderr
    assert done.returncode == (os.EX_UNAVAILABLE if what == "control" else os.EX_CONFIG)


SAYS_WHEN = """
import runpy, sys
seen = lambda event, about: event == "import" and about[0] == "chatredirect.cli" and print(end=".")
sys.addaudithook(seen)
runpy.run_module("chatredirect", run_name="__main__", alter_sys=True)
"""
"""Runs chatredirect, and prints a dot when the first line of ours has been read.

Nobody can help what Ctrl-C does before: Python itself prints where it was, or loses it.
"""


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_an_early_interrupt_is_silent(
    tmp_path: Path, after: float, signal_: signal.Signals
) -> None:
    """Ctrl-C while Python still imports ends the process, without a traceback."""
    config = tmp_path / "chatredirect.yaml"
    config.write_text(yaml.safe_dump(configured(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SAYS_WHEN, "run", "--config", config],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "."
        time.sleep(after)
        process.send_signal(signal_)
        try:
            text, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert "Traceback" not in text
        assert process.returncode in (0, 130, -signal_)
