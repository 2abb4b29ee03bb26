"""`python -m benchmarks.dns_faults`: do the answers stay quick while DNS and targets fail?

A daemon under 300 requests a second; its name servers hang, stop and change their zones, its target
stops. Each phase's p99 is held against that of the undisturbed phase of the same run. The servers
are Debian's nsd and knot, the target is Kamailio: the same run as in the tests, which only look
that no request is lost.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.dns.conftest import Servers
from tests.pools.faults import UNDISTURBED, run_faults
from tests.pools.real_targets import Kamailio
from tests.pools.steady_load import Phase
from tests.service.daemon import Daemon, start

ALLOWED = 3.0
"""How many times the undisturbed p99 a fault may cost."""


def main() -> int:
    """Run once and print a table; the exit status is 1 if an answer is missing or too slow."""
    phases = asyncio.run(_run())
    p99_before = next(phase for phase in phases if phase.name == UNDISTURBED).percentile(0.99)
    failed = False
    print(f"{'phase':<40} {'sent':>6} {'missing':>7} {'median':>9} {'p99':>9} {'ratio':>6}")
    for phase in phases:
        median, p99 = phase.percentile(0.5), phase.percentile(0.99)
        ratio = p99 / p99_before
        bad = phase.missing > 0 or ratio > ALLOWED
        failed = failed or bad
        print(
            f"{phase.name:<40} {phase.sent:>6} {phase.missing:>7} {1000 * median:>6.2f} ms "
            f"{1000 * p99:>6.2f} ms {ratio:>6.2f}{'  FAILED' if bad else ''}"
        )
    return int(failed)


async def _run() -> list[Phase]:
    daemons: list[Daemon] = []
    with tempfile.TemporaryDirectory(prefix="chatredirect-faults-") as folder:
        path = Path(folder)
        servers, kamailio = Servers(path / "dns"), Kamailio(path / "kamailio")

        def started(settings: dict[str, object]) -> Daemon:
            daemons.append(start(path, settings))
            return daemons[-1]

        try:
            return (await run_faults(started, servers, kamailio))[1]
        finally:
            for daemon in daemons:
                daemon.stop()
            kamailio.stop()
            servers.stop()


if __name__ == "__main__":
    sys.exit(main())
