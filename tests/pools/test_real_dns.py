"""Pools with real DNS servers, which are changed, stopped and started under them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from chatredirect.config import DnsSettings, HostPort
from chatredirect.dns.resolution import LocatedState, Trace
from chatredirect.dns.resolver import Resolver
from chatredirect.net.target import PoolAddress
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from tests.dns.conftest import Servers
from tests.dns.odd_servers import odd_server, silent
from tests.dns.real_servers import DnsServer, free_port
from tests.waiting import wait_until

POOL = "pcpool.contoso.com"

WHOLE = """
pcpool NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp.pcpool
pcpool NAPTR 20 50 "s" "SIP+D2U" "" _sip._udp.pcpool
_sips._tcp.pcpool SRV 10 60 5061 fe01
_sips._tcp.pcpool SRV 10 40 5061 fe02
_sips._tcp.pcpool SRV 20 0 5061 alias
_sip._udp.pcpool SRV 0 0 5060 fe01
fe01 A 192.0.2.1
fe01 AAAA 2001:db8::1
fe02 A 192.0.2.2
alias CNAME fe03
fe03 A 192.0.2.3
"""


def settings(*servers: HostPort, **changes: object) -> DnsSettings:
    times = {"timeout": 1.0, "lifetime": 3.0, "retry": 1.0, "hosts_file": ""}
    return DnsSettings(nameservers=servers, **{**times, **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def running(
    known: DnsSettings, port: int | None = None, transport: str | None = None
) -> AsyncIterator[tuple[Pools, Pool]]:
    """A pool that is kept fresh."""
    pools = Pools(Resolver(known))
    pool = pools.get(POOL, port, transport)  # type: ignore[arg-type]
    pools.start()
    try:
        yield pools, pool
    finally:
        await pools.aclose()


def addresses(pool: Pool) -> set[str]:
    return {target.address for target in pool.live}


@pytest.fixture(params=["nsd", "knot", "unbound"])
def whole(request: pytest.FixtureRequest, servers: Servers) -> DnsServer:
    """A server of each kind with the whole chain in its zone; unbound asks an nsd behind it."""
    match request.param:
        case "nsd":
            return servers.nsd(WHOLE)
        case "knot":
            return servers.knot(WHOLE)
        case _:
            return servers.unbound(servers.nsd(WHOLE))


async def test_the_whole_way(whole: DnsServer) -> None:
    """NAPTR, SRV, CNAME, A and AAAA from servers of three makes."""
    resolver = Resolver(settings(whole.address))
    trace = Trace()
    located = await resolver.locate(PoolAddress(POOL), trace=trace)
    await resolver.aclose()
    assert [str(target) for target in located.targets] == [
        "tls://192.0.2.1:5061",
        "tls://[2001:db8::1]:5061",
        "tls://192.0.2.2:5061",
        "tls://192.0.2.3:5061",
    ]
    assert [target.priority for target in located.targets] == [10, 10, 10, 20]
    assert {step.type for step in trace} == {"NAPTR", "SRV", "A", "AAAA"}
    assert all(attempt.seconds < 3 for step in trace for attempt in step.attempts)


async def test_records_that_change(servers: Servers) -> None:
    """A zone that shrinks, grows, loses the name and gets it back is followed by its TTL of 1 s."""
    dns = servers.nsd("pcpool A 192.0.2.1\npcpool A 192.0.2.2")
    async with running(settings(dns.address), 5061, "tls") as (_, pool):
        await wait_until(lambda: addresses(pool) == {"192.0.2.1", "192.0.2.2"})
        await asyncio.to_thread(dns.change, "pcpool A 192.0.2.2")
        await wait_until(lambda: addresses(pool) == {"192.0.2.2"})
        await asyncio.to_thread(dns.change, "other A 192.0.2.9")
        await wait_until(lambda: not pool.usable)
        assert pool.reason == f"{POOL}: NXDOMAIN"
        many = "\n".join(f"pcpool A 192.0.2.{number}" for number in range(1, 15))
        await asyncio.to_thread(dns.change, many)
        await wait_until(lambda: len(pool.live) == 14)


async def test_truncated_answers(servers: Servers) -> None:
    """500 SRV records don't fit into a datagram: TCP brings them, and 64 are used."""
    records = "\n".join(
        f"_sip._tcp.pcpool SRV {number} 1 5060 fe{number % 20}" for number in range(500)
    )
    hosts = "\n".join(f"fe{number} A 192.0.2.{number + 1}" for number in range(20))
    dns = servers.knot(f"{records}\n{hosts}")
    async with running(settings(dns.address), transport="tcp") as (pools, pool):
        await wait_until(lambda: pool.usable)
        assert pools.dns_counters.tcp_queries >= 1
        assert len(pool.targets) == 20  # the same hosts and ports again are the same targets
        assert any("500 SRV records" in note for note in pool.notes)


