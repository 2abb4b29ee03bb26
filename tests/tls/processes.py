"""Programs that tests talk to, on free ports of loopback, ended whatever the test does."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
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


def sipp(
    to: tuple[str, int], folder: Path, scenario: Path, *arguments: str, calls: int, rate: int = 200
) -> "subprocess.CompletedProcess[str]":
    """SIPp as a client, until its calls are over; its exit status is 0 if none has failed."""
    return subprocess.run(
        [
            *(program("sipp"), f"{to[0]}:{to[1]}", "-sf", str(scenario), "-i", "127.0.0.1"),
            *("-p", str(free_port()), "-m", str(calls), "-r", str(rate), "-l", "200", "-nostdin"),
            *("-timeout", "60s", "-timeout_error", "-trace_err", "-error_file", "errors.log"),
            *arguments,
        ],
        cwd=folder,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE + 60,
        check=False,
    )


def errors(folder: Path) -> str:
    """What SIPp had to complain of."""
    file = folder / "errors.log"
    return file.read_text(errors="replace")[-3000:] if file.exists() else ""
