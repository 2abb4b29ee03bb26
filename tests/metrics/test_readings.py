"""Readings of pools, targets and endpoints, when there are few and when there are very many."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest

from chatredirect.config import HealthSettings
from chatredirect.config.http_section import HttpSettings
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.dns.resolver import DnsCounters
from chatredirect.metrics.catalogue import Family
from chatredirect.metrics.daemon_pages import why_not_ready
from chatredirect.metrics.pools import pool_readings
from chatredirect.net.target import Target
from chatredirect.pools.health import Health, PingOutcome
from chatredirect.pools.pool import Pool
from tests.sip.in_memory_server import endpoint

NOW = 1000.0
TARGET = Target("tcp", "192.0.2.20", 5060, "a.contoso.com")
OTHER = Target("tcp", "192.0.2.21", 5060, "b.contoso.com")

Values = dict[tuple[str, ...], Any]


def located(state: LocatedState, *targets: Target) -> Located:
    return Located(state, targets, "NXDOMAIN", NOW, None, ())


def pool(name: str = "pcpool.contoso.com", *, targets: tuple[Target, ...] = (TARGET,)) -> Pool:
    """A pool for which DNS has said something a minute ago."""
    made = Pool((name, 5060, "tcp"), "ipv4")
    made.take(
        located(LocatedState.FOUND if targets else LocatedState.NONE, *targets), NOW - 60, 86400
    )
    return made


class Every(list[Pool]):
    """All pools, with what goes with them."""

    def __init__(self, *of: Pool, health: Health | None = None) -> None:
        super().__init__(of)
        self.dns_counters = DnsCounters()
        self.prober = None if health is None else SimpleNamespace(health=health)


def read(every: Every, limit: int = 1000) -> tuple[dict[str, Values], int]:
    """The values by metric and labels, and how often others had their turn."""
    settings = SimpleNamespace(http=HttpSettings(pools=limit))
    model: Any = SimpleNamespace(pools=every, settings=settings)
    found: dict[str, Values] = {}
    pauses = 0
    for reading in pool_readings(model, NOW):
        if reading is None:
            pauses += 1
            continue
        family, samples = reading
        assert isinstance(family, Family)
        assert family.name not in found, "a metric comes once"
        found[family.name.removeprefix("chatredirect_")] = dict(samples)
    return found, pauses


def test_a_pool_is_in_one_of_five_states() -> None:
    stale, down = pool(), pool(targets=(OTHER,))
    stale.take(located(LocatedState.FAILED), NOW, 86400)
    down.review(lambda place: True)
    waiting = Pool(("later.contoso.com", None, None), "ipv4")
    every = Every(pool(), pool(), stale, down, pool(targets=()), waiting)
    values, _ = read(every)
    assert values["pools"] == {
        ("usable",): 2,
        ("stale",): 1,
        ("down",): 1,
        ("failed",): 1,
        ("waiting",): 1,
    }


def test_the_oldest_answer() -> None:
    assert read(Every())[0]["pools_oldest_answer_seconds"] == {(): 0}
    assert read(Every(pool()))[0]["pools_oldest_answer_seconds"] == {(): 60}


def test_single_pools() -> None:
    six = Pool(("2001:db8::1", None, None), "ipv4")
    values, _ = read(Every(pool(), six))
    assert values["pool_usable"] == {
        ("pcpool.contoso.com:5060;transport=tcp",): True,
        ("[2001:db8::1]",): False,
    }
    assert values["pool_answer_age_seconds"] == {("pcpool.contoso.com:5060;transport=tcp",): 60}


def test_very_many_pools_have_sums_alone_and_others_have_their_turn() -> None:
    every = Every(*(pool(f"p{number}.contoso.com") for number in range(10_000)))
    values, pauses = read(every)
    assert values["pools"][("usable",)] == 10_000
    assert values["pool_usable"] == {}
    assert pauses >= 20


def test_targets() -> None:
    settings = HealthSettings(losses=1)
    health = Health(settings, random.Random(1))
    health.watch([TARGET, OTHER], NOW)
    health.observe(TARGET, PingOutcome.LOST, "no response", NOW)
    values, _ = read(Every(health=health))
    assert values["targets"] == {("unknown",): 1, ("up",): 0, ("down",): 1}
    assert values["target_up"] == {
        ("tcp://192.0.2.20:5060",): False,
        ("tcp://192.0.2.21:5060",): True,
    }
    assert values["target_changes_total"] == {("up",): 0, ("down",): 1}
    few, _ = read(Every(health=health), limit=1)
    assert few["target_up"] == {}
    assert few["targets"] == values["targets"]


# -- ready ----------------------------------------------------------------------------------------


def serving(*endpoints: Any, **keys: Any) -> Any:
    """A service with these endpoints."""
    settings = SimpleNamespace(http=HttpSettings(ready_needs_targets=True))
    return SimpleNamespace(
        **{"draining": False, "settings": settings, "directory": endpoints} | keys
    )


def entry(usable: bool, **keys: Any) -> Any:
    settings = endpoint("sip:a@contoso.com", **keys)
    where = SimpleNamespace(usable=usable, resolved=True)
    return SimpleNamespace(address="sip:a@contoso.com", settings=settings, lookup=None, pool=where)


async def test_ready() -> None:
    assert await why_not_ready(serving(entry(True)), NOW) == []
    assert await why_not_ready(serving(settings=None), NOW) == ["no configuration is served yet"]
    why = ["sip:a@contoso.com has no target that works"]
    assert await why_not_ready(serving(entry(False)), NOW) == why


@pytest.mark.parametrize("keys", [{"on_all_down": "serve"}, {"state": "maintenance"}])
async def test_what_needs_no_target(keys: dict[str, Any]) -> None:
    """Targets that are served though they are down, and endpoints that aren't to be served."""
    assert await why_not_ready(serving(entry(False, **keys)), NOW) == []


async def test_very_many_endpoints_without_a_target() -> None:
    """Some are named, and the event loop goes on meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    found = await why_not_ready(serving(*[entry(False)] * 20_000), NOW)
    counting.cancel()
    assert turns >= 19
    assert len(found) == 21
    assert found[-1] == "and 19980 more"
