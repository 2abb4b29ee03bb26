"""Lookups in turns with calls through Kamailio: what each takes of the CPU under the same load.

A lookup has nine messages and a call eleven, so lookups and calls that begin at the same rate, or
of which as many are open at any time, are about as many messages. Each contender's CPU is that of a
whole round, the others' turns included, less what it takes when it has nothing to do: so what
transactions cost when they end counts, and the first rounds are those in which none ends yet.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load import CannotMeasureError
from benchmarks.processes import Cores, cpu_seconds, on_core
from benchmarks.proxy import Callers
from benchmarks.proxy import Contender as Proxy
from benchmarks.report import Spread, spread
from benchmarks.servers import Server

PEER = "kamailio"
_IDLE = 3.0  # seconds for which a server's CPU without load is measured


@dataclass(frozen=True, slots=True)
class Load:
    """How lookups and calls begin: so many in a second, or one when another one ends.

    Attributes:
        rate: how many in a second; 0 for none.
        outstanding: without a rate, how many are open at any time.
    """

    rate: float
    outstanding: int = 0

    def __str__(self) -> str:
        """As the tables name it."""
        return f"{self.rate:.0f}/s" if self.rate else f"{self.outstanding} at a time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the lookups or calls of one turn.

    Attributes:
        longest: seconds that one took.
        late: seconds by which the load itself was late.
    """

    lost: int = 0
    wrong: int = 0
    longest: float = 0.0
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, and what makes so many lookups or calls under a load."""

    name: str
    pids: list[int]
    run: Callable[[Load, int], Outcome]


@dataclass(frozen=True, slots=True)
class Measured:
    """A server under a load over a transport.

    Attributes:
        count: the lookups or calls of all turns.
        microseconds: of CPU for each of them.
        ratio: of the CPU to that of a call through Kamailio in the same round; None for itself.
    """

    server: str
    transport: str
    load: Load
    count: int
    microseconds: Spread
    ratio: Spread | None
    lost: int
    wrong: int
    longest: float
    late: float

    @property
    def clean(self) -> bool:
        """Whether none was lost and none was wrong."""
        return not self.lost and not self.wrong


def lookups(server: Server, transport: str, cores: Cores) -> Contender:
    """Lookups by a daemon."""

    def run(load: Load, count: int) -> Outcome:
        command = [sys.executable, "-m", "benchmarks.lookup_load", transport, str(server.port)]
        command += [str(load.rate), str(load.outstanding), str(count)]
        done = subprocess.run(
            on_core(cores.load, command), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotMeasureError(f"the load failed:\n{done.stderr[-2000:]}")
        result = json.loads(done.stdout)
        if result["complaint"]:
            print(f"wrong: {result['complaint']}", file=sys.stderr)
        return Outcome(*(result[name] for name in ("lost", "wrong", "longest", "late")))

    return Contender(server.name, server.pids, run)


def calls(callers: Callers, proxy: Proxy, transport: str) -> Contender:
    """Calls through a proxy."""

    def run(load: Load, count: int) -> Outcome:
        port = proxy.port(transport)
        callers.run("calls", transport, port, count, load.outstanding, load.rate)
        return Outcome()  # it raises where one is lost or wrong

    return Contender(PEER, proxy.server.pids, run)


def measure(contender: Contender, transport: str, load: Load, count: int) -> Measured:
    """One turn of one contender."""
    before = cpu_seconds(contender.pids)
    outcome = contender.run(load, count)
    used = (cpu_seconds(contender.pids) - before) / count * 1e6
    return _measured(contender, transport, load, count, [used], None, [outcome])


def in_turns(
    contenders: Sequence[Contender],
    transport: str,
    load: Load,
    count: int,
    rounds: int,
    warm: float,
    idle: dict[str, float],
) -> list[Measured]:
    """So many lookups or calls of each in each round, after rounds of `warm` seconds at least.

    `idle` is what `idle_cpu` returns.
    """

    def one_round(turns: Sequence[Contender]) -> tuple[dict[str, float], dict[str, Outcome]]:
        begun = time.monotonic()
        before = [cpu_seconds(each.pids) for each in turns]
        outcomes = {each.name: each.run(load, count) for each in turns}
        seconds = time.monotonic() - begun
        costs = {
            each.name: (cpu_seconds(each.pids) - used - idle[each.name] * seconds) / count * 1e6
            for each, used in zip(turns, before, strict=True)
        }
        return costs, outcomes

    steady = time.monotonic() + warm
    while time.monotonic() < steady:
        one_round(contenders)
    taken = [
        one_round(contenders if number % 2 == 0 else contenders[::-1]) for number in range(rounds)
    ]
    found = []
    for each in contenders:
        own = [costs[each.name] for costs, _ in taken]
        ratios = None
        if each.name != PEER:
            ratios = [costs[each.name] / costs[PEER] for costs, _ in taken if PEER in costs]
        outcomes = [outcomes[each.name] for _, outcomes in taken]
        found.append(_measured(each, transport, load, count, own, ratios, outcomes))
    return found


def idle_cpu(contenders: Sequence[Contender]) -> dict[str, float]:
    """What part of a core each takes by itself; to be asked before they get any load."""
    before = [cpu_seconds(each.pids) for each in contenders]
    time.sleep(_IDLE)
    return {
        each.name: (cpu_seconds(each.pids) - used) / _IDLE
        for each, used in zip(contenders, before, strict=True)
    }


def _measured(
    contender: Contender,
    transport: str,
    load: Load,
    count: int,
    costs: list[float],
    ratios: list[float] | None,
    outcomes: list[Outcome],
) -> Measured:
    return Measured(
        contender.name,
        transport,
        load,
        count * len(costs),
        spread(costs),
        spread(ratios) if ratios else None,
        sum(each.lost for each in outcomes),
        sum(each.wrong for each in outcomes),
        max(each.longest for each in outcomes),
        max(each.late for each in outcomes),
    )