async def test_server_that_goes_away_and_comes_back(servers: Servers) -> None:
    """With DNS stopped the last good answer serves on; when it is back, changes are seen."""
    dns = servers.nsd("pcpool A 192.0.2.1")
    async with running(settings(dns.address), 5061) as (pools, pool):
        await wait_until(lambda: pool.usable)
        await asyncio.to_thread(dns.stop)
        await wait_until(lambda: pool.stale is not None)
        assert addresses(pool) == {"192.0.2.1"}
        assert pools.dns_counters.failures > 0
        dns.write("pcpool A 192.0.2.7")
        await asyncio.to_thread(dns.start)
        await wait_until(lambda: addresses(pool) == {"192.0.2.7"})
        await wait_until(lambda: pool.stale is None)


async def test_server_that_hangs(servers: Servers) -> None:
    """A server that is there and says nothing is the same, only slower."""
    dns = servers.nsd("pcpool A 192.0.2.1")
    async with running(settings(dns.address, timeout=0.2, lifetime=0.5), 5061) as (pools, pool):
        await wait_until(lambda: pool.usable)
        dns.pause()
        await wait_until(lambda: pool.stale is not None)
        assert addresses(pool) == {"192.0.2.1"}
        assert pools.dns_counters.timeouts > 0
        dns.go_on()
        await wait_until(lambda: pool.stale is None)


async def test_stale_limit(servers: Servers) -> None:
    """Past its limit a stale answer serves no more."""
    dns = servers.nsd("pcpool A 192.0.2.1")
    async with running(settings(dns.address, stale=2.0), 5061) as (_, pool):
        await wait_until(lambda: pool.usable)
        await asyncio.to_thread(dns.stop)
        await wait_until(lambda: not pool.usable)
        assert f"127.0.0.1:{dns.address.port}" in pool.reason


async def test_first_server_is_dead(servers: Servers) -> None:
    """A dead first server, silent or gone, costs no pool anything once it is known."""
    dns = servers.nsd("pcpool A 192.0.2.1")
    gone = HostPort("127.0.0.1", free_port())
    async with odd_server(silent) as quiet:
        known = settings(quiet.address, gone, dns.address, timeout=1.0, lifetime=5.0)
        async with running(known, 5061) as (pools, pool):
            await wait_until(lambda: pool.usable)
            await asyncio.sleep(3)
            assert pool.stale is None
            assert pools.dns_counters.failures == 0
            assert len(quiet.queries) < pools.dns_counters.queries / 2


async def test_servfail_of_the_first_server(servers: Servers) -> None:
    """An nsd refuses what isn't in its zone: the other server is asked."""
    other = servers.nsd("pcpool A 192.0.2.1")
    refusing = servers.dnsmasq(elsewhere="192.0.2.9")
    resolver = Resolver(settings(refusing.address, other.address))
    located = await resolver.locate(PoolAddress("www.fabrikam.com", 80))
    await resolver.aclose()
    assert located.state is LocatedState.FAILED
    assert "REFUSED" in located.reason


async def test_dnsmasq(servers: Servers) -> None:
    """A small forwarder with fixed names of both families and without NAPTR and SRV serves."""
    dns = servers.dnsmasq(pcpool="192.0.2.1,2001:db8::1")
    resolver = Resolver(settings(dns.address))
    located = await resolver.locate(PoolAddress(POOL))
    await resolver.aclose()
    assert [str(each) for each in located.targets] == [
        "udp://192.0.2.1:5060",
        "udp://[2001:db8::1]:5060",
    ]


async def test_cname_to_itself(servers: Servers) -> None:
    """A server that serves an alias of itself, which no sane one loads: words, no hang."""
    dns = servers.nsd("a CNAME b\nb CNAME a\npcpool CNAME a")
    resolver = Resolver(settings(dns.address))
    located = await resolver.locate(PoolAddress(POOL, 5061))
    await resolver.aclose()
    assert located.state is not LocatedState.FOUND
    assert located.reason


async def test_behind_a_caching_resolver(servers: Servers) -> None:
    """Behind a cache TTLs count down; changes come through all the same."""
    origin = servers.nsd("pcpool 3 A 192.0.2.1")
    cache = servers.unbound(origin)
    async with running(settings(cache.address), 5061) as (pools, pool):
        await wait_until(lambda: pool.usable)
        await asyncio.sleep(4)
        assert pools.dns_counters.queries < 30
        await asyncio.to_thread(origin.change, "pcpool 3 A 192.0.2.2")
        await wait_until(lambda: addresses(pool) == {"192.0.2.2"})


async def test_fixed_name_with_a_server_at_hand(servers: Servers) -> None:
    """A name in dns.hosts isn't asked of a server that would know it otherwise."""
    dns = servers.nsd("pcpool A 192.0.2.1")
    known = settings(dns.address, hosts={POOL: (ip_address("192.0.2.20"),)})
    async with running(known) as (pools, pool):
        assert addresses(pool) == {"192.0.2.20"}
        await asyncio.sleep(1)
        assert pools.dns_counters.queries == 0
