"""`chatredirect trace`, `status` and `log-level` as processes beside a daemon."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.daemon import PATIENCE, ROOT, command, eventually, run_command


@contextmanager
def control_socket() -> Iterator[str]:
    """A path for a control socket: a test's own folder may be too long for an address."""
    with tempfile.TemporaryDirectory(prefix="cr") as folder:
        yield f"{folder}/control"


class Looking:
    """A running `chatredirect trace`; what it prints goes into files."""

    def __init__(self, folder: Path, path: str, *options: str) -> None:
        number = len(list(folder.glob("trace*.out")))
        self._out, self._err = folder / f"trace{number}.out", folder / f"trace{number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command("trace", "--socket", path, *options),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        eventually(lambda: "tracing" in self.complaints or self.over, "the trace to begin")

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def complaints(self) -> str:
        """Its standard error so far."""
        return self._err.read_text(encoding="utf-8")

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The messages and decisions of `--json`, without its notices."""
        lines = [json.loads(line) for line in self.text.split("\n")[:-1]]
        return [each for each in lines if each["schema"] == "chatredirect/trace/1"]

    def seen(self, count: int) -> list[dict[str, Any]]:
        """Its lines, as soon as there are so many."""
        return eventually(
            lambda: self.lines if len(self.lines) >= count else None, f"{count} in {self.text}"
        )

    def shows(self, text: str) -> None:
        """Wait until something is printed."""
        eventually(lambda: text in self.text, f"{text!r} in\n{self.text}{self.complaints}")

    def end(self) -> int:
        """End it as Ctrl-C does, and give its exit status."""
        if not self.over:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def looking(folder: Path, path: str, *options: str) -> Iterator[Looking]:
    """A trace that has begun, ended afterwards."""
    trace = Looking(folder, path, *options)
    try:
        yield trace
    finally:
        trace.end()


def asked(*arguments: str, status: int = 0) -> str:
    """What a command prints, both streams; it ends with `status`."""
    done = run_command(*arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
