"""An honest client beside an attack, and what the daemon takes of memory meanwhile."""

import time
from pathlib import Path

from tests.service.client import Tcp, Udp, request
from tests.service.daemon import Daemon


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
