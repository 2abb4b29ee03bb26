"""What TLS costs: CPU per redirect and per handshake, memory per idle connection.

    python -m benchmarks.tls [--rounds 5] [--requests 20000] [--handshakes 1000] [--held 10000]

The daemon and Kamailio run side by side with the same certificate and speak the same version and
cipher, mutual TLS, in turns as in benchmarks.redirect. Memory is the proportional set size of all
of a server's processes: what the connections added, divided by their number. Exit status 1: an
answer was wrong or lost, or a ratio is over its limit. Exit status 2: nothing could be measured.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.load_process import LoadProcess
from benchmarks.processes import Cores, choose_cores, cpu_seconds, proportional_octets
from benchmarks.report import Spread, environment, print_about, spread
from benchmarks.servers import (
    IN_PYTHON,
    Server,
    daemon_configuration,
    find_kamailio,
    free_port,
    has_codec,
    in_python,
    running,
    versions,
)
from benchmarks.tls_load import Account, Task
from tests.tls.authority import Authority, Leaf, new_key

DAEMON, PEER = "chatredirect", "kamailio"
_KAMAILIO_CONFIG = Path(__file__).parent / "kamailio.cfg"
_SETTLE = 3.0  # seconds for a server to come to rest before its memory is read


@dataclass(frozen=True, slots=True)
class Contender:
    """A server with a TLS port."""

    server: Server
    port: int


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured of one server; the ratio is that to Kamailio in the same round."""

    what: str
    unit: str
    server: str
    value: Spread
    ratio: Spread | None


class Client:
    """The load process."""

    def __init__(self, core: int | None, leaf: Leaf, ca: Path, version: str, ciphers: str) -> None:
        """Start it on a core; it speaks only `version`, and for TLS 1.2 these ciphers."""
        self._process = LoadProcess(core, "benchmarks.tls_load")
        self._files = leaf.files | {
            "ca": str(ca),
            "version": version,
            "ciphers": ciphers if version == "TLSv1_2" else "",
        }

    def begin(self, what: str, port: int, count: int, **more: int) -> None:
        """Give it something to do."""
        task = Task(what=what, port=port, count=count, **self._files, **more)
        self._process.write(json.dumps(asdict(task)))

    def held(self) -> None:
        """Wait until it holds its connections."""
        self._process.read()

    def let_go(self) -> None:
        """Let it close the connections that it holds."""
        self._process.write("")

    def result(self) -> Account:
        """What came of it, whatever it is."""
        return Account(**json.loads(self._process.read()))

    def account(self) -> Account:
        """What came of it. Raises WrongError if that is not what it must be."""
        account = self.result()
        if account.wrong or account.answered != account.count:
            raise WrongError(
                f"{account.wrong} wrong answers, {account.count - account.answered} missing "
                f"of {account.count}: {account.complaint}"
            )
        return account

    def close(self) -> None:
        """End it."""
        self._process.close()


#: The highest ratios to Kamailio that are promised: with the compiled codec, in Python.
_PROMISED = {"redirect, 1 in one go": (1.25, 2.0), "redirect, 8 in one go": (0.9, 1.5)}


