"""One name and type, asked once however many want it."""

import asyncio

import dns.rdatatype

from chatredirect.dns.cache import Key, RecordCache
from chatredirect.dns.lookup import DnsLookup, LookupFailed, RecordsFound
from chatredirect.dns.resolution import DnsCounters
from chatredirect.dns.servers import ServerList
from tests.dns.fake_dns import SERVERS, FakeDns, dns_settings
from tests.jumping_loop import now, run_jumping

KEY: Key = ("pcpool.contoso.com", dns.rdatatype.A)
RECORDS = {("pcpool.contoso.com", "A"): (60, ["192.0.2.1"])}


def lookup(network: FakeDns, **settings: object) -> tuple[DnsLookup, DnsCounters]:
    counters = DnsCounters()
    known = dns_settings(**settings)
    servers = ServerList(SERVERS)
    made = DnsLookup(network, RecordCache(known, 100), servers, known, clock=now, counters=counters)
    return made, counters


def test_single_flight() -> None:
    """Concurrent lookups of one name are one query."""
    network = FakeDns(dict(RECORDS))

    async def main() -> None:
        asked, counters = lookup(network)
        found = await asyncio.gather(*(asked.find(KEY, 0.9) for _ in range(50)))
        assert all(isinstance(each, RecordsFound) and each.answer.records for each in found)
        assert len(network.asked) == 1
        assert counters.joined == 49

    run_jumping(main())


def test_single_flight_survives_who_gives_up() -> None:
    """Whoever asked first may be cancelled; the others ask again and get their answer."""
    network = FakeDns(dict(RECORDS), latency=1.0)

    async def main() -> None:
        asked, _ = lookup(network)
        first = asyncio.create_task(asked.find(KEY, 0.9))
        others = [asyncio.create_task(asked.find(KEY, 0.9)) for _ in range(5)]
        await asyncio.sleep(0.5)
        first.cancel()
        others[0].cancel()
        found = await asyncio.gather(*others[1:])
        assert all(isinstance(each, RecordsFound) for each in found)
        assert len(network.asked) == 2

    run_jumping(main())


def test_dead_first_server_costs_one_timeout() -> None:
    """The server that didn't answer is remembered: the next lookups go to the other at once."""
    network = FakeDns(
        {(f"h{n}.contoso.com", "A"): (60, ["192.0.2.1"]) for n in range(100)},
        behaviour={"192.0.2.53": "silent"},
    )

    async def main() -> None:
        asked, counters = lookup(network, timeout=2.0)
        for number in range(100):
            found = await asked.find((f"h{number}.contoso.com", dns.rdatatype.A), 0.9)
            assert isinstance(found, RecordsFound)
        assert now() < 2.0 + 100 * 0.01
        assert counters.timeouts == 1

    run_jumping(main())


def test_all_servers_silent_ends_within_the_lifetime() -> None:
    """Nobody answers: the lookup ends in time, says who was asked, and the next ends at once."""
    behaviour = {"192.0.2.53": "silent", "192.0.2.54": "silent"}
    network = FakeDns(dict(RECORDS), behaviour=behaviour)

    async def main() -> None:
        asked, counters = lookup(network, timeout=1.0, lifetime=4.5)
        failed = await asked.find(KEY, 0.9)
        assert isinstance(failed, LookupFailed)
        assert 4.0 <= now() <= 4.6
        assert "192.0.2.53" in failed.reason
        assert "192.0.2.54" in failed.reason
        assert counters.failures == 1
        before = now()
        while not isinstance(
            await asked.find(("x.contoso.com", dns.rdatatype.A), 0.9), LookupFailed
        ):
            pass
        assert now() - before <= 3.0

    run_jumping(main())


def test_aliases_over_several_answers_are_followed() -> None:
    """An answer may stop at an alias that the server doesn't know; the alias is asked for then."""

    class Stopping(FakeDns):
        def _answer(self, response, name, rdtype):  # type: ignore[no-untyped-def]
            super()._answer(response, name, rdtype)
            del response.answer[1:]
            if response.answer:
                response.authority.clear()
                response.set_rcode(0)

    network = Stopping(
        {
            ("pcpool.contoso.com", "CNAME"): (30, ["a.fabrikam.com."]),
            ("a.fabrikam.com", "CNAME"): (600, ["b.fabrikam.com."]),
            ("b.fabrikam.com", "A"): (600, ["192.0.2.1"]),
        }
    )

    async def main() -> None:
        asked, _ = lookup(network)
        found = await asked.find(KEY, 0.9)
        assert isinstance(found, RecordsFound)
        assert found.answer.records == ("192.0.2.1",)
        assert found.answer.ttl == 30
        assert found.answer.name == "b.fabrikam.com"
        assert len(network.asked) == 3

    run_jumping(main())


def test_alias_loops_over_several_answers_end() -> None:
    """Aliases that lead on for ever are given up after a few."""

    class Endless(FakeDns):
        def _answer(self, response, name, rdtype):  # type: ignore[no-untyped-def]
            self.records = {(name, "CNAME"): (30, [f"x{len(self.asked)}.contoso.com."])}
            super()._answer(response, name, rdtype)
            response.authority.clear()
            response.set_rcode(0)

    network = Endless()

    async def main() -> None:
        asked, _ = lookup(network)
        failed = await asked.find(KEY, 0.9)
        assert isinstance(failed, LookupFailed)
        assert "CNAME loop" in failed.reason
        assert len(network.asked) <= 10

    run_jumping(main())
