"""Programs that tests talk to, on free ports of loopback, ended whatever the test does."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.service.daemon import PATIENCE


def program(name: str) -> str:
    """The path of a program; skips the test where it isn't installed."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if found is None:
        pytest.skip(f"{name} isn't installed")
    return found


@contextmanager
def running(
    arguments: Sequence[str | Path], folder: Path, port: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, once its TCP port on 127.0.0.1 is open; its output is shown if it never is."""
    log_file = folder / f"{Path(arguments[0]).name}{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                said = log_file.read_text(errors="replace")
                assert process.poll() is None, said[-3000:]
                assert time.monotonic() < end, said[-3000:]
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
