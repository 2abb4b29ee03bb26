"""`python -m benchmarks.pools [COUNT]`: what very many pools cost.

How long after the start all pools are usable, asked of an unbound on loopback; how much memory one
takes; how long the order of a caller takes. Each measurement is a process of its own. "fixed port"
is a pool with port and transport, which asks for addresses only; "all by DNS" is one with neither,
whose whole way is eight questions.
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import structlog
import uvloop

from chatredirect.config import DnsSettings, HostPort
from chatredirect.dns.order import Order
from chatredirect.dns.resolver import Resolver
from chatredirect.net.target import Target
from chatredirect.pools.refresh import Pools
from tests.dns.real_servers import free_port, needs
from tests.waiting import wait_until

PROMISED = 2.0
"""Seconds after the start in which all are usable."""
LONGEST = 60.0


def main() -> int:
    """Print the table; the exit status is 1 if the pools were not usable in time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=10_000)
    parser.add_argument("--measure", choices=["fixed", "dns"], help=argparse.SUPPRESS)
    parser.add_argument("--server", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            seconds = runner.run(
                _measure(arguments.count, arguments.measure == "fixed", arguments.server)
            )
        return int(seconds > PROMISED)
    with tempfile.TemporaryDirectory(prefix="chatredirect-pools-") as folder:
        port = free_port()
        server = subprocess.Popen(_unbound(Path(folder), port, arguments.count))
        try:
            time.sleep(2)
            command = [sys.executable, "-m", "benchmarks.pools", str(arguments.count)]
            status = 0
            for way in ("fixed", "dns"):
                more = ["--measure", way, "--server", str(port)]
                status |= subprocess.call([*command, *more])
        finally:
            server.terminate()
            server.wait()
    _measure_order()
    return status


async def _measure(count: int, fixed: bool, server: int) -> float:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    way = ("fixed port", (5061, "tls")) if fixed else ("all by DNS", ())
    settings = DnsSettings(nameservers=(HostPort("127.0.0.1", server),), hosts_file="")
    before, cpu = _resident(), time.process_time()
    pools = Pools(Resolver(settings))
    made = [pools.get(f"pool{number}.contoso.com", *way[1]) for number in range(count)]
    began = time.monotonic()
    pools.start()
    try:
        await wait_until(lambda: all(pool.usable for pool in made), LONGEST)
    except AssertionError:
        await pools.aclose()
        raise
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    await wait_until(lambda: all(pool.want is None for pool in made), 10 * LONGEST)
    whole, questions = time.monotonic() - began, pools.dns_counters.queries
    octets = (_resident() - before) / count
    print(
        f"{count:,} pools, {way[0]}: usable after {seconds:.2f} s ({cpu:.2f} s of CPU), "
        f"all known after {whole:.0f} s and {questions:,} questions, {octets:,.0f} octets each"
    )
    await pools.aclose()
    return seconds


def _measure_order() -> None:
    callers = [b"sip:user%d@contoso.com" % number for number in range(10_000)]
    for count in (1, 2, 4, 16):
        targets = [Target("tls", f"192.0.2.{n}", 5061, f"fe{n}", 0, n) for n in range(count)]
        order = Order(targets, "ipv4")
        began = time.process_time()
        for caller in callers:
            order.for_caller(caller)
        spent = (time.process_time() - began) / len(callers)
        print(f"order of {count} target{'s' if count > 1 else ''}: {1e6 * spent:.1f} µs")


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _unbound(folder: Path, port: int, count: int) -> list[str]:
    lines = [
        "server:",
        "  interface: 127.0.0.1",
        f"  port: {port}",
        "  access-control: 127.0.0.0/8 allow",
        "  num-threads: 1",
        '  username: ""',
        '  chroot: ""',
        f'  directory: "{folder}"',
        '  pidfile: ""',
        "  use-syslog: no",
        "  do-daemonize: no",
        "  verbosity: 0",
        '  local-zone: "contoso.com." static',
        '  local-data: "contoso.com. 300 IN SOA ns.contoso.com. root.contoso.com. 1 9 9 9 300"',
        *(f'  local-data: "pool{n}.contoso.com. 300 IN A 192.0.2.1"' for n in range(count)),
        "remote-control:",
        "  control-enable: no",
    ]
    (folder / "unbound.conf").write_text("\n".join(lines) + "\n")
    return [needs("unbound"), "-d", "-c", str(folder / "unbound.conf")]


if __name__ == "__main__":
    sys.exit(main())
