"""Which addresses are those of a target: as the pools have them, whatever became of them."""

import asyncio
import random

from chatredirect.dns.resolver import Resolver
from chatredirect.pools.refresh import Pools
from tests.dns.fake_dns import FakeDns, dns_settings
from tests.jumping_loop import now, run_jumping

POOL = "pcpool.contoso.com"


def test_they_come_and_go_with_the_targets() -> None:
    """With new records, and with the last pool that has them after a reload."""
    name_servers = FakeDns(negative_ttl=30)
    name_servers.records[POOL, "A"] = (60, ["192.0.2.1", "192.0.2.2"])

    async def main() -> None:
        rng = random.Random(1)
        kept = Pools(
            Resolver(dns_settings(), clock=now, rng=rng, asker=name_servers, resolv_conf="/none")
        )
        found = kept.get(POOL, 5061)
        for port in (5061, 5062):
            kept.get("192.0.2.1", port, "tls")
        kept.start()
        await asyncio.sleep(1)
        assert _in_use(kept) == {"192.0.2.1", "192.0.2.2"}
        name_servers.records[POOL, "A"] = (60, ["192.0.2.3"])
        await asyncio.sleep(120)
        assert _in_use(kept) == {"192.0.2.1", "192.0.2.3"}
        await kept.keep({found.key, ("192.0.2.1", 5062, "tls")})
        assert _in_use(kept) == {"192.0.2.1", "192.0.2.3"}
        await kept.keep({("192.0.2.1", 5062, "tls")})
        assert _in_use(kept) == {"192.0.2.1"}
        await kept.keep(set())
        assert _in_use(kept) == set()
        await kept.aclose()

    run_jumping(main())


def _in_use(pools: Pools) -> set[str]:
    return {f"192.0.2.{n}" for n in range(10) if f"192.0.2.{n}" in pools.addresses}
