"""What a redirect costs: CPU per INVITE and 302, the daemon and Kamailio in turns.

    python -m benchmarks.redirect [--transport udp|tcp|all] [--rounds 5] [--requests 100000]

Both servers run side by side for the whole time and get the same load one after the other, round
by round, so that the machine's moods meet both. The figure is the ratio of their CPU times in a
round; only that is judged. Exit status 1: an answer was wrong, more than one in a thousand was
lost, or the ratio is over its limit. Exit status 2: nothing could be measured.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import CannotMeasureError, Load, build, run_load
from benchmarks.processes import Cores, choose_cores
from benchmarks.report import (
    Row,
    Sample,
    as_json,
    environment,
    print_about,
    print_rows,
    summarize,
)
from benchmarks.servers import IN_PYTHON, daemon, has_codec, in_python, kamailio, versions
from benchmarks.turn import turn

DAEMON, PEER = "chatredirect", "kamailio"
LEDGER = "chatredirect, ledger on"
MAX_LOST = 1 / 1000
WARM_UP = 5_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    transports = ["udp", "tcp"] if options.transport == "all" else [options.transport]
    cores = choose_cores(options.pin)
    try:
        for transport in transports:
            build(f"{transport}_load")
        about = environment() | versions(options.daemon) | {"cores": str(cores)}
        print_about(about)
        compiled = has_codec(about)
        samples, baseline = _measure(options, transports, cores, compiled)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    rows = summarize(samples, baseline)
    print_rows(rows, baseline, options.markdown)
    if options.json:
        options.json.write_text(json.dumps(as_json(rows, samples, about), indent=2) + "\n")
    limits = {
        ("udp", DAEMON): options.max_ratio if compiled else options.max_python_ratio,
        ("tcp", DAEMON): options.max_tcp_ratio if compiled else None,
        ("udp", IN_PYTHON): options.max_python_ratio,
        ("udp", LEDGER): options.max_ledger_ratio if compiled else None,
    }
    limits |= {
        (transport, _many(options.endpoints)): options.max_endpoints_ratio
        for transport in transports
    }
    faults = judge(rows, limits, options.rounds * options.requests)
    if compiled:  # with the ledger, too, it costs at most what the peer does
        beside = [row for row in summarize(samples, {LEDGER: PEER}) if row.server == LEDGER]
        for row in beside:
            if row.ratio:
                print(f"{LEDGER}, {row.transport.upper()}: {row.ratio:.2f} of {PEER}")
        limits = {("udp", LEDGER): options.max_ratio}
        faults += [f"{each} (of {PEER})" for each in judge(beside, limits, sys.maxsize)]
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def judge(
    rows: Sequence[Row], limits: dict[tuple[str, str], float | None], requests: int
) -> list[str]:
    """What is not as it must be, a sentence each.

    `limits` are the highest median ratios allowed, by transport and server (None: no limit);
    `requests` is how many each row stands for.
    """
    faults = []
    for row in rows:
        who = f"{row.server} over {row.transport.upper()}"
        if row.wrong:
            faults.append(f"{who} gave {row.wrong} wrong answers")
        if row.lost > requests * MAX_LOST:
            faults.append(f"{who} lost {row.lost} of {requests} requests")
        limit = limits.get((row.transport, row.server))
        if row.ratio and limit and row.ratio.median > limit:
            faults.append(f"{who}: ratio {row.ratio.median:.2f} is over {limit}")
    return faults


def _measure(
    options: argparse.Namespace, transports: Sequence[str], cores: Cores, compiled: bool
) -> tuple[list[Sample], dict[str, str]]:
    """All samples, and for each server's name the one that it is compared with."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-")))
        common = {"loop": options.loop, "command": options.daemon, "core": cores.server}
        contenders = [(stack.enter_context(daemon(directory, DAEMON, **common)), 1)]
        if options.peer:
            contenders.append((stack.enter_context(kamailio(directory, PEER, cores.server)), 1))
        baseline = {DAEMON: PEER}
        if compiled:
            common["command"] = in_python(options.daemon)
            contenders.append((stack.enter_context(daemon(directory, IN_PYTHON, **common)), 1))
            common["command"] = options.daemon
            baseline[IN_PYTHON] = PEER
        if options.ledger:
            file = directory / "usage.db"
            kept = stack.enter_context(daemon(directory, LEDGER, ledger=file, **common))
            contenders.append((kept, 1))
            baseline[LEDGER] = DAEMON
        if options.endpoints > 1:
            name = _many(options.endpoints)
            many = daemon(directory, name, endpoints=options.endpoints, **common)
            contenders.append((stack.enter_context(many), options.endpoints))
            baseline[name] = DAEMON
        samples = []
        for transport in transports:
            for server, endpoints in contenders:
                run_load(transport, server.port, Load(WARM_UP, endpoints), cores.load)
            for number in range(options.rounds):
                # Every other round backwards, so that nobody always comes first.
                turns = contenders if number % 2 == 0 else contenders[::-1]
                for server, endpoints in turns:
                    load = Load(
                        options.requests,
                        endpoints,
                        options.outstanding,
                        options.connections,
                        options.depth,
                    )
                    samples.append(turn(server, number, load, cores, transport=transport))
        samples.sort(key=lambda sample: (transports.index(sample.transport), sample.round))
        return samples, baseline


def _many(endpoints: int) -> str:
    return f"{DAEMON}, {endpoints:,} endpoints"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.redirect",
        description="CPU per redirect, the daemon and Kamailio in turns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--transport", choices=("udp", "tcp", "all"), default="all", help="what to measure")
    add("--rounds", type=int, default=5, help="turns that each server gets")
    add("--requests", type=int, default=100_000, help="requests in a turn")
    add("--outstanding", type=int, default=64, help="unanswered requests at any time (UDP)")
    add("--connections", type=int, default=16, help="persistent connections (TCP)")
    add("--depth", type=int, default=8, help="unanswered requests on each connection (TCP)")
    add("--endpoints", type=int, default=1, help="measure a daemon with so many endpoints, too")
    add("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="the daemon's loop")
    add("--max-ratio", type=float, default=1.0, help="fail when the UDP ratio is over this")
    add("--max-tcp-ratio", type=float, default=0.75, help="fail when the TCP ratio is over this")
    add("--max-python-ratio", type=float, default=2.0, help="UDP, without the compiled codec")
    add("--max-ledger-ratio", type=float, default=1.15, help="UDP, of the ledger off")
    add(
        "--max-endpoints-ratio",
        type=float,
        default=1.25,
        help="fail when many endpoints cost more than this times one",
    )
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--no-peer", dest="peer", action="store_false", help="leave Kamailio out")
    add("--no-ledger", dest="ledger", action="store_false", help="leave the ledger of uses out")
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    add(
        "--daemon",
        type=shlex.split,
        default=[sys.executable, "-m", "chatredirect"],
        metavar="COMMAND",
        help="the daemon to measure",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
