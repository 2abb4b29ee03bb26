"""What requests notice of a reload with many endpoints.

    python -m benchmarks.reload [--endpoints 100000] [--pools 100] [--rate 1000] [--reloads 2]

A daemon with so many endpoints is reloaded with as many, half of them other ones, while another
process sends it requests at a steady rate and notes how long each answer takes. The same process
sends as many to a program that only echoes: what both are late by is the machine's doing. Exit
status 1: a request was lost, or waited for more than 50 ms when the echo didn't, or a reload
failed. Exit status 2: nothing could be measured, the echo having been as late.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.messages import POOL, endpoint_uri
from benchmarks.report import environment, print_about
from benchmarks.servers import free_port, running

LONGEST = 0.050
"""Seconds that a request may wait."""
QUIET = 3.0
"""Seconds before the first reload, to know what is usual."""


@dataclass
class Sample:
    """Requests of one kind in one phase.

    Attributes:
        seconds: how long each answer took.
        lost: how many had none.
    """

    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(self.seconds, default=0.0)

    def at(self, part: float) -> float:
        """The time that a part of the answers took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    print_about(environment())
    try:
        with tempfile.TemporaryDirectory(prefix="chatredirect-reload-") as name:
            samples, reloads = _measure(Path(name), options)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    shown = ", ".join(f"{end - begin:.1f} s" for begin, end in reloads)
    print(f"{'reloads:':14}{options.endpoints} endpoints, {options.pools} pools: {shown}\n")
    print(f"{'':32}{'answers':>9}{'lost':>6}{'p50':>9}{'p99':>9}{'longest':>9}   (ms)")
    for (phase, kind), sample in sorted(samples.items()):
        times = (sample.at(0.5), sample.at(0.99), sample.longest)
        figures = "".join(f"{each * 1e3:9.2f}" for each in times)
        print(f"{phase + ', ' + kind:32}{len(sample.seconds):9}{sample.lost:6}{figures}")
    during, still = samples["reload", "server"], samples["reload", "reference"]
    if during.lost:
        print(f"FAILED: {during.lost} requests got no answer", file=sys.stderr)
        return 1
    if during.longest > LONGEST:
        if still.longest > LONGEST / 2:
            print("cannot measure: the echo was late as well", file=sys.stderr)
            return 2
        print(f"FAILED: a request waited for {during.longest * 1e3:.1f} ms", file=sys.stderr)
        return 1
    return 0


def _measure(
    folder: Path, options: argparse.Namespace
) -> tuple[dict[tuple[str, str], Sample], list[tuple[float, float]]]:
    """Answer times by phase and kind; when each reload began and ended."""
    port = free_port()
    config = folder / "chatredirect.yaml"
    config.write_text(_configuration(folder, port, options, 0))
    command = [sys.executable, "-m", "chatredirect", "run", "--config", str(config)]
    with running("chatredirect", command, folder, port, None), _echo() as reference:
        load = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.reload_load"),
                *(str(port), str(reference), str(2 * options.rate)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with load:
            time.sleep(QUIET)
            reloads = []
            for number in range(1, options.reloads + 1):
                config.write_text(_configuration(folder, port, options, number))
                begin = time.time()
                _reload(config)
                reloads.append((begin, time.time()))
                time.sleep(1)
            text, _ = load.communicate()
    samples: dict[tuple[str, str], Sample] = {}
    for line in text.splitlines():
        sent, took, kind = json.loads(line)
        within = any(begin <= sent <= end for begin, end in reloads)
        sample = samples.setdefault(("reload" if within else "otherwise", kind), Sample())
        if took is None:
            sample.lost += 1
        else:
            sample.seconds.append(took)
    if ("reload", "server") not in samples:
        raise CannotMeasureError("no request was sent during a reload")
    return samples, reloads


def _configuration(folder: Path, port: int, options: argparse.Namespace, number: int) -> str:
    """Endpoint 0, which the load asks for, and others, half of which the next one hasn't."""
    first = 1 + number * options.endpoints // 2
    pools = max(1, options.pools)
    lines = [
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}]",
        f"control: {{socket: {folder}/control}}",
        "log: {requests: false}",
        f"dns: {{hosts: {{{POOL}: [192.0.2.20]}}, nameservers: ['127.0.0.1:1']}}",
        "endpoints:",
        f"- {{sip_address: '{endpoint_uri(0)}', pool_fqdn: {POOL}, port: 5061, transport: tls}}",
    ]
    lines += [
        f"- {{sip_address: '{endpoint_uri(i)}', pool_fqdn: pool{i % pools}.contoso.com, "
        "port: 5061, transport: tls}"
        for i in range(first, first + options.endpoints - 1)
    ]
    return "\n".join(lines) + "\n"


def _reload(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatredirect", "reload", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotMeasureError(f"the reload was refused:\n{done.stderr[-2000:]}")


@contextmanager
def _echo() -> Iterator[int]:
    """A program that sends back what it gets; its port."""
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4194304)\n"
        "s.bind(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    data, peer = s.recvfrom(4096)\n"
        "    s.sendto(data, peer)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reload", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--pools", type=int, default=100, help="that the endpoints share")
    parser.add_argument("--rate", type=int, default=1000, help="requests a second")
    parser.add_argument("--reloads", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
