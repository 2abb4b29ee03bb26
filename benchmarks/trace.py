"""What the trace of one caller costs all the others: the same daemon, traced and not, in turns.

    python -m benchmarks.trace [--rounds 9] [--requests 50000] [--calls 2]

The load is of a caller who isn't looked for; beside it the one who is calls now and then, in both
turns. The figure is the CPU of the daemon while it is traced over that while it isn't, in the same
round. Exit status 1: an answer was wrong, too many were lost, the trace didn't show its caller's
calls, or the median is over `--max-ratio`. Exit status 2: nothing could be measured.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.load import CannotMeasureError, Load, build, run_load
from benchmarks.messages import POOL
from benchmarks.processes import Cores, choose_cores
from benchmarks.redirect import MAX_LOST, WARM_UP
from benchmarks.report import Row, Sample, environment, print_about, print_rows, summarize
from benchmarks.servers import daemon_configuration, endpoint_uri, running, versions
from benchmarks.turn import turn
from tests.ports import free_port

TRACED, OFF = "chatredirect, traced", "chatredirect"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    try:
        build("udp_load")
        about = environment() | versions(options.daemon) | {"cores": str(cores)}
        print_about(about)
        samples, shown = _measure(options, cores)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    rows = summarize(samples, {TRACED: OFF})
    print_rows(rows, {TRACED: OFF}, options.markdown)
    print(f"lines that the traces showed: {shown}")
    faults = list(judge(rows, options.max_ratio, options.rounds * options.requests))
    if not shown:
        faults.append("the traces showed nothing")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def judge(rows: Sequence[Row], most: float, requests: int) -> Iterator[str]:
    """What is not as it must be, a sentence each; `requests` is how many a row stands for."""
    for row in rows:
        if row.wrong:
            yield f"{row.server} gave {row.wrong} wrong answers"
        if row.lost > requests * MAX_LOST:
            yield f"{row.server} lost {row.lost} of {requests} requests"
        if row.server == TRACED and row.ratio and row.ratio.median > most:
            yield f"while another is traced a redirect costs {row.ratio.median:.3f} times as much"


def _measure(options: argparse.Namespace, cores: Cores) -> tuple[list[Sample], int]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-")))
        port, control = free_port(), folder / "control"
        config = folder / "daemon.yaml"
        text = daemon_configuration(port, 1, options.loop)
        config.write_text(f"{text}control: {{socket: {control}}}\n")
        command = [*options.daemon, "run", "--config", str(config)]
        server = stack.enter_context(running(OFF, command, folder, port, cores.server))
        stack.enter_context(_bob_calls(port, options.calls))
        run_load("udp", port, Load(WARM_UP, 1), cores.load)
        samples, shown = [], 0
        load = Load(options.requests, 1, options.outstanding, 1, 1)
        for number in range(options.rounds):
            turns = (TRACED, OFF) if number % 2 == 0 else (OFF, TRACED)
            for name in turns:
                if name == TRACED:
                    with _tracing(control) as lines:
                        samples.append(turn(server, number, load, cores, name=name))
                    shown += len(lines)
                else:
                    samples.append(turn(server, number, load, cores, name=name))
        samples.sort(key=lambda sample: (sample.server != TRACED, sample.round))
        return samples, shown


@contextmanager
def _bob_calls(port: int, a_second: float) -> Iterator[None]:
    """The caller who is looked for calls so many times a second."""
    stop = threading.Event()

    def call() -> None:
        number = 0
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.settimeout(1)
            while not stop.wait(1 / a_second):
                number += 1
                sock.sendto(_invite(number), ("127.0.0.1", port))
                sock.recv(65536)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _invite(number: int) -> bytes:
    uri = endpoint_uri(0)
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKb{number};rport\r\n"
        f"From: <sip:bob@contoso.com>;tag={number}\r\nTo: <{uri}>\r\n"
        f"Call-ID: bob-{number}\r\nCSeq: 1 INVITE\r\nSubject: {POOL}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


@contextmanager
def _tracing(control: Path) -> Iterator[list[bytes]]:
    """A trace of bob's calls; what it shows, a line for each thing."""
    lines: list[bytes] = []
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(str(control))
        sock.sendall(json.dumps({"command": "trace", "from": "bob@"}).encode() + b"\n")
        file = sock.makefile("rb")
        if b"begun" not in file.readline():
            raise CannotMeasureError("the daemon doesn't trace")

        def read() -> None:
            lines.extend(line for line in file if b'"octets"' in line)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield lines
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trace",
        description="CPU per redirect while another caller is traced, and while nobody is.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="turns each way")
    add("--requests", type=int, default=50_000, help="requests in a turn")
    add("--outstanding", type=int, default=64, help="unanswered requests at any time")
    add("--calls", type=float, default=2, help="calls a second of the caller who is traced")
    add("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="the daemon's loop")
    add("--max-ratio", type=float, default=1.05, help="fail when a trace costs more than this")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--markdown", action="store_true", help="print the table in Markdown")
    parser.set_defaults(daemon=[sys.executable, "-m", "chatredirect"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
