"""The load programs: built from load/*.c when they are missing or out of date, and run.

This module opens the sockets and hands them down, so that the programs are left with their one
task: to send and to check fast enough that the server is what is measured.
"""

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.messages import redirect_exchange
from benchmarks.processes import on_core

SOURCES = Path(__file__).parent / "load"
BUILD = Path(__file__).parent.parent / ".cache" / "bench"
_SHARED = ("template.c", "tally.c")


class CannotMeasureError(Exception):
    """Something that a benchmark needs is missing or does not work; the text says what."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of one run of a load program."""

    requests: int
    answered: int
    wrong: int
    lost: int
    seconds: float
    complaint: str
    """The first wrong answer, as the program showed it."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much to send, and how."""

    requests: int
    endpoints: int = 1
    outstanding: int = 64
    """UDP: requests without an answer at any time."""
    connections: int = 16
    depth: int = 8
    """TCP: requests without an answer at any time, on each connection."""


def build(program: str) -> Path:
    """The path of `program` (``udp_load``, ``tcp_load``), compiled if need be.

    Raises CannotMeasureError when there is no C compiler or it refuses.
    """
    target = BUILD / program
    sources = [SOURCES / f"{program}.c", *(SOURCES / name for name in _SHARED)]
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if target.exists() and target.stat().st_mtime > newest:
        return target
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotMeasureError(
            "no C compiler (cc) for the load program: install gcc and libc6-dev"
        )
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-Wall", "-o", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasureError(f"{' '.join(command)} failed:\n{done.stderr}")
    return target


def run_load(transport: str, port: int, load: Load, core: int | None = None) -> LoadResult:
    """Load the server on 127.0.0.1:`port` and return the account.

    `transport` is ``udp`` or ``tcp``; `core` is where the load program runs. Raises
    CannotMeasureError when the program gives up.
    """
    program = build(f"{transport}_load")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        count = 1 if transport == "udp" else load.connections
        sockets = [stack.enter_context(_connected(transport, port)) for _ in range(count)]
        # Over TCP all connections share one sent-by: the answer comes back by the connection.
        exchange = redirect_exchange(transport, f"127.0.0.1:{sockets[0].getsockname()[1]}")
        request, expected = directory / "request", directory / "expected"
        request.write_bytes(exchange.request)
        expected.write_bytes(exchange.expected)
        files = [str(request), str(expected)]
        amount = [str(load.requests), str(load.endpoints)]
        fds = [sock.fileno() for sock in sockets]
        if transport == "udp":
            arguments = [str(fds[0]), *files, *amount, str(load.outstanding)]
        else:
            arguments = [*files, *amount, str(load.depth), *map(str, fds)]
        return _run([*on_core(core, [str(program)]), *arguments], fds)


def _connected(transport: str, port: int) -> socket.socket:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_INET, kind)
    if transport == "udp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", port))
    if transport == "tcp":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
    return sock


def _run(command: Sequence[str], fds: list[int]) -> LoadResult:
    done = subprocess.run(command, capture_output=True, pass_fds=fds, check=False)
    complaint = done.stderr.decode(errors="backslashreplace").strip()
    if done.returncode:
        raise CannotMeasureError(f"the load program gave up: {complaint}")
    account = json.loads(done.stdout)
    return LoadResult(**account, complaint=complaint)
