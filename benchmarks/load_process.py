"""A load in a process and on a core of its own: a line of JSON for a task, one for its account."""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.load import CannotMeasureError
from benchmarks.processes import on_core


class LoadProcess:
    """The process, and the pipes to and from it."""

    def __init__(self, core: int | None, module: str, arguments: Sequence[str] = ()) -> None:
        """Start it.

        Args:
            core: where; None to leave that to the kernel.
            module: what it runs.
            arguments: its arguments.
        """
        self._process = subprocess.Popen(
            on_core(core, [sys.executable, "-m", module, *arguments]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def write(self, line: str) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> str:
        """Wait for a line of its. Raises CannotMeasureError where there is none any more."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise CannotMeasureError("the load process gave up; see above")
        return line
