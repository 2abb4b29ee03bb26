"""Runs a command at a terminal, and gives what its screen got."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0


def at_a_terminal(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    until: str = "",
    then: Callable[[], object] = lambda: None,
) -> str:
    """The octets that `chatredirect ARGUMENTS` sends to its terminal.

    Args:
        until: a text after which `then` is called, once.
        then: what is done meanwhile; the command has to end by itself.
    """
    controller, terminal = pty.openpty()
    unset = ("NO_COLOR", "TERM", "COLUMNS")
    base = {name: value for name, value in os.environ.items() if name not in unset}
    with subprocess.Popen(
        [sys.executable, "-m", "chatredirect", *arguments],
        cwd=ROOT,
        env={**base, "TERM": "xterm", **(environ or {})},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = bytearray()
        ends = time.monotonic() + _PATIENCE
        waits = bool(until)
        while time.monotonic() < ends:
            if select.select([controller], [], [], 0.1)[0]:
                try:
                    chunk = os.read(controller, 65536)
                except OSError:  # EIO: the command has ended
                    break
                shown += chunk
            if waits and until.encode() in shown:
                waits = False
                then()
        os.close(controller)
        process.kill()
    return shown.decode()
