"""Health with real SIP servers that are stopped and started under the pools."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chatredirect.config import DnsSettings, HealthSettings
from chatredirect.dns.resolver import Resolver
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from tests.dns.conftest import Servers
from tests.pools.real_targets import Kamailio, Sipp, SipTarget
from tests.waiting import wait_until

#: What isn't there refuses at once; what a busy machine holds up has time.
QUICK = HealthSettings(interval=0.2, timeout=5.0, losses=2, successes=2, jitter=0.1)
FIXED = DnsSettings(hosts={"fe01.contoso.com": (ip_address("127.0.0.1"),)}, hosts_file="")


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[Sipp]:
    target = Sipp(tmp_path / "sipp")
    yield target
    target.stop()


@asynccontextmanager
async def pinged(
    port: int, transport: str, health: HealthSettings | None = QUICK
) -> AsyncIterator[tuple[Pools, Pool]]:
    pools = Pools(Resolver(FIXED), health)
    pool = pools.get("fe01.contoso.com", port, transport)  # type: ignore[arg-type]
    pools.start()
    try:
        yield pools, pool
    finally:
        await pools.aclose()


async def goes_down_and_comes_back(target: SipTarget, transport: str) -> None:
    target.start()
    with capture_logs() as logs:
        async with pinged(target.port, transport) as (pools, pool):
            assert pool.usable, "nobody waits for the first ping"
            assert pools.prober is not None
            counters = pools.prober.health.counters
            await wait_until(lambda: counters.pings >= 3)
            assert pool.usable
            assert counters.lost == 0
            await asyncio.to_thread(target.stop)
            await wait_until(lambda: not pool.usable)
            assert pool.reason == "fe01.contoso.com: its only target is down"
            assert pool.resolved
            assert pool.order(b"anna") == pool.targets, "the last order, for on_all_down: serve"
            await asyncio.to_thread(target.start)
            await wait_until(lambda: pool.usable)
            assert (counters.went_down, counters.came_up) == (1, 1)
    events = [each["event"] for each in logs if each["log_level"] != "debug"]
    assert events == ["pool_resolved", "target_down", "pool_down", "target_up", "pool_up"]


async def test_sipp_over_udp(sipp: Sipp) -> None:
    """A SIPp that goes away is left out after two losses, and comes back by itself."""
    await goes_down_and_comes_back(sipp, "udp")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_kamailio(kamailio: Kamailio, transport: str) -> None:
    """The same with Kamailio, over the target's own transport."""
    await goes_down_and_comes_back(kamailio, transport)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_503_takes_a_target_down(kamailio: Kamailio, transport: str) -> None:
    """A server in maintenance answers 503; any other answer means that it works."""
    await asyncio.to_thread(kamailio.start, 503, "Maintenance")
    async with pinged(kamailio.port, transport) as (_, pool):
        await wait_until(lambda: not pool.usable)
        await asyncio.to_thread(kamailio.stop)
        await asyncio.to_thread(kamailio.start, 403, "Forbidden")
        await wait_until(lambda: pool.usable)


async def test_half_of_a_pool(servers: Servers, kamailio: Kamailio) -> None:
    """Of two SRV targets the one that is down is left out of every caller's order."""
    dns = servers.nsd(
        f"_sip._tcp.pcpool SRV 1 1 {kamailio.port} fe01\n"
        "_sip._tcp.pcpool SRV 1 1 1 fe02\n"
        "fe01 A 127.0.0.1\nfe02 A 127.0.0.1"
    )
    await asyncio.to_thread(kamailio.start)
    pools = Pools(Resolver(DnsSettings(nameservers=(dns.address,), hosts_file="")), QUICK)
    pool = pools.get("pcpool.contoso.com", None, "tcp")
    pools.start()
    await wait_until(lambda: len(pool.targets) == 2)
    await wait_until(lambda: len(pool.live) == 1)
    callers = [b"sip:user%d@contoso.com" % number for number in range(100)]
    assert {target.host for caller in callers for target in pool.order(caller)} == {
        "fe01.contoso.com"
    }
    await pools.aclose()


async def test_health_switched_on_and_off_by_a_reload(kamailio: Kamailio) -> None:
    """Without health settings a target that was down counts as working again."""
    async with pinged(kamailio.port, "udp") as (pools, pool):
        await wait_until(lambda: not pool.usable)
        await pools.update(FIXED, None)
        assert pool.usable
        await asyncio.sleep(1)
        assert pool.usable
        await pools.update(FIXED, QUICK)
        await wait_until(lambda: not pool.usable)
