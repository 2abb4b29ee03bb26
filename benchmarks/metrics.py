"""What metrics cost a redirect: a daemon that is scraped, one without HTTP, and Kamailio.

    python -m benchmarks.metrics [--rounds 15] [--requests 50000]

All run side by side for the whole time and get the same load one after the other, round by round.
The figure is the CPU of the daemon that is scraped, the scrapes included, over that of the one
without HTTP, in the same round. Exit status 1: an answer was wrong, too many were lost, or the
median is over `--max-ratio`. Exit status 2: nothing could be measured.

There is one scrape in a turn, which is about a second's requests. Prometheus scrapes every fifteen
seconds or so; once a second is what this daemon gives at most.
"""

import argparse
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import CannotMeasureError, Load, build, run_load
from benchmarks.processes import Cores, choose_cores
from benchmarks.redirect import MAX_LOST, WARM_UP
from benchmarks.report import Row, Sample, environment, print_about, print_rows, summarize
from benchmarks.servers import daemon, kamailio, versions
from benchmarks.turn import turn
from tests.ports import free_port

SCRAPED, OFF, PEER = "chatredirect, scraped", "chatredirect", "kamailio"
BASELINE = {SCRAPED: OFF, OFF: PEER}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    try:
        build("udp_load")
        about = environment() | versions(options.daemon) | {"cores": str(cores)}
        print_about(about)
        samples = _measure(options, cores)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    rows = summarize(samples, BASELINE)
    print_rows(rows, BASELINE, options.markdown)
    faults = list(judge(rows, options.max_ratio, options.rounds * options.requests))
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
        if row.server == SCRAPED and row.ratio and row.ratio.median > most:
            yield f"with metrics a redirect costs {row.ratio.median:.3f} times as much"


def _measure(options: argparse.Namespace, cores: Cores) -> list[Sample]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-")))
        http = free_port()
        common = {"loop": options.loop, "command": options.daemon, "core": cores.server}
        contenders = [
            stack.enter_context(daemon(folder, SCRAPED, http=http, **common)),
            stack.enter_context(daemon(folder, OFF, **common)),
        ]
        if options.peer:
            contenders.append(stack.enter_context(kamailio(folder, PEER, cores.server)))
        samples: list[Sample] = []
        for server in contenders:
            run_load("udp", server.port, Load(WARM_UP, 1), cores.load)
        load = Load(options.requests, 1, options.outstanding, 1, 1)
        for number in range(options.rounds):
            for server in contenders if number % 2 == 0 else contenders[::-1]:
                beside = _scrape(http) if server.name == SCRAPED else None
                samples.append(turn(server, number, load, cores, beside=beside))
        samples.sort(key=lambda sample: sample.round)
        return samples


@contextmanager
def _scrape(port: int) -> Iterator[None]:
    """Ask for the metrics once, while requests come."""

    def scrape() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            answer.read()

    timer = threading.Timer(0.2, scrape)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metrics",
        description="CPU per redirect: a daemon that is scraped, one that isn't, and Kamailio.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=15, help="turns that each server gets")
    add("--requests", type=int, default=50_000, help="requests in a turn")
    add("--outstanding", type=int, default=64, help="unanswered requests at any time")
    add("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="the daemon's loop")
    add("--max-ratio", type=float, default=1.05, help="fail when metrics cost more than this")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--no-peer", dest="peer", action="store_false", help="leave Kamailio out")
    add("--markdown", action="store_true", help="print the table in Markdown")
    parser.set_defaults(daemon=[sys.executable, "-m", "chatredirect"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