class WrongError(Exception):
    """A server answered wrongly, or not at all."""


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
        rows = _measure(options, cores, daemons)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    except WrongError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    for row in rows:
        ratio = f"   ratio {row.ratio:.2f}" if row.ratio else ""
        print(f"{row.what:34}{row.server:24}{row.value:8.1f} {row.unit}{ratio}")
    if options.json:
        content = {"about": about, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    limits = {"µs": options.max_ratio, "KiB": options.max_memory_ratio}
    faults = judge(rows, limits, codec=IN_PYTHON in daemons)
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def judge(rows: Sequence[Row], limits: Mapping[str, float], *, codec: bool) -> list[str]:
    """Which of what is promised was not kept.

    Args:
        rows: what was measured.
        limits: by unit, the highest ratio to Kamailio of what has none of its own.
        codec: the daemon has the compiled codec; else all rows are of Python.
    """
    faults = []
    for row in rows:
        if row.ratio is None:
            continue
        compiled, python = _PROMISED.get(row.what, (limits[row.unit],) * 2)
        limit = compiled if codec and row.server != IN_PYTHON else python
        if row.ratio.median > limit:
            ratio = f"ratio {row.ratio.median:.2f} is over {limit}"
            faults.append(f"{row.what}, {row.server}: {ratio}")
    return faults


def _measure(options: argparse.Namespace, cores: Cores, daemons: dict[str, list[str]]) -> list[Row]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-")))
        authority = Authority(directory / "ca")
        leaf = authority.issue("sip.contoso.com", key=new_key(options.key))
        client = Client(cores.load, leaf, authority.file, options.version, options.ciphers)
        stack.callback(client.close)
        contenders = [
            stack.enter_context(
                tls_daemon(directory, authority, leaf, name, command, cores.server, options.loop)
            )
            for name, command in daemons.items()
        ]
        if options.peer:
            peer = _kamailio(directory, authority, leaf, cores.server)
            contenders.append(stack.enter_context(peer))
        rows = []
        loads: list[tuple[str, str, int, dict[str, int]]] = [
            (f"redirect, {depth} in one go", "requests", options.requests, {"depth": depth})
            for depth in options.depth
        ]
        loads.append(("handshake and one redirect", "handshakes", options.handshakes, {}))
        for name, what, count, more in loads:
            for each in contenders:
                client.begin(what, each.port, max(count // 10, 1), **more)
                print(f"{each.server.name}: {client.account().cipher}")
            rounds = []
            for number in range(options.rounds):
                turns = contenders if number % 2 == 0 else contenders[::-1]
                used = {}
                for each in turns:
                    before = cpu_seconds(each.server.pids)
                    client.begin(what, each.port, count, **more)
                    client.account()
                    spent = cpu_seconds(each.server.pids) - before
                    used[each.server.name] = spent / count * 1e6
                rounds.append(used)
            rows += _rows(name, "µs", rounds)
        if options.held:
            rows += _rows("idle connection", "KiB", [_memory(contenders, client, options.held)])
        return rows


def _memory(contenders: list[Contender], client: Client, held: int) -> dict[str, float]:
    """KiB for each of many idle connections, by server."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < held + 200:
        raise CannotMeasureError(f"{held} connections need ulimit -n {held + 200}, not {hard}")
    used = {}
    for each in contenders:
        before = proportional_octets(each.server.pids)
        client.begin("hold", each.port, held)
        client.held()
        time.sleep(_SETTLE)
        used[each.server.name] = (proportional_octets(each.server.pids) - before) / held / 1024
        client.let_go()
        client.account()
    return used


def _rows(what: str, unit: str, rounds: list[dict[str, float]]) -> list[Row]:
    rows = []
    for server in rounds[0]:
        ratios = [used[server] / used[PEER] for used in rounds if server != PEER and PEER in used]
        values = [used[server] for used in rounds]
        rows.append(Row(what, unit, server, spread(values), spread(ratios) if ratios else None))
    return rows


@contextmanager
def tls_daemon(
    directory: Path,
    authority: Authority,
    leaf: Leaf,
    name: str,
    command: list[str],
    core: int | None,
    loop: str,
) -> Iterator[Contender]:
    """The daemon with one endpoint, over UDP, TCP and TLS; its name in the table is `name`."""
    port, secure = free_port(), free_port()
    text = daemon_configuration(port, 1, loop).replace("]\n", f", tls://127.0.0.1:{secure}]\n", 1)
    many = 1_000_000
    text += f"tls: {{certificate: {leaf.certificate}, private_key: {leaf.private_key}, "
    text += f"ca: {authority.file}}}\n"
    text += f"limits: {{connections: {many}, connections_per_peer: {many}, "
    text += f"handshakes: {many}, handshakes_per_peer: {many}}}\n"
    config = directory / f"{port}.yaml"
    config.write_text(text)
    arguments = [*command, "run", "--config", str(config)]
    with running(name, arguments, directory, port, core) as server:
        yield Contender(server, secure)


@contextmanager
def _kamailio(
    directory: Path, authority: Authority, leaf: Leaf, core: int | None
) -> Iterator[Contender]:
    program = find_kamailio()
    port, secure = free_port(), free_port()
    profile = directory / "tls.cfg"
    profile.write_text(
        "[server:default]\nmethod = TLSv1.2+\nverify_certificate = yes\n"
        f"require_certificate = yes\nprivate_key = {leaf.private_key}\n"
        f"certificate = {leaf.certificate}\nca_list = {authority.file}\n"
    )
    text = _KAMAILIO_CONFIG.read_text()
    assert "tcp_max_connections=4096" in text
    text = text.replace("@PORT@", str(port)).replace(
        "tcp_max_connections=4096",
        "tcp_max_connections=30000\ntls_max_connections=30000\nenable_tls=yes\n"
        f"listen=tls:127.0.0.1:{secure}\n"
        f'loadmodule "tls.so"\nmodparam("tls", "config", "{profile}")',
    )
    config = directory / "kamailio-tls.cfg"
    config.write_text(text)
    arguments = [program, "-f", str(config), "-DD", "-E", "-w", str(directory)]
    arguments += ["-Y", str(directory), "-x", "tlsf", "-X", "tlsf", "-m", "2048"]
    with running(PEER, arguments, directory, port, core) as server:
        yield Contender(server, secure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tls",
        description="CPU and memory over TLS, the daemon and Kamailio in turns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="turns that each server gets")
    add("--requests", type=int, default=20_000, help="requests in a turn")
    add("--depth", type=int, nargs="*", default=[1, 8], help="requests sent in one go")
    add("--handshakes", type=int, default=500, help="handshakes in a turn")
    add("--held", type=int, default=10_000, help="idle connections; 0 leaves memory out")
    add("--key", choices=("ec", "rsa"), default="rsa", help="kind of the certificate's key")
    add("--version", choices=("TLSv1_2", "TLSv1_3"), default="TLSv1_2", help="what is spoken")
    add("--ciphers", default="ECDHE+AESGCM", help="for TLS 1.2")
    add("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="the daemon's loop")
    add(
        "--max-ratio",
        type=float,
        default=1.5,
        help="fail when CPU of a handshake is over this of Kamailio's",
    )
    add("--max-memory-ratio", type=float, default=1.0, help="the same for memory")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--no-peer", dest="peer", action="store_false", help="leave Kamailio out")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
