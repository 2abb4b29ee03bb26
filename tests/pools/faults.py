"""The faults that DNS and targets can have, one after the other under a steady load."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.dns.conftest import Servers
from tests.dns.odd_servers import odd_server, silent
from tests.pools.real_targets import Kamailio
from tests.pools.steady_load import Phase, SteadyLoad
from tests.service.daemon import Daemon, configuration, endpoint

#: Starts a daemon with a configuration.
Start: TypeAlias = Callable[[dict[str, Any]], Daemon]

UNDISTURBED = "undisturbed"
TARGET_STOPS = "the only target stops, and comes back"
NO_NAME = "NXDOMAIN, and back"


def zone(*targets: Kamailio | int) -> str:
    records = ["fe01 A 127.0.0.1"]
    for target in targets:
        port = target if isinstance(target, int) else target.port
        records.append(f"_sip._tcp.pcpool SRV 1 1 {port} fe01")
    return "\n".join(records)


async def told(daemon: Daemon, event: str, **fields: object) -> None:
    await asyncio.to_thread(daemon.event, event, **fields)


async def run_faults(
    start: Start, servers: Servers, kamailio: Kamailio
) -> tuple[Daemon, list[Phase]]:
    """300 requests a second through every fault; the daemon, and what came of each phase."""
    first, second = servers.nsd(zone(kamailio)), servers.knot(zone(kamailio))
    await asyncio.to_thread(kamailio.start)
    async with odd_server(silent) as quiet:
        daemon = await asyncio.to_thread(
            start,
            configuration(
                endpoints=[endpoint(port=None, transport="tcp", contact="targets")],
                dns={
                    "nameservers": [str(each.address) for each in (first, quiet, second)],
                    "hosts_file": "/dev/null",
                    "timeout": 0.3,
                    "lifetime": 1.5,
                    "retry": 1.0,
                },
                health={"interval": 1.0, "timeout": 1.0, "losses": 2, "successes": 1},
                log={"requests": False},
            ),
        )
        await told(daemon, "pool_resolved")
        async with SteadyLoad(daemon.address()) as load:
            load.phase(UNDISTURBED)
            await asyncio.sleep(3)
            load.phase("zone grows")
            await asyncio.to_thread(first.change, zone(kamailio, 1))
            await told(daemon, "pool_changed")
            await told(daemon, "target_down")
            load.phase("first server hangs, another is silent")
            first.pause()
            await asyncio.sleep(3)
            load.phase("all servers are gone")
            await asyncio.to_thread(second.stop)
            await asyncio.to_thread(first.stop)
            await told(daemon, "pool_stale")
            await asyncio.sleep(2)
            load.phase("zone shrinks while they are gone")
            first.write(zone(kamailio))
            await asyncio.to_thread(first.start)
            await asyncio.sleep(3)
            load.phase(TARGET_STOPS)
            await asyncio.to_thread(kamailio.stop)
            await told(daemon, "pool_down")
            await asyncio.to_thread(kamailio.start)
            await told(daemon, "pool_up")
            load.phase(NO_NAME)
            await asyncio.to_thread(first.change, "other A 192.0.2.1")
            await told(daemon, "pool_failed")
            await asyncio.to_thread(first.change, zone(kamailio))
            await asyncio.sleep(3)
    return daemon, [phase for phase in load.phases if phase.sent]
