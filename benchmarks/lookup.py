"""What a lookup costs: INVITE/200/ACK, INFO/200, INFO/200, BYE/200.

    python -m benchmarks.lookup [--lookups 10000] [--rate 500] [--storm 3000] [--ceiling]

For UDP and TCP: lookups at a steady rate, none of which may be lost; the CPU that one takes at the
rate of a Monday-morning storm, 50,000 clients in five minutes, and what part of a core that storm
takes; with --ceiling the highest rate, found by steps of a quarter, at which none is lost; and the
memory of a dialog in the running daemon. Exit status 1: a lookup was lost or wrong, or the storm
takes a quarter of a core or more. Exit status 2: nothing could be measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.lookup_load import Clients
from benchmarks.messages import POOL
from benchmarks.processes import Cores, choose_cores, cpu_seconds, on_core
from benchmarks.report import environment
from benchmarks.servers import (
    IN_PYTHON,
    Server,
    endpoint_uri,
    free_port,
    has_codec,
    in_python,
    running,
    versions,
)

DAEMON = "chatredirect"
COMMAND = (sys.executable, "-m", "chatredirect")
STORM = 50_000 / 300
"""Lookups a second: 50,000 clients in five minutes."""
CORE = 0.25
"""The part of a core that the storm may take."""
HELD = 5000
"""Dialogs that are held to weigh them."""
STEP = 1.25


@dataclass(frozen=True)
class Sample:
    """One run of the load."""

    server: str
    transport: str
    rate: float
    lookups: int
    microseconds: float
    lost: int
    wrong: int
    longest: float
    late: float

    @property
    def clean(self) -> bool:
        """Whether none was lost and none was wrong."""
        return not self.lost and not self.wrong


def configuration(port: int) -> str:
    """A lookup endpoint, and a redirect whose answer shows that the daemon is ready."""
    return (
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}]\n"
        f"dns: {{hosts: {{{POOL}: [192.0.2.20]}}}}\n"
        "log: {requests: false}\n"
        "endpoints:\n"
        "  - sip_address: sip:ocschat@contoso.com\n"
        f"    pool_fqdn: {POOL}\n"
        "    mode: lookup\n"
        f"    channel_uris: [sip:gc-channel@{POOL}]\n"
        f"  - {{sip_address: '{endpoint_uri(0)}', pool_fqdn: {POOL}}}\n"
    )


@contextmanager
def daemon(directory: Path, core: int | None, name: str = DAEMON) -> Iterator[Server]:
    """A daemon with a lookup endpoint; that of the name `IN_PYTHON` has no compiled codec."""
    port = free_port()
    config = directory / f"{port}.yaml"
    config.write_text(configuration(port))
    command = [*COMMAND, "run", "--config", str(config)]
    if name == IN_PYTHON:
        command = in_python(command)
    with running(name, command, directory, port, core) as server:
        yield server


def measure(server: Server, transport: str, rate: float, lookups: int, cores: Cores) -> Sample:
    """Run the load once."""
    command = [sys.executable, "-m", "benchmarks.lookup_load", transport, str(server.port)]
    command += [str(rate), str(lookups)]
    before = cpu_seconds(server.pids)
    done = subprocess.run(on_core(cores.load, command), capture_output=True, text=True, check=False)
    used = cpu_seconds(server.pids) - before
    if done.returncode:
        raise CannotMeasureError(f"the load failed:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    if result["complaint"]:
        print(f"wrong: {result['complaint']}", file=sys.stderr)
    return Sample(
        server.name,
        transport,
        rate,
        lookups,
        used / lookups * 1e6,
        result["lost"],
        result["wrong"],
        result["longest"],
        result["late"],
    )


def memory_of_a_dialog(directory: Path, cores: Cores) -> float:
    """Octets by which the daemon's resident memory grows for each dialog that waits for its ACK."""
    with daemon(directory, cores.server) as server:
        clients = Clients("tcp", server.port, silent=True)
        for n in range(HELD // 10):  # what grows once, has grown then
            clients.invite(n)
        _until(clients, HELD // 10)
        before = _resident(server)
        for n in range(HELD // 10, HELD):
            clients.invite(n)
        _until(clients, HELD)
        grown = _resident(server) - before
        clients.sock.close()
    return grown / (HELD - HELD // 10)


def _until(clients: Clients, accepted: int) -> None:
    """Read until so many 200s have come, and answer nothing."""
    end = time.monotonic() + 60
    while clients.accepted < accepted:
        if time.monotonic() > end:
            raise CannotMeasureError(f"{clients.accepted} of {accepted} dialogs")
        clients.flush()
        clients.receive()
        time.sleep(0.001)


def _resident(server: Server) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.pids)
    return pages * 4096


def ceiling(server: Server, transport: str, cores: Cores, start: float) -> tuple[float, Sample]:
    """The highest rate at which nothing is lost and the load keeps its own time."""
    rate, best = start, None
    while True:
        sample = measure(server, transport, rate, int(rate * 4), cores)
        if not sample.clean or sample.longest > 1 or sample.late > 1:
            if best is None:
                raise CannotMeasureError(f"not even {rate:.0f} lookups a second over {transport}")
            return best.rate, best
        best, rate = sample, rate * STEP


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    samples: list[Sample] = []
    ceilings: dict[str, float] = {}
    try:
        about = environment() | versions(COMMAND) | {"cores": str(cores)}
        for name, value in about.items():
            print(f"{name + ':':14}{value}")
        names = [DAEMON, IN_PYTHON] if has_codec(about) else [DAEMON]
        with tempfile.TemporaryDirectory(prefix="chatredirect-") as name:
            directory = Path(name)
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(daemon(directory, cores.server, name)) for name in names
                ]
                for transport in ("udp", "tcp"):
                    for server in servers:
                        measure(server, transport, 200, 200, cores)  # warm up
                        steady = measure(server, transport, options.rate, options.lookups, cores)
                        storm = measure(server, transport, STORM, options.storm, cores)
                        samples += [steady, storm]
            if options.ceiling:
                for transport in ("udp", "tcp"):
                    with daemon(directory, cores.server) as server:
                        found = ceiling(server, transport, cores, options.rate)
                        ceilings[transport] = found[0]
            octets = memory_of_a_dialog(directory, cores)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    _print(samples, ceilings, octets)
    return _judge(samples, octets)


def _print(samples: Sequence[Sample], ceilings: dict[str, float], octets: float) -> None:
    print()
    print("| server | transport | lookups a second | lookups | CPU µs each | lost | longest ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for each in samples:
        print(
            f"| {each.server} | {each.transport.upper()} | {each.rate:.0f} | {each.lookups:,} "
            f"| {each.microseconds:.0f} | {each.lost + each.wrong} | {each.longest * 1000:.0f} |"
        )
    print()
    for each in samples[1::2]:
        part = each.microseconds * STORM / 1e6
        print(
            f"50,000 clients in five minutes over {each.transport.upper()}, {each.server}: "
            f"{part * 100:.1f} % of a core"
        )
    for transport, rate in ceilings.items():
        print(f"highest steady rate over {transport.upper()}: {rate:.0f} lookups a second")
    print(f"memory of a dialog: {octets:.0f} octets")


def _judge(samples: Sequence[Sample], octets: float) -> int:
    faults = [
        f"{each.lost + each.wrong} of {each.lookups} lookups lost over {each.transport}"
        for each in samples
        if not each.clean
    ]
    faults += [
        f"the storm takes {each.microseconds * STORM / 1e6:.2f} of a core over {each.transport}"
        for each in samples[1::2]
        if each.microseconds * STORM / 1e6 >= CORE
    ]
    if octets >= 4096:
        faults.append(f"a dialog takes {octets:.0f} octets")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a lookup costs.")
    parser.add_argument("--lookups", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500.0, help="lookups a second")
    parser.add_argument("--storm", type=int, default=3_000, help="lookups at the storm's rate")
    parser.add_argument("--ceiling", action="store_true", help="find the highest steady rate")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="let the kernel choose")
    return parser


if __name__ == "__main__":
    sys.exit(main())
