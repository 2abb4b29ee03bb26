"""README.md's commands, for somebody in a hurry: each is run as it stands there.

They use port 5060, so they run in a network namespace of the test's own. The commands of the
section "Production" are test_production.py's.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.installed.namespace import Namespace, network_namespace
from tests.installed.pages import alike
from tests.installed.readme import ROOT, Command, commands

HURRY = "In a hurry"
PRODUCTION = "Production"

# This test is one of those that it would run, in an endless row.
NOT_RUN_HERE = {"make test"}

GET_IT = (
    "apt-get install --no-install-recommends git make python3 python3-venv",
    "git clone URL chatredirect",
)


def test_extraction() -> None:
    """Commands are found in both kinds of block, with their section and the output shown."""
    text = "# A\n```sh\none\ntwo\n```\n## B\n```console\n$ three\nits output\n$ four\n```\n"
    assert commands(text) == [
        Command("A", "one"),
        Command("A", "two"),
        Command("B", "three", ("its output",)),
        Command("B", "four"),
    ]


def test_every_command_is_run_by_a_test() -> None:
    """No command of the README stands where no test looks."""
    found = commands()
    assert {command.section for command in found} == {HURRY, PRODUCTION}
    assert [command.line for command in found if command.section == HURRY] == [
        *GET_IT,
        "make run",
        *(command.line for command in _in_other_terminals()),
        "make test",
    ]


def test_get_it(tmp_path: Path) -> None:
    """The packages exist, as apt-get says without installing them, and the clone is whole."""
    install, clone = GET_IT
    if shutil.which("apt-get") is not None:
        done = _ran(install.replace("apt-get", "apt-get --simulate"), tmp_path)
        assert done.returncode == 0, done.stderr
    done = _ran(clone.replace("URL", str(ROOT)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "chatredirect/Makefile").exists()


def _ran(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        line, shell=True, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_what_comes_first() -> None:
    """Who has a daemon sees within the first screens how to look at it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    places = [
        next(number for number, line in enumerate(text) if command in line)
        for command in ("make run", "chatredirect status", "chatredirect trace")
    ]
    assert places == sorted(places)
    assert places[-1] < 50


def test_links_lead_somewhere() -> None:
    """Every relative link of the README and of the pages names a file, and a heading in it."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            target = page.parent / link if link else page
            told = f"{page.relative_to(ROOT)}: {link}#{anchor}"
            assert target.exists(), told
            if anchor:
                assert anchor in _anchors(target.read_text(encoding="utf-8")), told


def _anchors(text: str) -> set[str]:
    """What GitHub makes of a page's headings."""
    bare = re.sub(r"(?ms)^```.*?^```$", "", text)
    headings = re.findall(r"(?m)^#+ (.+)$", bare)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_in_a_hurry() -> None:
    """`make run`, then the other terminals' commands; Ctrl-C ends `make run` with status 0."""
    if shutil.which("make") is None:
        pytest.skip("make not found")
    # What make run would do first; in the namespace it has no network for it.
    subprocess.run(["make", "install-run"], cwd=ROOT, env=_environment(), check=True)
    with network_namespace() as namespace, _terminal(namespace, "make run") as terminal:
        _wait_for_port(namespace, terminal)
        exports: list[str] = []
        running: list[tuple[Command, subprocess.Popen[str]]] = []
        for command in _in_other_terminals():
            if command.line.startswith("export "):
                exports = [command.line]
                continue
            line = "; ".join([*exports, f"exec {command.line}"])
            process = subprocess.Popen(
                [*namespace.prefix(), "sh", "-c", line],
                cwd=ROOT,
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if " trace " in line:  # it runs in its terminal until Ctrl-C
                assert process.stderr is not None
                assert "tracing" in process.stderr.readline()
                running.append((command, process))
            else:
                _prints(command, process)
        for command, process in running:
            process.send_signal(signal.SIGINT)
            _prints(command, process)
        terminal.press_ctrl_c()
        assert terminal.status() == 0, terminal.screen()
        screen = terminal.screen()
        assert "Error" not in screen
        assert "warning" not in screen
        assert not re.search(r'"event"', screen), "the log's form is the console's"


def _prints(command: Command, process: "subprocess.Popen[str]") -> None:
    """A command ends well, and has printed what the README shows."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, f"{command.line}\n{out}{err}"
    assert alike(list(command.output), out.splitlines()), f"{command.line}\n{out}"


def _in_other_terminals() -> list[Command]:
    return [
        command
        for command in commands()
        if command.section == HURRY and command.line not in {"make run", *GET_IT, *NOT_RUN_HERE}
    ]


def _environment() -> dict[str, str]:
    """Ours, less what a make above this test has put there."""
    made = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "VENV", "CONFIG", "PYTESTFLAGS")
    return {name: value for name, value in os.environ.items() if name not in made}


class _Terminal:
    """A command at a terminal, where Ctrl-C can be pressed."""

    def __init__(self, namespace: Namespace, command: str) -> None:
        argv = [*namespace.prefix(), *command.split()]
        self._shown = bytearray()
        self._status: int | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(ROOT)
            os.execvpe(argv[0], argv, _environment())

    def read(self, seconds: float = 0.0) -> None:
        """Take in what was printed."""
        while select.select([self._fd], [], [], seconds)[0]:
            seconds = 0.0
            try:
                chunk = os.read(self._fd, 65536)
            except OSError:  # Linux says EIO when the other end has closed
                chunk = b""
            if not chunk:
                return
            self._shown += chunk

    def screen(self) -> str:
        """All that was printed so far."""
        self.read()
        return self._shown.decode(errors="replace")

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C."""
        os.write(self._fd, b"\x03")

    def status(self, timeout: float = 30.0) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        deadline = time.monotonic() + timeout
        while self._status is None and time.monotonic() < deadline:
            self.read(0.05)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        assert self._status is not None, f"still running after {timeout:g} s:\n{self.screen()}"
        return self._status

    def alive(self) -> bool:
        """Whether it still runs."""
        with suppress(AssertionError):
            self.status(0.01)
        return self._status is None

    def close(self) -> None:
        """End it if it hasn't ended."""
        if self._status is None:
            os.kill(self._pid, signal.SIGTERM)
            with suppress(AssertionError):
                self.status(10)
        os.close(self._fd)


@contextmanager
def _terminal(namespace: Namespace, command: str) -> Iterator[_Terminal]:
    terminal = _Terminal(namespace, command)
    try:
        yield terminal
    finally:
        terminal.close()


def _wait_for_port(namespace: Namespace, terminal: _Terminal) -> None:
    """Until somebody listens on UDP port 5060 there."""
    table = Path(f"/proc/{namespace.pid}/net/udp")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and terminal.alive():
        if f":{5060:04X} " in table.read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port 5060\n{terminal.screen()}")
