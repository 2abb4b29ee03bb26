"""Standard output that can't be written: exit status 74, whichever command, and no traceback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.commands.output import complain, show

Write = Callable[..., Path]
MINIMAL = "listen: [udp://127.0.0.1:5060]\ndns: {nameservers: ['127.0.0.1:9'], timeout: 0.1}\n"
FULL = b"chatredirect: standard output: no space left on device\n"

COMMANDS = {
    "help": ["--help"],
    "help of a command": ["probe", "--help"],
    "version": ["--version"],
    "check": ["check", "--offline", "main.yaml"],
    "check --json": ["check", "--offline", "--json", "main.yaml"],
    "check, faulty": ["check", "faulty.yaml"],
    "check, faulty, --json": ["check", "--json", "faulty.yaml"],
    "resolve": ["resolve", "--config", "main.yaml", "127.0.0.1"],
    "resolve --json": ["resolve", "--config", "main.yaml", "--json", "127.0.0.1"],
    "probe": ["probe", "sip:127.0.0.1:9", "--config", "main.yaml"],
    "probe --json": ["probe", "sip:127.0.0.1:9", "--config", "main.yaml", "--json"],
}


@pytest.fixture
def folder(tmp_path: Path, write: Write) -> Path:
    write(MINIMAL)
    write("listen: 5", "faulty.yaml")
    return tmp_path


def run(
    folder: Path, arguments: list[str], out: int, err: int
) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "chatredirect", *arguments]
    return subprocess.run(line, stdout=out, stderr=err, timeout=60, cwd=folder, check=False)


@pytest.mark.parametrize("case", COMMANDS)
def test_a_full_disk(folder: Path, case: str) -> None:
    with open("/dev/full", "wb") as full:
        done = run(folder, COMMANDS[case], full.fileno(), subprocess.PIPE)
    assert (done.returncode, done.stderr) == (74, FULL)


@pytest.mark.parametrize("case", COMMANDS)
def test_a_reader_that_has_gone(folder: Path, case: str) -> None:
    """As with `| head`: silent, for it has had enough."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(folder, COMMANDS[case], writer, subprocess.PIPE)
    os.close(writer)
    # --help is printed by a library that has an exit status of its own for this
    assert done.returncode == (1 if "help" in case else 74)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["run", "--config", "faulty.yaml"], 78),
        (["resolve", "--config", "faulty.yaml", "a.test"], 78),
        (["probe", "sip:a@127.0.0.1", "--config", "faulty.yaml"], 78),
        (["probe", "nobody"], 2),
    ],
)
def test_complaints_that_nobody_takes(folder: Path, arguments: list[str], status: int) -> None:
    """The exit status still says what was wrong."""
    with open("/dev/full", "wb") as full:
        done = run(folder, arguments, subprocess.PIPE, full.fileno())
    assert (done.returncode, done.stdout) == (status, b"")


def test_names_that_fit_no_code(folder: Path) -> None:
    """A file name that isn't UTF-8 is printed with escapes."""
    name = os.fsdecode(b"caf\xe9.yaml")
    (folder / name).write_text("listen: 5")
    line = [sys.executable, "-m", "chatredirect", "check", name]
    done = subprocess.run(
        line,
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 78, done.stderr
    assert done.stdout.startswith(b"caf\\udce9.yaml:1:")


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Bidirectional marks and control characters of others are shown as escapes, here for all."""
    show("sip:a\u202eb@contoso.com\t\u2066x\u2069\n\x1b[31m\u200f")
    complain("\u202a\x9b")
    printed = capsys.readouterr()
    assert printed.out == "sip:a\\u202eb@contoso.com\t\\u2066x\\u2069\n\\u001b[31m\\u200f\n"
    assert printed.err == "chatredirect: \\u202a\\u009b\n"
