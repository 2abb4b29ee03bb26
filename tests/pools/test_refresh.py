"""Pools over hours and days, played in milliseconds on a loop whose clock jumps."""

import asyncio
import random
from collections import Counter
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from chatredirect.config import HostPort
from chatredirect.dns.resolver import Resolver
from chatredirect.net.target import Target
from chatredirect.pools.refresh import Pools
from tests.dns.fake_dns import FakeDns, dns_settings
from tests.jumping_loop import now, run_jumping

POOL = "pcpool.contoso.com"
COUNT = 1000


def pools(name_servers: FakeDns, **settings: object) -> Pools:
    seed = random.Random(1)
    resolver = Resolver(
        dns_settings(**settings), clock=now, rng=seed, asker=name_servers, resolv_conf="/none"
    )
    return Pools(resolver)


def told(logs: list[EventDict]) -> list[str]:
    """The events of all lines but those of level debug."""
    return [each["event"] for each in logs if each["log_level"] != "debug"]


def address(name_servers: FakeDns, *texts: str, ttl: int = 300) -> None:
    name_servers.records[(POOL, "A")] = (ttl, list(texts))


def test_refreshed_shortly_before_the_ttl_ends() -> None:
    """Each answer is asked for again before its TTL ends, and not much before, for a day."""
    name_servers = FakeDns(negative_ttl=300)
    address(name_servers, "192.0.2.1", ttl=300)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061, "tls")
        kept.start()
        await asyncio.sleep(86400)
        assert pool.usable
        await kept.aclose()

    run_jumping(main())
    times = [time for time, _, _, kind in name_servers.asked if kind == "A"]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(300 * 0.8 < gap < 300 for gap in gaps)
    assert len(set(map(round, gaps))) > 10, "no jitter"


def test_changes_are_taken_over_within_the_ttl() -> None:
    """Records that change, shrink, go and come back are seen within their TTL."""
    name_servers = FakeDns(negative_ttl=30)
    address(name_servers, "192.0.2.1", "192.0.2.2", ttl=60)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(61)
        assert [target.address for target in pool.targets] == ["192.0.2.1", "192.0.2.2"]
        address(name_servers, "192.0.2.2", ttl=60)
        await asyncio.sleep(61)
        assert [target.address for target in pool.targets] == ["192.0.2.2"]
        del name_servers.records[(POOL, "A")]
        await asyncio.sleep(61)
        assert not pool.usable
        assert pool.reason == f"{POOL}: NXDOMAIN"
        address(name_servers, "192.0.2.3", ttl=60)
        await asyncio.sleep(31)
        assert [target.address for target in pool.targets] == ["192.0.2.3"]
        await kept.aclose()

    run_jumping(main())


def test_dns_that_is_down_for_hours() -> None:
    """The last good answer serves on, asked for at least every 10 s, up to the limit; then 480."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=60)
    hour = 3600.0

    async def main() -> None:
        kept = pools(name_servers, stale=2 * hour, retry=10)
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(100)
        name_servers.behaviour = {"192.0.2.53": "silent", "192.0.2.54": "gone"}
        began = now()
        with capture_logs() as logs:
            await asyncio.sleep(1.5 * hour)
            assert pool.usable
            assert pool.stale is not None
            events = told(logs)
            assert events.count("pool_stale") == 1
            assert len(events) < 5, "a line for each failure"
        assert kept.dns_counters.stale > 0
        refreshes = [time for time, _, _, kind in name_servers.asked if time > began + 60]
        gaps = [after - before for before, after in pairwise(refreshes)]
        assert max(gaps) <= 12.0
        await asyncio.sleep(hour)
        assert not pool.usable
        assert "192.0.2.53" in pool.reason
        name_servers.behaviour = {}
        with capture_logs() as logs:
            await asyncio.sleep(20)
        assert pool.usable
        assert told(logs) == ["pool_resolved"]
        await kept.aclose()

    run_jumping(main())


def test_short_outage_is_told_and_ends() -> None:
    """DNS comes back with the same answer: one line says so, and nothing has changed."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=60)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(10)
        with capture_logs() as logs:
            name_servers.behaviour = {"192.0.2.53": "SERVFAIL", "192.0.2.54": "SERVFAIL"}
            await asyncio.sleep(600)
            assert pool.usable
            name_servers.behaviour = {}
            await asyncio.sleep(60)
            assert pool.stale is None
        assert told(logs) == ["pool_stale", "pool_fresh"]
        await kept.aclose()

    run_jumping(main())


def test_negative_answers_are_asked_again_by_the_soa_minimum() -> None:
    """RFC 2308: a name that isn't there is asked for as often as its SOA says, not more."""
    name_servers = FakeDns(negative_ttl=120)

    async def main() -> None:
        kept = pools(name_servers)
        kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(3600)
        await kept.aclose()

    run_jumping(main())
    assert 3600 / 120 <= name_servers.names_asked[(POOL, "A")] <= 3600 / 120 * 1.25 + 1


