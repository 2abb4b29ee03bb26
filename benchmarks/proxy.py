"""What a call through the proxy costs: INVITE/200/ACK/BYE/200, beside Kamailio's tm and rr.

    python -m benchmarks.proxy [--rounds 9] [--calls 5000] [--transport udp tls] [--memory]

The daemon and Kamailio (record_route, t_relay; `-x tlsf -X tlsf`) are up at the same time on one
core, and get the same calls in turns: over UDP, and over TLS with certificates both ways on both
sides. The turns that count begin when the timers of the first calls run, and each server's CPU is
that of a whole round, the others' turns included: so what transactions cost when they end counts as
well. With --memory what an open transaction costs, and what a dialog does once its transactions'
timers have run. Where the daemon has the compiled codec, the same daemon without it is measured as
well. Exit status 1: a call was lost or wrong, or a daemon's CPU is over what is promised of
Kamailio's: --max-ratio with the compiled codec, --max-python without. Exit status 2: nothing could
be measured.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.load_process import LoadProcess
from benchmarks.messages import POOL
from benchmarks.processes import choose_cores, cpu_seconds, proportional_octets
from benchmarks.proxy_load import Account, Task
from benchmarks.report import Spread, environment, print_about, print_table, spread
from benchmarks.servers import (
    IN_PYTHON,
    Server,
    endpoint_uri,
    find_kamailio,
    free_port,
    has_codec,
    in_python,
    running,
    versions,
)
from tests.tls.authority import Authority, Leaf, new_key

DAEMON, PEER = "chatredirect", "kamailio"
TIMERS = 36.0
"""Seconds after which no transaction is left of what was answered: 64 times T1, and some."""
MAX_RATIO, MAX_PYTHON = 2.0, 4.0
"""Of Kamailio's CPU: what a call may take with the compiled codec, and without it."""
_KAMAILIO_CONFIG = Path(__file__).parent / "kamailio-proxy.cfg"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server with its TLS port."""

    server: Server
    tls_port: int

    def port(self, transport: str) -> int:
        """Where it listens."""
        return self.tls_port if transport == "tls" else self.server.port


class Callers:
    """The load process."""

    def __init__(self, core: int | None, pool_port: int, files: Sequence[str]) -> None:
        """Start it on a core."""
        self._process = LoadProcess(core, "benchmarks.proxy_load", [str(pool_port), *files])
        self._first = int(time.time()) % 10_000 * 1000
        self._process.read()

    def run(
        self,
        what: str,
        transport: str,
        port: int,
        calls: int,
        outstanding: int,
        rate: float = 0.0,
    ) -> Account:
        """Give it something to do; raises WrongError where not all of it was done."""
        self._first += calls
        task = Task(what, transport, port, calls, outstanding, self._first, rate)
        self._process.write(json.dumps(asdict(task)))
        account = Account(**json.loads(self._process.read()))
        few = what == "calls" and account.acks < calls  # more are repetitions, when it is busy
        if account.wrong or account.done != calls or few:
            raise WrongError(
                f"{what} over {transport}: {account.done} of {calls} done, {account.wrong} wrong, "
                f"{account.acks} ACKs: {account.complaint}"
            )
        return account

    def close(self) -> None:
        """End it."""
        self._process.close()


class WrongError(Exception):
    """Calls failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    command = [sys.executable, "-m", "chatredirect"]
    try:
        about = environment() | versions(command) | {"cores": str(cores)}
        print_about(about)
        daemons = {DAEMON: command}
        if has_codec(about):
            daemons[IN_PYTHON] = in_python(command)
        with ExitStack() as stack:
            directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-"))
            )
            authority = Authority(directory / "ca")
            leaf = authority.issue("sip.contoso.com", POOL, key=new_key("rsa"))
            pool_port = free_port()
            files = [str(leaf.certificate), str(leaf.private_key), str(authority.file)]
            callers = Callers(cores.load, pool_port, files)
            stack.callback(callers.close)

            @contextmanager
            def contenders(transport: str) -> Iterator[list[Contender]]:
                folder = directory / transport
                folder.mkdir(exist_ok=True)
                port = pool_port + (transport == "tls")
                with ExitStack() as both:
                    made = [
                        _daemon(folder, transport, port, authority, leaf, cores.server, name, line)
                        for name, line in daemons.items()
                    ]
                    if options.peer:
                        made.append(
                            kamailio_proxy(folder, transport, port, authority, leaf, cores.server)
                        )
                    yield [both.enter_context(each) for each in made]

            compiled = IN_PYTHON in daemons
            limits = {
                DAEMON: options.max_ratio if compiled else options.max_python,
                IN_PYTHON: options.max_python,
            }
            faults = []
            for transport in options.transport:
                with contenders(transport) as both:
                    faults += _cpu(callers, both, transport, limits, options)
            if options.memory:
                rows = []
                for what, before, wait in (
                    ("open", options.held // 10, 0.0),
                    ("dialogs", 3 * options.held, TIMERS),
                ):
                    with contenders("tcp") as both:
                        rows += _memory(callers, both, what, options, before, wait)
                print_table(("", "server", "octets"), rows, options.markdown)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    except WrongError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _cpu(
    callers: Callers,
    both: list[Contender],
    transport: str,
    limits: dict[str, float],
    options: argparse.Namespace,
) -> list[str]:
    """CPU per call, in turns; what is over the limits, by the names of the servers."""

    def take_turns(turns: list[Contender], calls: int) -> dict[str, float]:
        before = [cpu_seconds(each.server.pids) for each in turns]
        for each in turns:
            callers.run("calls", transport, each.port(transport), calls, options.outstanding)
        return {
            each.server.name: (cpu_seconds(each.server.pids) - begun) / calls * 1e6
            for each, begun in zip(turns, before, strict=True)
        }

    steady = time.monotonic() + options.warm
    take_turns(both, max(options.calls // 5, options.outstanding))
    while time.monotonic() < steady:
        take_turns(both, options.calls)
    rounds = []
    for number in range(options.rounds):
        rounds.append(take_turns(both if number % 2 == 0 else both[::-1], options.calls))
    ratios: dict[str, Spread] = {}
    rows = []
    for each in both:
        name = each.server.name
        used = spread([cost[name] for cost in rounds])
        if PEER in rounds[0] and name != PEER:
            ratios[name] = spread([cost[name] / cost[PEER] for cost in rounds])
        shown = f"{ratios[name]:.2f}" if name in ratios else "1"
        rows.append((transport.upper(), name, f"{used:.0f}", shown))
    print_table(("", "server", "CPU µs/call", "ratio"), rows, options.markdown)
    return over(ratios, transport, limits)


def over(ratios: dict[str, Spread], transport: str, limits: dict[str, float]) -> list[str]:
    """What to complain about: ratios whose median is over the limit, by the server's name."""
    return [
        f"{name}, {transport}: ratio {ratio.median:.2f} is over {limits[name]}"
        for name, ratio in ratios.items()
        if ratio.median > limits[name]
    ]


def _memory(
    callers: Callers,
    both: list[Contender],
    what: str,
    options: argparse.Namespace,
    before: int,
    wait: float,
) -> list[tuple[str, str, str]]:
    """Octets for an open transaction or a dialog; rows for the table.

    Some go before those that count, for what a process keeps once it has had it: a few open ones,
    and more dialogs than are weighed, since their transactions go.
    """
    rows = []
    for each in both:
        sizes = []
        for many in (before, options.held):
            callers.run(what, "tcp", each.port("tcp"), many, options.outstanding)
            time.sleep(wait)
            sizes.append(proportional_octets(each.server.pids))
        octets = (sizes[1] - sizes[0]) / options.held
        name = "dialog" if what == "dialogs" else "open transaction"
        rows.append((name, each.server.name, f"{octets:,.0f}"))
    return rows


@contextmanager
def _daemon(
    folder: Path,
    transport: str,
    pool_port: int,
    authority: Authority,
    leaf: Leaf,
    core: int | None,
    name: str,
    line: list[str],
) -> Iterator[Contender]:
    port, secure = free_port(), free_port()
    config = folder / f"{port}.yaml"
    config.write_text(
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}, tls://127.0.0.1:{secure}]\n"
        f"tls: {{certificate: {leaf.certificate}, private_key: {leaf.private_key}, "
        f"ca: {authority.file}}}\n"
        f"dns: {{hosts: {{{POOL}: [127.0.0.1]}}}}\n"
        "log: {requests: false}\n"
        "http: {listen: off}\n"
        "control: {socket: off}\n"
        "proxy: {transactions: 1000000, transactions_per_peer: 1000000}\n"
        "endpoints:\n"
        "  - sip_address: sip:ocschat@contoso.com\n"
        f"    pool_fqdn: {POOL}\n"
        "    mode: proxy\n"
        f"    port: {pool_port}\n"
        f"    transport: {transport}\n"
        f"  - {{sip_address: '{endpoint_uri(0)}', pool_fqdn: {POOL}}}\n"
    )
    command = [*line, "run", "--config", str(config)]
    with running(name, command, folder, port, core) as server:
        yield Contender(server, secure)


@contextmanager
def kamailio_proxy(
    folder: Path,
    transport: str,
    pool_port: int,
    authority: Authority,
    leaf: Leaf,
    core: int | None,
) -> Iterator[Contender]:
    """Kamailio as a proxy to a pool on this port, which is reached over `transport`."""
    program = find_kamailio()
    port, secure = free_port(), free_port()
    profile = folder / "tls.cfg"
    files = (
        f"verify_certificate = yes\nrequire_certificate = yes\nprivate_key = {leaf.private_key}\n"
        f"certificate = {leaf.certificate}\nca_list = {authority.file}\n"
    )
    sections = (f"[{side}:default]\nmethod = TLSv1.2+\n{files}" for side in ("server", "client"))
    profile.write_text("\n".join(sections))
    text = _KAMAILIO_CONFIG.read_text()
    for name, value in {
        "PORT": port,
        "TLS_PORT": secure,
        "TLS_CONFIG": profile,
        "POOL_PORT": pool_port,
        "TRANSPORT": transport,
    }.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / "kamailio.cfg"
    config.write_text(text)
    command = [program, "-f", str(config), "-DD", "-E", "-w", str(folder), "-Y", str(folder)]
    command += ["-x", "tlsf", "-X", "tlsf", "-m", "1024", "-A", "WITH_TLS"]
    with running(PEER, command, folder, port, core) as server:
        yield Contender(server, secure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxy",
        description="CPU and memory of calls through the proxy, in turns with Kamailio.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="turns that each server gets")
    add("--calls", type=int, default=5000, help="calls in a turn")
    add("--warm", type=float, default=TIMERS, help="seconds of turns before those that count")
    add("--outstanding", type=int, default=32, help="calls at any time")
    add("--transport", nargs="*", choices=("udp", "tcp", "tls"), default=["udp", "tls"])
    add("--memory", action="store_true", help="also the memory of transactions and dialogs")
    add("--held", type=int, default=5000, help="how many of them are held")
    add(
        "--max-ratio",
        type=float,
        default=MAX_RATIO,
        help="fail when CPU is over this of Kamailio's",
    )
    add("--max-python", type=float, default=MAX_PYTHON, help="likewise without the compiled codec")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--no-peer", dest="peer", action="store_false", help="leave Kamailio out")
    add("--markdown", action="store_true", help="print tables in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
