"""tests/ports.py keeps its promise: no port twice, not to another process either."""

import socket
import subprocess
import sys

import pytest

from tests.installed.readme import ROOT
from tests.ports import free_port

ASK = "from tests.ports import free_port; print(*(free_port() for _ in range(150)))"


def test_no_port_twice() -> None:
    """Two processes that begin at one number, as process ids that are 100 apart may, share none."""
    others = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os; os.getpid = lambda: 7; {ASK}; input()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    given = []
    for other in others:
        assert other.stdout is not None
        given += other.stdout.readline().split()
    for other in others:
        other.communicate("\n", timeout=30)
        assert other.returncode == 0
    assert len(given) == len(set(given)) == 300


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_left_alone(kind: socket.SocketKind) -> None:
    """A number that somebody else has, on any address, isn't given."""
    with socket.socket(socket.AF_INET, kind) as taken:
        port = free_port() + 1
        taken.bind(("127.0.0.3", port))
        assert free_port() != port