def test_ttl_zero_is_bounded_by_the_floor() -> None:
    """A TTL of 0 means the floor, or DNS would be asked without end."""
    name_servers = FakeDns(negative_ttl=0)
    address(name_servers, "192.0.2.1", ttl=0)

    async def main() -> None:
        kept = pools(name_servers, ttl_floor=5.0)
        kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(600)
        await kept.aclose()

    run_jumping(main())
    assert name_servers.names_asked[(POOL, "A")] <= 121


def test_ceiling() -> None:
    """A TTL of a year is no reason to ask once a year."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=31_536_000)

    async def main() -> None:
        kept = pools(name_servers, ttl_ceiling=600.0)
        kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(6000)
        await kept.aclose()

    run_jumping(main())
    assert name_servers.names_asked[(POOL, "A")] >= 10


def test_two_pools_of_one_name_ask_once() -> None:
    """Pools that differ in port or transport share what DNS says of the name."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1")

    async def main() -> None:
        kept = pools(name_servers)
        for port in range(5061, 5081):
            kept.get(POOL, port)
        kept.start()
        await asyncio.sleep(3000)
        assert all(pool.usable for pool in kept)
        await kept.aclose()

    run_jumping(main())
    assert name_servers.names_asked[(POOL, "A")] <= 15


def test_refreshes_of_many_pools_are_spread_evenly() -> None:
    """After the burst of the start the refreshes of thousands of pools come evenly."""
    name_servers = FakeDns(latency=0.0002)
    count = 1000
    for number in range(count):
        name_servers.records[(f"p{number}.contoso.com", "A")] = (300, ["192.0.2.1"])
        name_servers.records[(f"p{number}.contoso.com", "AAAA")] = (300, ["2001:db8::1"])

    async def main() -> None:
        kept = pools(name_servers)
        made = [kept.get(f"p{number}.contoso.com", 5061) for number in range(count)]
        kept.start()
        await asyncio.sleep(2.0)
        assert all(pool.usable for pool in made)
        await asyncio.sleep(1000)
        assert all(len(pool.targets) == 2 for pool in made)
        await kept.aclose()

    run_jumping(main())
    seconds = Counter(int(time) for time, _, _, _ in name_servers.asked if time > 400)
    rates = [seconds[second] for second in range(400, 1000)]
    mean = sum(rates) / len(rates)
    assert mean < 2 * count / 250
    assert max(rates) < 3.5 * mean  # a pool asks two questions at a time


def test_all_servers_dead_under_many_pools() -> None:
    """Pools don't queue up behind a dead server: all are known again soon after it is back."""
    name_servers = FakeDns(latency=0.001)
    count = 400
    for number in range(count):
        name_servers.records[(f"p{number}.contoso.com", "A")] = (30, ["192.0.2.1"])

    async def main() -> None:
        kept = pools(name_servers, stale=0.0)
        made = [kept.get(f"p{number}.contoso.com", 5061) for number in range(count)]
        kept.start()
        await asyncio.sleep(20)
        assert all(pool.usable for pool in made)
        name_servers.behaviour = {"192.0.2.53": "silent", "192.0.2.54": "silent"}
        with capture_logs() as logs:
            await asyncio.sleep(120)
        assert not any(pool.usable for pool in made)
        assert len(told(logs)) < 300, "the log is flooded"
        assert "log_lines_left_out" in told(logs)
        name_servers.behaviour = {}
        await asyncio.sleep(20)
        assert all(pool.usable for pool in made)
        await kept.aclose()

    run_jumping(main())


def test_request_for_an_unresolved_pool_puts_it_first() -> None:
    """A pool that somebody asks for while thousands wait for their first answer is next."""
    name_servers = FakeDns(latency=1.0)
    for number in range(5000):
        name_servers.records[(f"p{number}.contoso.com", "A")] = (300, ["192.0.2.1"])

    async def main() -> None:
        kept = pools(name_servers)
        made = [kept.get(f"p{number}.contoso.com", 5061) for number in range(5000)]
        kept.start()
        await asyncio.sleep(0.5)
        last = made[-1]
        assert last.want is not None
        last.want(last)
        await asyncio.sleep(2.1)
        assert last.usable
        assert not made[-2].usable
        await kept.aclose()

    run_jumping(main())


def test_full_rfc3263_in_a_crowd_is_usable_after_one_question() -> None:
    """In a crowd a pool that leaves all to DNS is usable once its name has addresses."""
    name_servers = FakeDns(latency=0.001, negative_ttl=300)
    for number in range(COUNT):
        name = f"p{number}.contoso.com"
        name_servers.records[(name, "A")] = (300, ["192.0.2.1"])
        name_servers.records[(f"_sip._tcp.{name}", "SRV")] = (300, ["0 1 5070 " + name + "."])

    async def main() -> None:
        kept = pools(name_servers)
        made = [kept.get(f"p{number}.contoso.com") for number in range(COUNT)]
        kept.start()
        await asyncio.sleep(0.2)
        assert all(pool.usable for pool in made)
        assert len(name_servers.asked) < 3 * COUNT
        await asyncio.sleep(30)
        assert {str(target) for pool in made for target in pool.targets} == {"tcp://192.0.2.1:5070"}
        await kept.aclose()

    run_jumping(main())


