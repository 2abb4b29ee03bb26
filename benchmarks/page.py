"""What the page costs: 1,000 endpoints, a year of usage, and SIP beside it.

    python -m benchmarks.page [--rounds 5]

A daemon has a ledger of 1,000 endpoints with ten callers each, who call every fifth day or so. In a
round it is started anew; then the page is asked for once, which reads the ledger, and some times
more, which doesn't. The CPU of both is that of the whole daemon. Then the same beside a client that
sends one request after the other: how long the answers take, and those of a program that only
echoes, which tells what the machine itself is late by. At last nobody looks any more, and the CPU
is that of a daemon without a page.

Exit status 1: over the rounds, in the median, the page took over `--most-cpu` milliseconds, or the
longest wait was over `--most-wait` milliseconds and the machine wasn't late itself, or an idle page
cost over a millisecond a second. Exit status 2: nothing could be measured.
"""

import argparse
import http.client
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.fairness import echo
from benchmarks.load import CannotMeasureError
from benchmarks.messages import POOL, endpoint_uri, numbered, redirect_exchange
from benchmarks.processes import cpu_seconds
from benchmarks.report import environment, print_about
from benchmarks.servers import running
from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.schema import number_of
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY, Batch, UsageCount, UsageKey
from tests.ports import free_port

ENDPOINTS, CALLERS, DAYS, EVERY = 1000, 10, 365, 5
AGAIN = 10  # views that read no ledger
IDLE, TIMES = 2.0, 4
"""Seconds for which nobody looks, and how often that is measured: the ledger's writer may work."""
IDLE_COST = 0.001
"""Seconds of CPU a second that an idle page may cost."""
TOKEN = "a-token-of-many-characters"
CLIENTS = (
    ClientProduct("Office Communicator 2007 R2", "3.5.6907.196"),
    ClientProduct("Office Communicator 2007 R2", "3.5.6907.0"),
    ClientProduct("Lync 2010", "4.0.7577.0"),
    ClientProduct("Lync 2013", "15.0.4420.1017"),
)


@dataclass(slots=True)
class Round:
    """Seconds: CPU of the first and of later pages, and the longest waits of three clients."""

    first: float
    again: float
    wait_first: float
    wait_again: float
    machine: float
    idle: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    print_about(environment())
    try:
        with tempfile.TemporaryDirectory(prefix="chatredirect-") as folder:
            make_ledger(Path(folder) / "usage.db", options.endpoints)
            rounds = [_round(Path(folder), options.endpoints) for _ in range(options.rounds)]
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    print("median of ms  CPU: first, again  longest wait: first, again, of an echo  CPU/s idle")
    for each in rounds:
        _show(each)
    middle = median_of(rounds)
    _show(middle)
    faults = list(judge(middle, options.most_cpu / 1000, options.most_wait / 1000))
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def median_of(rounds: Sequence[Round]) -> Round:
    """The median of each figure."""
    names = Round.__slots__
    return Round(*(statistics.median(getattr(each, name) for each in rounds) for name in names))


def judge(middle: Round, most_cpu: float, most_wait: float) -> Iterator[str]:
    """What is not as it must be, a sentence each."""
    for name, cpu in (("first", middle.first), ("later", middle.again)):
        if cpu > most_cpu:
            yield f"the {name} page takes {cpu * 1000:.0f} ms of CPU"
    for name, wait in (("first", middle.wait_first), ("later", middle.wait_again)):
        if wait > most_wait and middle.machine < most_wait / 2:
            yield f"beside the {name} page an answer takes {wait * 1000:.1f} ms"
    if middle.idle > IDLE_COST:
        yield f"an idle page costs {middle.idle * 1000:.2f} ms of CPU a second"


