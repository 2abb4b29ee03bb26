"""Whether anything is lost: many rounds over UDP, TCP and TLS, each answer looked at.

    python -m benchmarks.soak [--rounds 100] [--requests 10000]

One daemon gets the loads of benchmarks.redirect and benchmarks.tls, one transport after the other,
round by round. Nothing is retransmitted, so an answer that doesn't come is lost. Beside them stands
how many datagrams the kernel dropped meanwhile, on the whole machine: UDP may lose those, and what
is lost beyond them nobody can explain. CHATREDIRECT_CODEC=python takes the daemon without the
compiled codec. Exit status 1: an answer was wrong, or one was lost. Exit status 2: nothing could be
measured.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import CannotMeasureError, Load, build, run_load
from benchmarks.processes import Cores, choose_cores
from benchmarks.report import environment, print_about, print_table
from benchmarks.servers import versions
from benchmarks.tls import DAEMON, Client, Contender, tls_daemon
from tests.tls.authority import Authority, new_key

TRANSPORTS = ("udp", "tcp", "tls")


@dataclass(slots=True)
class Sum:
    """What came of all rounds over one transport.

    Attributes:
        drops: datagrams that the kernel dropped meanwhile.
    """

    requests: int = 0
    answered: int = 0
    lost: int = 0
    wrong: int = 0
    drops: int = 0
    complaint: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, count, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    cores = choose_cores(options.pin)
    command = [sys.executable, "-m", "chatredirect"]
    try:
        print_about(environment() | versions(command))
        sums = _run(options, cores, command)
    except CannotMeasureError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    print_table(
        ("", "requests", "answered", "lost", "wrong", "dropped by the kernel"),
        [
            (
                transport.upper(),
                *(f"{n:,}" for n in (each.requests, each.answered, each.lost, each.wrong)),
                f"{each.drops:,}",
            )
            for transport, each in sums.items()
        ],
        options.markdown,
    )
    faults = judge(sums)
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def judge(sums: dict[str, Sum]) -> list[str]:
    """What is not as it must be, a sentence each."""
    faults = []
    for transport, each in sums.items():
        if each.wrong:
            faults.append(f"{transport}: {each.wrong} wrong answers, the first: {each.complaint}")
        if each.lost:
            why = f"the kernel dropped {each.drops} datagrams meanwhile" if each.drops else "why?"
            faults.append(f"{transport}: {each.lost} of {each.requests} lost; {why}")
    return faults


def _run(options: argparse.Namespace, cores: Cores, command: list[str]) -> dict[str, Sum]:
    for transport in ("udp", "tcp"):
        build(f"{transport}_load")
    sums = {transport: Sum() for transport in TRANSPORTS}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatredirect-")))
        authority = Authority(directory / "ca")
        leaf = authority.issue("sip.contoso.com", key=new_key("rsa"))
        client = Client(cores.load, leaf, authority.file, "TLSv1_2", "ECDHE+AESGCM")
        stack.callback(client.close)
        served = stack.enter_context(
            tls_daemon(directory, authority, leaf, DAEMON, command, cores.server, "auto")
        )
        for number in range(options.rounds):
            for transport, each in sums.items():
                before = _drops()
                _one(transport, served, client, options.requests, cores, each)
                each.drops += _drops() - before
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {options.rounds}", end="", file=sys.stderr)
    return sums


def _one(
    transport: str, served: Contender, client: Client, requests: int, cores: Cores, to: Sum
) -> None:
    """One round over one transport."""
    to.requests += requests
    if transport == "tls":
        client.begin("requests", served.port, requests, depth=8)
        account = client.result()
        lost = requests - account.answered - account.wrong
        answered, wrong, complaint = account.answered, account.wrong, account.complaint
    else:
        result = run_load(transport, served.server.port, Load(requests), cores.load)
        lost, answered, wrong = result.lost, result.answered, result.wrong
        complaint = result.complaint
    to.answered += answered
    to.lost += lost
    to.wrong += wrong
    to.complaint = to.complaint or complaint


def _drops() -> int:
    """UDP datagrams that the kernel has dropped because a buffer was full (RFC 4113)."""
    names, values = (
        line.split()
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line.startswith("Udp:")
    )
    counted = dict(zip(names, values, strict=True))
    return int(counted["RcvbufErrors"]) + int(counted["SndbufErrors"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Lost and wrong answers over many rounds of each transport.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=100, help="rounds of each transport")
    add("--requests", type=int, default=10_000, help="requests in a round")
    add("--no-pin", dest="pin", action="store_false", help="let the kernel choose the cores")
    add("--markdown", action="store_true", help="print the table in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
