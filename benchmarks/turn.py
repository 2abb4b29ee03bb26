"""One turn of one server: a load, and what it cost."""

import sys
from contextlib import AbstractContextManager, nullcontext

from benchmarks.load import Load, run_load
from benchmarks.processes import Cores, cpu_seconds
from benchmarks.report import Sample
from benchmarks.servers import Server


def turn(
    server: Server,
    number: int,
    load: Load,
    cores: Cores,
    *,
    transport: str = "udp",
    name: str | None = None,
    beside: AbstractContextManager[object] | None = None,
) -> Sample:
    """Give a server a load, and take its CPU time.

    Args:
        server: whose turn it is.
        number: of the round.
        load: what it gets.
        cores: where the load runs.
        transport: what it comes on.
        name: under which the sample is told; the server's own if None.
        beside: what goes on meanwhile, whose cost counts.
    """
    before = cpu_seconds(server.pids)
    with beside or nullcontext():
        result = run_load(transport, server.port, load, cores.load)
    used = cpu_seconds(server.pids) - before
    if result.wrong:
        print(f"{server.name}: {result.complaint}", file=sys.stderr)
    return Sample(
        transport,
        name or server.name,
        number,
        microseconds=used / load.requests * 1e6,
        per_second=result.answered / result.seconds,
        lost=result.lost,
        wrong=result.wrong,
    )
