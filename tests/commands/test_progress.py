"""Progress of what takes longer than two seconds: on standard error, at a terminal only."""

import os
import pty
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.store import UsageStore
from tests.service.daemon import ROOT, command, configuration, endpoint, eventually
from tests.usage.uses import batch, use

PATIENCE = 120.0
#: For what a test makes in less than two seconds: shown at once.
IMPATIENT = [
    *(sys.executable, "-c"),
    "from chatredirect.commands import progress; progress.PATIENCE = 0.0\n"
    "from chatredirect.cli import main; main()",
]


def run(*line: str | Path, terminal: bool, shown: bytearray | None = None) -> tuple[int, str, str]:
    """Status, standard output (a pipe) and standard error (a terminal, or a pipe).

    What the terminal shows so far is in `shown`.
    """
    if not terminal:
        done = subprocess.run(
            line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.returncode, done.stdout, done.stderr
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = bytearray() if shown is None else shown

    def read() -> None:
        try:
            while octets := os.read(ours, 4096):
                shown.extend(octets)
        except OSError:  # EIO: the last writer is gone
            return

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=PATIENCE)
    reader.join(PATIENCE)
    os.close(ours)
    return process.returncode, out, shown.decode()


@pytest.fixture
def silent_pool(tmp_path: Path) -> Iterator[Path]:
    """A configuration whose pool takes a ping and says nothing for five seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pool:
        pool.bind(("127.0.0.1", 0))
        there = endpoint(port=pool.getsockname()[1], transport="udp")
        settings = configuration(
            endpoints=[there],
            dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
            health={"interval": 10, "timeout": 5},
        )
        config = tmp_path / "chatredirect.yaml"
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump(settings))
        yield config


@pytest.mark.parametrize("terminal", [True, False])
def test_a_live_check(silent_pool: Path, terminal: bool) -> None:
    """The ping waits longer than two seconds: a bar, and nothing else differs."""
    status, out, err = run(*command("check", silent_pool, "--live"), terminal=terminal)
    assert status == 1, err
    assert "0 of 1 endpoint ready" in out
    assert "\x1b" not in out
    if terminal:
        assert re.search(r"pinging targets.*0/1", err), err
        assert "\x1b[2K" in err, "it is taken away afterwards"
    else:
        assert err == ""


@contextmanager
def locked(path: Path, until: Callable[[], object]) -> Iterator[None]:
    """Somebody else has a database, and ends when this function does."""
    with sqlite3.connect(path, check_same_thread=False, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")

        def end() -> None:
            try:
                until()
            finally:
                other.execute("COMMIT")

        thread = threading.Thread(target=end)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("terminal", [True, False])
def test_reading_a_ledger(tmp_path: Path, terminal: bool) -> None:
    """A ledger that is locked for a while; nobody knows beforehand, so the bar only moves."""
    path = tmp_path / "usage.db"
    UsageStore(StoreAddress("sqlite", str(path))).write(batch(use(int(time.time() // 86400))))
    line = [*IMPATIENT, "usage", "--store", path]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # else a reader waits for nobody
    shown = bytearray()

    def told() -> None:
        if terminal:
            eventually(lambda: b"reading the ledger" in shown, "a bar")
        else:
            time.sleep(4.0)  # longer than it takes to begin

    with locked(path, told):
        status, out, err = run(*line, terminal=terminal, shown=shown)
    assert status == 0, err
    assert "sip:ocschat@contoso.com" in out
    assert ("reading the ledger" in err) == terminal, err


@pytest.mark.parametrize("terminal", [True, False])
def test_many_new_endpoints(tmp_path: Path, terminal: bool) -> None:
    """Rows are checked and counted, then the files; the summary is as ever."""
    (tmp_path / "endpoints.d").mkdir()
    config = tmp_path / "chatredirect.yaml"
    config.write_text("listen: ['udp://127.0.0.1:5060']\ninclude: endpoints.d/*.yaml\n")
    rows = tmp_path / "rows.csv"
    lines = "".join(f"sip:chat{n}@contoso.com,pcpool.contoso.com\n" for n in range(3000))
    rows.write_text(f"SipAddress,PersistentChatPoolFqdn\n{lines}")
    line = ("endpoint", "new", "--from-csv", rows, "--config", config)
    status, out, err = run(*IMPATIENT, *line, terminal=terminal)
    assert status == 0, err
    assert "and 2,980 more in" in out
    assert "\x1b" not in out
    shown = re.findall(r"(?:checking rows|writing files).*?\d+/3000", err)
    assert bool(shown) == terminal, err


def test_a_quick_command_shows_nothing(tmp_path: Path) -> None:
    """And imports nothing that draws."""
    config = tmp_path / "chatredirect.yaml"
    config.write_text("listen: ['udp://127.0.0.1:5060']\nendpoints: []\n")
    line = [
        *(sys.executable, "-X", "importtime", "-c"),
        "from chatredirect.commands.progress import progress\n"
        "with progress('nothing', 1) as counter: counter.advance()",
    ]
    status, _, err = run(*line, terminal=True)
    assert status == 0
    assert "rich" not in err
    assert "nothing" not in err


@pytest.mark.parametrize(("terminal", "fails"), [(True, False), (False, False), (True, True)])
def test_the_first_start(tmp_path: Path, terminal: bool, fails: bool) -> None:
    """`make run` counts the packages that pip collects; the status is pip's."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made\naiohttp==3 \\\n    --hash=sha256:0\nrich==15 \\\n    --hash=sha256:1\n"
    )
    pip = tmp_path / "python"
    quiet = 'case "$*" in *-qq*) ;; *) '
    says = "echo 'Collecting aiohttp'; echo 'Collecting rich'; echo 'Installing collected packages'"
    pip.write_text(f"#!/bin/sh\n{quiet}{says};; esac\nexit {int(fails)}\n")
    pip.chmod(0o755)
    script = ROOT / "tests/setup/pip-with-progress"
    status, out, err = run(sys.executable, script, pip, lock, terminal=terminal)
    assert status == int(fails)
    assert out == ""
    if terminal:
        assert "2 of 2 packages" in err
        assert err.endswith("\r\x1b[K")
    else:
        assert err == ""
