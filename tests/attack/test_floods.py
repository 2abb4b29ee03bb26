"""Floods by a stranger: an honest client beside them is served (docs/security.md, "A stranger")."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.attack.beside import peak, waits
from tests.attack.extent import extent
from tests.service.client import request
from tests.service.daemon import Daemon
from tests.service.fixtures import Run

STALL = 1.0  # seconds; undisturbed it is a thousandth, and many testers may share a machine
GROWTH = 3.0  # a hundred connections and their buffers are no growth without end
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon(trusted_peers=[], log={"requests": False})


@contextlib.contextmanager
def flood(daemon: Daemon, kind: str, connections: int) -> Iterator[None]:
    """Somebody sends as fast as he can, from a process of his own."""
    host, port = daemon.address(kind.partition("/")[0])
    arguments = [kind, host, str(port), str(connections), "120"]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fairness_load", *arguments])
    try:
        time.sleep(0.7)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("connections", [1, 100])
@pytest.mark.parametrize("kind", ["response", "keep-alive", "ack", "long ack", "request"])
def test_a_flood_over_tcp(
    daemon: Daemon, record_property: Record, kind: str, connections: int
) -> None:
    """Nobody waits for the flooding connections, and they make no memory grow."""
    waits(daemon, 20)
    before = peak(daemon)
    with flood(daemon, f"tcp/{kind}", connections):
        seconds = waits(daemon, extent(40, 500))
    growth = peak(daemon) / before
    record_property("figure p50, longest wait", f"{median(seconds)}, {seconds[-1] * 1000:.0f} ms")
    record_property("figure memory", f"{growth:.2f} times")
    assert seconds[-1] < STALL
    assert growth < GROWTH


def test_vias_with_many_parameters(daemon: Daemon, record_property: Record) -> None:
    """A datagram whose Via is over `limits.header_line` is not taken apart (docs/answers.md)."""
    via = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1" + ";a=1" * 15_900
    data = request(via=via)
    ended = threading.Event()

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            while not ended.wait(1 / 300):
                sock.sendto(data, daemon.address("udp"))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        time.sleep(0.5)
        seconds = waits(daemon, extent(40, 500))
    finally:
        ended.set()
        sender.join()
    record_property("figure p50, longest wait", f"{median(seconds)}, {seconds[-1] * 1000:.0f} ms")
    assert seconds[-1] < STALL


def median(seconds: list[float]) -> str:
    return f"{seconds[len(seconds) // 2] * 1000:.1f} ms"