def make_ledger(path: Path, endpoints: int) -> None:
    """A year of usage, whose callers, clients and days are the same each time."""
    address, today = StoreAddress("sqlite", str(path)), int(time.time() // DAY)
    random = Random(1)
    begin = UsageKey(today - DAYS + 1, endpoint_uri(0), "sip:a@contoso.com", CLIENTS[0], True, "a")
    UsageStore(address).write(Batch(time.time(), {begin: UsageCount(1, 0.0, 0.0)}))
    who, days = [], []
    totals: dict[tuple[int, str], int] = {}
    clients: dict[tuple[int, ClientProduct], int] = {}
    for number in range(endpoints):
        uri = endpoint_uri(number)
        for caller in range(CALLERS):
            client = random.choice(CLIENTS)
            name = f"sip:caller{number:04}-{caller}@contoso.com"
            key = UsageKey(today, uri, name, client, True, "redirected")
            used = [today - day for day in range(DAYS) if random.randrange(EVERY) == 0] or [today]
            ident = number_of(key)
            first, last = used[-1] * DAY + 1.0, used[0] * DAY + 1.0
            who.append((ident, uri, name, *client, 1, "redirected", first, last))
            for day in used:
                days.append((ident, day, 2))
                totals[day, uri] = totals.get((day, uri), 0) + 2
                clients[day, client] = clients.get((day, client), 0) + 2
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO usage_who VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", who)
        connection.executemany("INSERT INTO usage_days VALUES (?, ?, ?)", days)
        connection.executemany(
            "INSERT INTO usage_totals VALUES (?, ?, 1, 'redirected', ?)",
            [(day, uri, uses) for (day, uri), uses in totals.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO usage_clients VALUES (?, ?, ?, 1, ?)",
            [(day, *client, uses) for (day, client), uses in clients.items()],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO usage_running VALUES (?, ?, ?)",
            [(today - day, (today - day) * DAY, (today - day + 1) * DAY) for day in range(DAYS)],
        )


def _configuration(folder: Path, port: int, page: int | None, endpoints: int) -> Path:
    lines = [
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}]",
        f"dns: {{hosts: {{{POOL}: [192.0.2.20]}}}}",
        f"usage: {{store: 'sqlite://{folder}/usage.db'}}",
        f"control: {{socket: {folder}/control}}",
        "log: {requests: false}",
    ]
    if page is not None:
        token = folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o640)
        lines.append(f"http: {{page_listen: {page}, token_file: {token}}}")
    lines.append("endpoints:")
    lines += (
        f"  - {{sip_address: '{endpoint_uri(number)}', pool_fqdn: {POOL}}}"
        for number in range(endpoints)
    )
    config = folder / f"{port}.yaml"
    config.write_text("\n".join(lines) + "\n")
    return config


@contextmanager
def _daemon(folder: Path, page: int | None, endpoints: int) -> Iterator[tuple[list[int], int]]:
    """A daemon: its process and its port."""
    port = free_port()
    config = _configuration(folder, port, page, endpoints)
    run = [sys.executable, "-m", "chatredirect", "run", "--config", str(config)]
    with running("chatredirect", run, folder, port, None) as server:
        yield server.pids, port


def _round(folder: Path, endpoints: int) -> Round:
    with ExitStack() as stack:
        page = free_port()
        pid, port = stack.enter_context(_daemon(folder, page, endpoints))
        _fetch(page, "/login")  # what is imported for a page isn't the page's
        first = _cost(pid, page, 1)
        again = _cost(pid, page, AGAIN)
    with ExitStack() as stack:
        page = free_port()
        pid, port = stack.enter_context(_daemon(folder, page, endpoints))
        echoing = stack.enter_context(echo())
        _fetch(page, "/login")
        beside_first, machine = _waits(port, echoing, lambda: _fetch(page, "/"))
        beside_again, later = _waits(port, echoing, lambda: [_fetch(page, "/") for _ in "123"])
        with_page = _idle(pid)
    with _daemon(folder, None, endpoints) as (pid, _):
        idle = with_page - _idle(pid)
    return Round(first, again, beside_first, beside_again, max(machine, later), idle)


def _fetch(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200:
        raise CannotMeasureError(f"{path}: {response.status} {body[:200]!r}")


def _cost(pid: list[int], page: int, times: int) -> float:
    begun = cpu_seconds(pid)
    for _ in range(times):
        _fetch(page, "/")
    return (cpu_seconds(pid) - begun) / times


def _idle(pid: list[int]) -> float:
    """Seconds of CPU a second, while nothing comes."""
    spent = []
    for _ in range(TIMES):
        begun = cpu_seconds(pid)
        time.sleep(IDLE)
        spent.append((cpu_seconds(pid) - begun) / IDLE)
    return min(spent)


class _Asker(threading.Thread):
    """Sends one request after the other, and keeps the longest time that an answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self.over = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(1.0)

    def run(self) -> None:
        host, port = self._socket.getsockname()
        request = numbered(redirect_exchange("udp", f"{host}:{port}").request)
        while not self.over:
            begun = time.perf_counter()
            with suppress(TimeoutError):
                self._socket.send(request)
                self._socket.recv(65536)
            self.longest = max(self.longest, time.perf_counter() - begun)
            time.sleep(0.0005)
        self._socket.close()


def _waits(port: int, echoing: int, work: Callable[[], object]) -> tuple[float, float]:
    """The longest time that an answer takes beside some work, and that an echo takes."""
    askers = _Asker(port), _Asker(echoing)
    for asker in askers:
        asker.start()
    time.sleep(0.2)
    for asker in askers:
        asker.longest = 0.0
    work()
    for asker in askers:
        asker.over = True
        asker.join()
    return askers[0].longest, askers[1].longest


def _show(each: Round) -> None:
    figures = (each.first, each.again, each.wait_first, each.wait_again, each.machine, each.idle)
    print("  ".join(f"{figure * 1000:10.2f}" for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--endpoints", type=int, default=ENDPOINTS)
    parser.add_argument("--most-cpu", type=float, default=300.0, help="milliseconds of one page")
    parser.add_argument("--most-wait", type=float, default=5.0, help="milliseconds of an answer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
