"""What metrics cost a redirect: a daemon that is scraped every second, one without, and Kamailio.

    python -m benchmarks.metrics [--rounds 9] [--requests 50000] [--scrape 1.0]

All run side by side for the whole time and get the same load one after the other, round by round.
The figure is the CPU of the daemon that is scraped, the scrapes included, over that of the one
without HTTP, in the same round. Exit status 1: an answer was wrong, too many were lost, or the
median is over `--max-ratio`. Exit status 2: nothing could be measured.

Prometheus scrapes every fifteen seconds or so; once a second is what this daemon gives at most.
"""

import argparse
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import CannotMeasureError, Load, LoadResult, build, run_load
from benchmarks.processes import Cores, choose_cores, cpu_seconds
from benchmarks.redirect import MAX_LOST, WARM_UP
from benchmarks.report import Row, Sample, environment, print_rows, summarize
from benchmarks.servers import Server, daemon, kamailio, versions
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
        for name, value in about.items():
            print(f"{name + ':':14}{value}")
        samples, scrapes = _measure(options, cores)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    rows = summarize(samples, BASELINE)
    print_rows(rows, BASELINE, options.markdown)
    print(f"scrapes: {scrapes}")
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


def _measure(options: argparse.Namespace, cores: Cores) -> tuple[list[Sample], int]:
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
        samples, scrapes = [], 0
        for server in contenders:
            run_load("udp", server.port, Load(WARM_UP, 1), cores.load)
        load = Load(options.requests, 1, options.outstanding, 1, 1)
        for number in range(options.rounds):
            for server in contenders if number % 2 == 0 else contenders[::-1]:
                before = cpu_seconds(server.pids)
                if server.name == SCRAPED:
                    with _scraping(http, options.scrape) as done:
                        result = run_load("udp", server.port, load, cores.load)
                    scrapes += len(done)
                else:
                    result = run_load("udp", server.port, load, cores.load)
                samples.append(_sample(server, number, load, before, result))
        samples.sort(key=lambda sample: sample.round)
        return samples, scrapes


def _sample(server: Server, number: int, load: Load, before: float, result: LoadResult) -> Sample:
    return Sample(
        "udp",
        server.name,
        number,
        microseconds=(cpu_seconds(server.pids) - before) / load.requests * 1e6,
        per_second=result.answered / result.seconds,
        lost=result.lost,
        wrong=result.wrong,
    )


@contextmanager
def _scraping(port: int, interval: float) -> Iterator[list[int]]:
    """Ask for the metrics at once and then every so many seconds; the sizes of what came."""
    sizes: list[int] = []
    stop = threading.Event()

    def scrape() -> None:
        while not stop.is_set():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                sizes.append(len(answer.read()))
            stop.wait(interval)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metrics",
        description="CPU per redirect: a daemon that is scraped, one that isn't, and Kamailio.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="turns that each server gets")
    add("--requests", type=int, default=50_000, help="requests in a turn")
    add("--outstanding", type=int, default=64, help="unanswered requests at any time")
    add("--scrape", type=float, default=1.0, help="seconds between two scrapes")
    add("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="the daemon's loop")
    add("--max-ratio", type=float, default=1.05, help="fail when metrics cost more than this")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--no-peer", dest="peer", action="store_false", help="leave Kamailio out")
    add("--markdown", action="store_true", help="print the table in Markdown")
    parser.set_defaults(daemon=[sys.executable, "-m", "chatredirect"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
