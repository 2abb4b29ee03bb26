"""`python -m benchmarks.several` (`make several`): what a failure costs behind each front end.

As root: each machine is a network namespace. Two instances with the same files serve redirects,
lookups and proxied calls, some 300 requests a second in all. The first instance is killed (kill
-9), drained (SIGTERM), cut off (its link goes down), or both are upgraded one after the other
(stopped and started). Then two of three are killed, the last release runs beside this version,
two machines have keepalived's address, and a second instance joins the first. A row says what
became of the requests and dialogs, and a second table is the one of docs/two-machines.md. Then the
CPU per request of one, two and three instances, and on paper what a million clients need that sign
in within ten minutes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.processes import cpu_seconds
from benchmarks.report import environment, print_table
from tests.several.cases import Fault, Result, broken, run, warm_up
from tests.several.deployment import FrontEnd, Transport, deployment
from tests.several.older_tree import last_release, of_commit

FRONT_ENDS: tuple[tuple[FrontEnd, Transport], ...] = (
    ("dispatcher", "udp"),
    ("dispatcher", "tls"),
    ("srv", "udp"),
    ("srv", "tls"),
    ("a", "udp"),
    ("a", "tls"),
    ("keepalived", "udp"),
    ("keepalived", "tls"),
    ("direct", "udp"),
    ("direct", "tcp"),
)
NAMES = {
    "dispatcher": "Kamailio's dispatcher",
    "srv": "Kamailio, SRV records",
    "a": "Kamailio, two addresses",
    "keepalived": "Kamailio, keepalived's address",
    "direct": "none: clients, two addresses",
}
FAULTS: dict[Fault, str] = {
    "kill": "killed",
    "drain": "drained",
    "cut": "cut off",
    "upgrade": "upgraded",
}
"""Behind each front end, with the columns' headings in docs/two-machines.md."""
MORE: tuple[tuple[FrontEnd, Transport, Fault], ...] = (
    ("dispatcher", "udp", "kill two"),
    ("a", "tls", "kill two"),
    ("dispatcher", "udp", "versions"),
    ("a", "tls", "versions"),
    ("keepalived", "udp", "split"),
    ("keepalived", "tls", "split"),
    ("dispatcher", "udp", "join"),
    ("dispatcher", "tls", "join"),
)
SHOWN: dict[Fault, str] = {
    "kill two": "kill two of three",
    "versions": "old and new version",
    "split": "both have the address",
    "join": "a second one is added",
}
FLAT = 1.25
"""CPU per request of two and three instances, at most, as a multiple of one's."""
RATE = 200.0
"""Requests a second and instance while CPU is measured."""
SECONDS = 10.0
ROUNDS = 3
"""So often one, two and three instances are measured in turns; the least counts."""
_CLIENTS, _WITHIN = 1_000_000, 600.0
_MIXED = {"redirects": 100.0, "lookups": 7.0, "calls": 6.0}
_ALONE = {
    "a redirect": {"redirects": RATE, "lookups": 0.0, "calls": 0.0},
    "a lookup": {"redirects": 0.0, "lookups": RATE / 4, "calls": 0.0},
    # an INVITE, an INFO of each side and a BYE, as the call's length and its INFOs' period make it
    "a proxied call": {"redirects": 0.0, "lookups": 0.0, "calls": RATE / 4},
}
_SHORT_CALL = {"duration": 0.5, "period": 10.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 1 if a promise was broken, 2 if nothing could be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--front-end", choices=get_args(FrontEnd), action="append")
    parser.add_argument("--transport", choices=get_args(Transport), action="append")
    parser.add_argument("--fault", choices=[*get_args(Fault)][1:], action="append")
    parser.add_argument("--older", metavar="COMMIT", help="what `versions` begins with")
    parser.add_argument("--only", choices=["failures", "capacity"])
    parser.add_argument("--markdown", action="store_true", help="print tables for a document")
    asked = parser.parse_args(arguments)
    print(", ".join(environment().values()), flush=True)
    faults = []
    try:
        if asked.only != "capacity":
            faults += _failures(asked)
        if asked.only != "failures":
            faults += _capacity(asked.markdown)
    except pytest.skip.Exception as missing:
        print(f"nothing can be measured: {missing}", file=sys.stderr)
        return 2
    for each in faults:
        print(f"broken: {each}", file=sys.stderr)
    return 1 if faults else 0


def _cases(asked: argparse.Namespace) -> Iterator[tuple[FrontEnd, Transport, Fault]]:
    for (front_end, transport), fault in product(FRONT_ENDS, asked.fault or FAULTS):
        yield front_end, transport, fault
    if not asked.fault:
        yield from MORE


def _failures(asked: argparse.Namespace) -> list[str]:
    results, faults = [], []
    for front_end, transport, fault in _cases(asked):
        if asked.front_end and front_end not in asked.front_end:
            continue
        if asked.transport and transport not in asked.transport:
            continue
        with tempfile.TemporaryDirectory(prefix="chatredirect-several-") as name:
            folder, older = Path(name), Path()
            if fault == "versions":
                commit = asked.older or last_release()
                unpacked = of_commit(folder, commit)
                if unpacked is None:
                    print(f"no older version: git has no {commit} here", file=sys.stderr)
                    continue
                older = unpacked
            result = run(folder, front_end, transport, fault, older=older)
        results.append(result)
        print(" | ".join(row(result)), file=sys.stderr, flush=True)
        found = [f"{front_end} {transport} {fault}: {each}" for each in broken(result)]
        if found:
            print(*found, result.accounts.told(), sep="\n", file=sys.stderr, flush=True)
        faults += found
    headings = (
        *("front end", "over", "failure", "requests", "lost", "of them redirects"),
        *("longest wait, s", "lookups begun anew", "dialogs that went on"),
    )
    print_table(headings, [row(each) for each in results], asked.markdown)
    shown = costs(results)
    if shown:
        print_table(("front end", "over", *FAULTS.values()), shown, asked.markdown)
    return faults


def costs(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """The rows of docs/two-machines.md: a front end each, with a cell for each failure."""
    cells: dict[tuple[str, str], dict[Fault, str]] = {}
    for each in results:
        if each.fault not in FAULTS:
            continue
        went_on, dialogs = each.dialogs()
        lost = len(each.accounts.lost())
        told = f"**{lost}** of {len(each.accounts.requests):,}" if lost else "none"
        told += f", {each.longest():.1f} s"
        if went_on < dialogs:
            told += f", dialogs {went_on} of {dialogs}"
        cells.setdefault((NAMES[each.front_end], each.transport.upper()), {})[each.fault] = told
    return [(*key, *(found.get(each, "") for each in FAULTS)) for key, found in cells.items()]


def row(result: Result) -> tuple[str, ...]:
    """A row of the table."""
    went_on, all_of_them = result.dialogs()
    return (
        NAMES[result.front_end],
        result.transport.upper(),
        SHOWN.get(result.fault, result.fault),
        str(len(result.accounts.requests)),
        str(len(result.accounts.lost())),
        str(result.lost_redirects()),
        f"{result.longest():.1f}",
        str(result.lookups_again()),
        f"{went_on} of {all_of_them}",
    )


def _capacity(markdown: bool) -> list[str]:
    faults: list[str] = []
    rounds = [
        [_cost(faults, count, {k: v * count for k, v in _MIXED.items()}) for count in (1, 2, 3)]
        for _ in range(ROUNDS)
    ]
    one, two, three = map(min, zip(*rounds, strict=True))
    rows = [
        (str(count), f"{cost:.0f}", f"{cost / one:.2f}", f"{count * 1e6 / cost:,.0f}")
        for count, cost in ((1, one), (2, two), (3, three))
    ]
    headings = ("instances", "CPU µs/request", "of one's", "requests/s, with a core for each")
    print_table(headings, rows, markdown)
    per_second = _CLIENTS / _WITHIN
    needs = []
    for what, rates in _ALONE.items():
        # the accounts count requests; what a client needs is one redirect, or four requests
        requests = 1 if what == "a redirect" else 4
        cost = _cost(faults, 1, rates, **_SHORT_CALL) * requests
        needs.append((what, f"{cost:.0f}", f"{cost * per_second / 1e6:.2f}"))
    print_table(("a client's", "CPU µs", f"cores for {per_second:,.0f} a second"), needs, markdown)
    return faults + [
        f"{count} instances: {cost / one:.2f} times the CPU per request of one"
        for count, cost in ((2, two), (3, three))
        if cost > FLAT * one
    ]


def _cost(faults: list[str], count: int, rates: dict[str, float], **plan: float) -> float:
    """Microseconds of CPU per request of so many instances behind Kamailio's dispatcher."""
    quiet = {"log": {"requests": False}}
    with (
        tempfile.TemporaryDirectory(prefix="chatredirect-several-") as folder,
        deployment(Path(folder), "dispatcher", "udp", count, quiet) as made,
    ):
        warm_up(made)
        pids = [each.process.pid for each in made.instances]
        before = cpu_seconds(pids)
        load = made.load(seconds=SECONDS, **rates, **plan)
        accounts = load.accounts()
        if accounts.lost():
            told = f"{len(accounts.lost())} requests lost while CPU was measured: a busy machine?"
            faults.append(f"{count} instances: {told}")
            print(faults[-1], accounts.told(), sep="\n", file=sys.stderr, flush=True)
        return (cpu_seconds(pids) - before) * 1e6 / len(accounts.requests)


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(status)
