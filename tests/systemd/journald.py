"""A real journald of a test's own: in a mount namespace, where /run is empty. Needs root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.daemon import PATIENCE, eventually

_JOURNALD = "/lib/systemd/systemd-journald"
_BEGIN = f"mount -t tmpfs tmpfs /run && mkdir -p /run/log/journal && exec {_JOURNALD}"


@dataclass(frozen=True, slots=True)
class Journald:
    """It runs as process `pid`; `prefix` comes before a command that is to see it."""

    pid: int

    @property
    def prefix(self) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--mount", f"--wdns={os.getcwd()}", "--"]

    def run(self, *command: str, **environ: str) -> str:
        """Run a command beside it; its output. It must succeed."""
        done = subprocess.run(
            [*self.prefix, *command],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def journald() -> Iterator[Journald]:
    """Start one; skip the test where that can't be done."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a journald of its own")
    for tool in ("unshare", "nsenter", "journalctl", _JOURNALD):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BEGIN],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        socket = Path(f"/proc/{process.pid}/root/run/systemd/journal/socket")
        eventually(lambda: socket.exists() or process.poll() is not None, "journald")
        if process.poll() is not None:
            pytest.skip(f"no journald in a namespace here: exit status {process.returncode}")
        yield Journald(process.pid)
    finally:
        process.kill()
        process.wait()
