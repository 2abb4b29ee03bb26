"""An honest client beside an attack, and what the daemon takes of memory meanwhile."""

import time
from pathlib import Path

from tests.service.client import Tcp, Udp, request
from tests.service.daemon import Daemon

RATIO = 20
"""How many times longer than undisturbed a wait may be."""

TRIES = 3
"""What an attack makes others wait is there each time; what stops the daemon alone once, isn't."""

#: Seconds that are no stall on a busy machine, for half of the answers and for the longest, by how
#: many connections flood. Without bounds it was 0.3 and 1.4 beside one, and over 15 beside more.
NO_STALL = {1: (0.1, 0.5), 8: (0.5, 1.0), 100: (0.5, 1.0)}


def waits(daemon: Daemon, requests: int, transport: str = "tcp") -> list[float]:
    """Seconds that an honest client waits for each of its answers, shortest first."""
    kind = Tcp if transport == "tcp" else Udp
    client = kind(daemon.address(transport))
    seconds = []
    try:
        for _ in range(requests):
            begun = time.monotonic()
            client.send(request())
            assert client.receive().status == 302
            seconds.append(time.monotonic() - begun)
            time.sleep(0.01)
    finally:
        client.close()
    return sorted(seconds)


def peak(daemon: Daemon) -> int:
    """The most memory that the daemon has had so far, in KB (proc(5), VmHWM)."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1])
