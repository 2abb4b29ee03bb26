"""Floods: an honest client beside them is served (docs/security.md, "Bounds").

The loads are those of `benchmarks.fairness`. What the honest client waits is set against an
undisturbed run with the same daemon, and against what the machine itself was late by meanwhile.
Each flood has a daemon of its own, so that what an earlier one took of memory hides nothing.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import fairness
from tests.attack.beside import NO_STALL, RATIO, TRIES, peak, waits
from tests.attack.extent import LONG, extent
from tests.service.client import request
from tests.service.fixtures import Run

GROWTH = 2.5  # a hundred connections and their buffers are no growth without end
PATIENCE = 5.0
IN_SHORT = [("tcp/response", 1), ("tcp/request", 1), ("udp/request", 1)]
MANY = 100  # connections, whose senders need the cores for themselves: `make attack` alone
Record = Callable[[str, object], None]
CASES = [
    (loop, kind, connections)
    for loop in ("auto", "asyncio")
    for kind, connections in fairness.FLOODS
    if LONG or (connections < MANY and (loop == "auto" or (kind, connections) in IN_SHORT))
]


@pytest.fixture(scope="module")
def echoing() -> Iterator[int]:
    with fairness.echo() as port:
        yield port


@pytest.mark.parametrize(("loop", "kind", "connections"), CASES)
def test_a_flood(
    run_daemon: Run,
    tmp_path: Path,
    record_property: Record,
    echoing: int,
    loop: str,
    kind: str,
    connections: int,
) -> None:
    """Nobody waits for who floods, whatever comes over whatever; no memory grows."""
    seconds = extent(1, 8)
    with fairness.bench(tmp_path, loop) as bench:
        daemon = run_daemon(bench.config)
        _, *undisturbed = fairness.beside(bench, "nobody", 0, echoing, seconds)
        usual = max(each.longest for each in undisturbed)
        half_floor, longest_floor = NO_STALL[connections]
        most_half = max(half_floor, RATIO * max(each.at(0.5) for each in undisturbed))
        before = peak(daemon)
        for _ in range(TRIES):
            machine, udp, tcp = fairness.beside(
                bench, kind, connections, echoing, seconds, PATIENCE
            )
            # a datagram that the kernel drops of a full buffer was made to wait by nobody here
            beside = [tcp] if kind.startswith("udp/") else [udp, tcp]
            longest = max(each.longest for each in beside)
            half = max(each.at(0.5) for each in beside)
            most = max(longest_floor, RATIO * max(usual, machine.longest))
            if longest < most and half < most_half:
                break
        growth = peak(daemon) / before
        daemon.stop()
    record_property("figure p50, longest wait", f"{half * 1000:.1f}, {longest * 1000:.0f} ms")
    record_property("figure the machine's own", f"{machine.longest * 1000:.0f} ms")
    record_property("figure memory", f"{growth:.2f} times")
    assert longest < most
    assert half < most_half
    assert growth < GROWTH


def test_vias_with_many_parameters(run_daemon: Run, record_property: Record) -> None:
    """A datagram whose Via is over `limits.header_line` is not taken apart (docs/answers.md)."""
    daemon = run_daemon(trusted_peers=[], log={"requests": False})
    undisturbed = waits(daemon, 40)
    most = max(NO_STALL[1][1], RATIO * undisturbed[-1])
    via = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1" + ";rport" * 10_600
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
        for _ in range(TRIES):
            seconds = waits(daemon, extent(40, 500))
            if seconds[-1] < most:
                break
    finally:
        ended.set()
        sender.join()
    record_property("figure p50, longest wait", f"{median(seconds)}, {seconds[-1] * 1000:.0f} ms")
    assert seconds[-1] < most


def median(seconds: list[float]) -> str:
    return f"{seconds[len(seconds) // 2] * 1000:.1f} ms"
