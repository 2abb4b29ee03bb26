"""What a lookup costs: INVITE/200/ACK, INFO/200, INFO/200, BYE/200.

    python -m benchmarks.lookup [--rounds 7] [--lookups 1000] [--transport udp tcp] [--ceiling]

For UDP and TCP: lookups in turns with as many calls through Kamailio as a proxy (that of
`benchmarks.proxy`), both at a steady rate, and both 32 at a time, so that neither waits; none may
be lost. The turns that count begin when transactions end as fast as new ones begin. Then the CPU of
a lookup at the rate of a Monday-morning storm, 50,000 clients in five minutes, and what part of a
core that storm takes; with --ceiling the highest rate, found by steps of a quarter, at which none
is lost; and the memory of a dialog in the running daemon. Where the daemon has the compiled codec,
the same daemon without it is measured as well. Exit status 1: a lookup or a call was lost or wrong,
the storm takes a quarter of a core or more, or a lookup under either load takes more than is
promised of Kamailio's proxied call: --max-ratio with the compiled codec, --max-python without. Exit
status 2: nothing could be measured.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.lookup_load import Clients
from benchmarks.lookup_turns import (
    PEER,
    Contender,
    Load,
    Measured,
    calls,
    idle_cpu,
    in_turns,
    lookups,
    measure,
)
from benchmarks.messages import POOL, endpoint_uri
from benchmarks.processes import Cores, choose_cores
from benchmarks.proxy import TIMERS, Callers, WrongError, kamailio_proxy, over
from benchmarks.report import environment, print_about, print_table
from benchmarks.servers import (
    IN_PYTHON,
    Server,
    has_codec,
    in_python,
    running,
    versions,
)
from tests.ports import free_port
from tests.tls.authority import Authority, new_key

DAEMON = "chatredirect"
COMMAND = (sys.executable, "-m", "chatredirect")
STORM = 50_000 / 300
"""Lookups a second: 50,000 clients in five minutes."""
CORE = 0.25
"""The part of a core that the storm may take."""
MAX_RATIO, MAX_PYTHON = 3.5, 5.0
"""Of the CPU of a call through Kamailio: what a lookup may take with the codec, and without."""
OUTSTANDING = 32
"""Lookups or calls at any time where there is no rate."""
HELD = 5000
"""Dialogs that are held to weigh them."""
STEP = 1.25
TRANSPORTS = ("udp", "tcp")


def configuration(port: int) -> str:
    """A lookup endpoint, and a redirect whose answer shows that the daemon is ready."""
    return (
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}]\n"
        f"dns: {{hosts: {{{POOL}: [192.0.2.20]}}}}\n"
        "log: {requests: false}\n"
        "limits: {dialogs: 1000000}\n"
        "endpoints:\n"
        "  - sip_address: sip:ocschat@contoso.com\n"
        f"    pool_fqdn: {POOL}\n"
        "    mode: lookup\n"
        f"    channel_uris: [sip:gc-channel@{POOL}]\n"
        f"  - {{sip_address: '{endpoint_uri(0)}', pool_fqdn: {POOL}}}\n"
    )


@contextmanager
def daemon(directory: Path, core: int | None, name: str = DAEMON) -> Iterator[Server]:
    """A daemon with a lookup endpoint; that of the name `IN_PYTHON` has no compiled codec."""
    port = free_port()
    config = directory / f"{port}.yaml"
    config.write_text(configuration(port))
    command = [*COMMAND, "run", "--config", str(config)]
    if name == IN_PYTHON:
        command = in_python(command)
    with running(name, command, directory, port, core) as server:
        yield server


@contextmanager
def contenders(
    names: Sequence[str], transport: str, directory: Path, cores: Cores
) -> Iterator[list[Contender]]:
    """Daemons with lookups, and Kamailio as a proxy with callers and a pool on both its sides."""
    directory.mkdir()
    authority = Authority(directory / "ca")
    leaf = authority.issue("sip.contoso.com", POOL, key=new_key("rsa"))
    pool_port = free_port()
    with ExitStack() as stack:
        found = [
            lookups(stack.enter_context(daemon(directory, cores.server, name)), transport, cores)
            for name in names
        ]
        callers = Callers(cores.load, pool_port, ())
        stack.callback(callers.close)
        kamailio = kamailio_proxy(directory, transport, pool_port, authority, leaf, cores.server)
        found.append(calls(callers, stack.enter_context(kamailio), transport))
        yield found


def memory_of_a_dialog(directory: Path, cores: Cores) -> float:
    """Octets by which the daemon's resident memory grows for each dialog that waits for its ACK."""
    with daemon(directory, cores.server) as server:
        clients = Clients("tcp", server.port, silent=True)
        for n in range(HELD // 10):  # what grows once, has grown then
            clients.invite(n)
        _until(clients, HELD // 10)
        before = _resident(server)
        for n in range(HELD // 10, HELD):
            clients.invite(n)
        _until(clients, HELD)
        grown = _resident(server) - before
        clients.sock.close()
    return grown / (HELD - HELD // 10)


def _until(clients: Clients, accepted: int) -> None:
    """Read until so many 200s have come, and answer nothing."""
    end = time.monotonic() + 60
    while clients.accepted < accepted:
        if time.monotonic() > end:
            raise CannotMeasureError(f"{clients.accepted} of {accepted} dialogs")
        clients.flush()
        clients.receive()
        time.sleep(0.001)


def _resident(server: Server) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.pids)
    return pages * 4096


def ceiling(contender: Contender, transport: str, start: float) -> float:
    """The highest rate at which nothing is lost and the load keeps its own time."""
    rate, best = start, 0.0
    while True:
        found = measure(contender, transport, Load(rate), int(rate * 4))
        if not found.clean or found.longest > 1 or found.late > 1:
            if not best:
                raise CannotMeasureError(f"not even {rate:.0f} lookups a second over {transport}")
            return best
        best, rate = rate, rate * STEP


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    found: list[Measured] = []
    ceilings: dict[str, float] = {}
    try:
        about = environment() | versions(COMMAND) | {"cores": str(cores)}
        print_about(about)
        names = [DAEMON, IN_PYTHON] if has_codec(about) else [DAEMON]
        with tempfile.TemporaryDirectory(prefix="chatredirect-") as name:
            directory = Path(name)
            for transport in options.transport:
                with contenders(names, transport, directory / transport, cores) as made:
                    found += _measure(made, transport, options)
                    if options.ceiling:
                        ceilings[transport] = ceiling(made[0], transport, options.rate)
            octets = memory_of_a_dialog(directory, cores)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    except WrongError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    _print(found, ceilings, octets, options.markdown)
    compiled = IN_PYTHON in names
    limits = {
        DAEMON: options.max_ratio if compiled else options.max_python,
        IN_PYTHON: options.max_python,
    }
    return _judge(found, limits, octets)


def _measure(
    made: Sequence[Contender], transport: str, options: argparse.Namespace
) -> list[Measured]:
    idle = idle_cpu(made)
    found: list[Measured] = []
    for load, count in (
        (Load(options.rate), options.lookups),
        (Load(0.0, OUTSTANDING), options.closed),
    ):
        for each in made:  # what happens once, such as connecting
            each.run(Load(200.0), max(count // 10, OUTSTANDING))
        found += in_turns(made, transport, load, count, options.rounds, options.warm, idle)
    daemons = [each for each in made if each.name != PEER]
    return found + [measure(each, transport, Load(STORM), options.storm) for each in daemons]


def _print(
    found: Sequence[Measured], ceilings: dict[str, float], octets: float, markdown: bool
) -> None:
    rows = []
    for each in found:
        name = "kamailio, a call" if each.server == PEER else each.server
        ratio = (
            f"{each.ratio:.2f}" if each.ratio is not None else "1" if each.server == PEER else ""
        )
        rows.append(
            (
                *(each.transport.upper(), str(each.load), name, f"{each.count:,}"),
                *(f"{each.microseconds:.0f}", ratio, str(each.lost + each.wrong)),
            )
        )
    print_table(("", "load", "server", "number", "CPU µs each", "ratio", "lost"), rows, markdown)
    for each in filter(_is_storm, found):
        part = each.microseconds.median * STORM / 1e6
        print(
            f"50,000 clients in five minutes over {each.transport.upper()}, {each.server}: "
            f"{part * 100:.1f} % of a core"
        )
    for transport, rate in ceilings.items():
        print(f"highest steady rate over {transport.upper()}: {rate:.0f} lookups a second")
    print(f"memory of a dialog: {octets:.0f} octets")


def _is_storm(measured: Measured) -> bool:
    return measured.load.rate == STORM


def _judge(found: Sequence[Measured], limits: dict[str, float], octets: float) -> int:
    faults = [
        f"{each.lost + each.wrong} of {each.count} lookups lost over {each.transport}"
        for each in found
        if not each.clean
    ]
    faults += [
        f"the storm takes {part:.2f} of a core over {each.transport}"
        for each in filter(_is_storm, found)
        if (part := each.microseconds.median * STORM / 1e6) >= CORE
    ]
    for each in found:
        if each.ratio is not None:
            faults += over({each.server: each.ratio}, f"{each.transport}, {each.load}", limits)
    if octets >= 4096:
        faults.append(f"a dialog takes {octets:.0f} octets")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a lookup costs.")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each server gets")
    parser.add_argument("--lookups", type=int, default=1000, help="in a turn at the rate")
    parser.add_argument("--closed", type=int, default=4000, help="in a turn without a rate")
    parser.add_argument("--rate", type=float, default=500.0, help="lookups a second")
    parser.add_argument("--warm", type=float, default=TIMERS, help="seconds of turns before those")
    parser.add_argument("--transport", nargs="*", choices=TRANSPORTS, default=TRANSPORTS)
    parser.add_argument("--storm", type=int, default=3_000, help="lookups at the storm's rate")
    parser.add_argument("--ceiling", action="store_true", help="find the highest steady rate")
    parser.add_argument("--max-ratio", type=float, default=MAX_RATIO, help="with the codec")
    parser.add_argument("--max-python", type=float, default=MAX_PYTHON, help="without it")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="let the kernel choose")
    return parser


if __name__ == "__main__":
    sys.exit(main())