# --- reload


def test_reload_keeps_what_is_valid() -> None:
    """Pools that stay keep their targets and answers; those that go are asked for no more."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=3600)
    name_servers.records[("other.contoso.com", "A")] = (60, ["192.0.2.2"])

    async def main() -> None:
        kept = pools(name_servers)
        stays, goes = kept.get(POOL, 5061), kept.get("other.contoso.com", 5061)
        kept.start()
        await asyncio.sleep(10)
        asked = len(name_servers.asked)
        new = ("new.contoso.com", None, None)
        await kept.update(dns_settings(ttl_ceiling=7200.0), None)
        kept.get(*new)
        await kept.keep({stays.key, new})
        assert kept.get(POOL, 5061) is stays
        assert stays.usable
        await asyncio.sleep(100)
        assert {name for _, _, name, kind in name_servers.asked[asked:] if kind == "A"} == {new[0]}
        assert goes.usable, "a request under way may still hold it"
        assert len(kept) == 2
        await kept.aclose()

    run_jumping(main())


def test_reload_with_other_servers_asks_them() -> None:
    """Other name servers may know another world; until they have answered the old one serves."""
    name_servers = FakeDns(latency=1.0)
    address(name_servers, "192.0.2.1", ttl=3600)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(10)
        address(name_servers, "192.0.2.2", ttl=3600)
        await kept.update(dns_settings(nameservers=(HostPort("192.0.2.55", 53),)), None)
        assert [target.address for target in pool.targets] == ["192.0.2.1"]
        await asyncio.sleep(3)
        assert [target.address for target in pool.targets] == ["192.0.2.2"]
        assert name_servers.asked[-1][1] == "192.0.2.55"
        await kept.aclose()

    run_jumping(main())


def test_reload_with_fixed_names() -> None:
    """A name that moves into dns.hosts is not asked for any more."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=60)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(10)
        fixed = dns_settings(hosts={POOL: (ip_address("192.0.2.9"),)})
        await kept.update(fixed, None)
        await asyncio.sleep(1)
        assert [target.address for target in pool.targets] == ["192.0.2.9"]
        asked = len(name_servers.asked)
        await asyncio.sleep(3600)
        assert len(name_servers.asked) == asked
        await kept.aclose()

    run_jumping(main())


def test_fixed_names_and_addresses_are_there_at_once() -> None:
    """A pool that needs no DNS is usable before anything was started."""

    async def main() -> None:
        kept = pools(FakeDns(), hosts={POOL: (ip_address("192.0.2.9"),)})
        assert kept.get(POOL, 5061, "tls").usable
        assert kept.get("2001:db8::1").usable

    run_jumping(main())


def test_hosts_file_and_resolv_conf_are_watched(tmp_path: Path) -> None:
    """Changes of the hosts file and of resolv.conf are taken over within seconds."""
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=3600)

    async def main() -> None:
        settings = dns_settings(nameservers=(), hosts_file=str(hosts))
        kept = Pools(
            Resolver(settings, clock=now, asker=name_servers, resolv_conf=str(resolv_conf))
        )
        pool = kept.get(POOL, 5061)
        kept.start()
        await asyncio.sleep(10)
        assert "no name server" in pool.reason
        resolv_conf.write_text("search contoso.com\nnameserver 192.0.2.53\n")
        await asyncio.sleep(10)
        assert [target.address for target in pool.targets] == ["192.0.2.1"]
        hosts.write_text(f"192.0.2.7 {POOL}\n")
        await asyncio.sleep(10)
        assert [target.address for target in pool.targets] == ["192.0.2.7"]
        await kept.aclose()

    run_jumping(main())


def test_own_listener_is_told_once() -> None:
    """A pool that leads back here has no target, and the log says why, once."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=60)

    def is_own(target: Target) -> bool:
        return (target.transport, target.port) == ("tcp", 5060)

    async def main() -> None:
        kept = Pools(Resolver(dns_settings(), is_own=is_own, clock=now, asker=name_servers))
        with capture_logs() as logs:
            pool = kept.get(POOL, 5060, "tcp")
            kept.start()
            await asyncio.sleep(3600)
        assert not pool.usable
        assert "own listener" in pool.reason
        assert told(logs) == ["pool_answer_cut", "pool_failed"]
        assert kept.dns_counters.refused_targets == 1
        await kept.aclose()

    run_jumping(main())


def test_fault_of_ours_stops_no_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in one resolution is logged and counted; that pool and all others go on."""
    name_servers = FakeDns()
    address(name_servers, "192.0.2.1", ttl=60)

    async def main() -> None:
        kept = pools(name_servers)
        pool = kept.get(POOL, 5061)
        original = kept.resolver.locate
        calls = 0

        async def crashing(*args: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("a fault of ours")
            return await original(*args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(type(kept.resolver), "locate", lambda self, *a, **k: crashing(*a, **k))
        with capture_logs() as logs:
            kept.start()
            await asyncio.sleep(30)
        assert pool.usable
        assert logs[0]["event"] == "background_work_crashed"
        await kept.aclose()

    run_jumping(main())
