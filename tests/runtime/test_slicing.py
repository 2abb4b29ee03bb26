"""Long work gives way to requests, and the garbage collector keeps out of it."""

import asyncio
import gc
import sys

import pytest

from chatredirect.config import EndpointSettings
from chatredirect.runtime.slicing import TURN_OF_A_THREAD, Slicer, long_lived, short_turns
from chatredirect.service.changes import SHOWN, Changes


async def test_work_gives_way() -> None:
    """Others get their turn as often as the work has taken its time, and not more often."""
    now = 0.0
    slicer = Slicer(0.002, 0.0, lambda: now)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(100):
        now += 0.0005
        await slicer.checkpoint()
    task.cancel()
    assert 20 <= turns <= 30


def test_what_lives_long_is_set_apart() -> None:
    before = gc.get_freeze_count()
    with long_lived():
        assert not gc.isenabled()
        made = [[i] for i in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)
    gc.unfreeze()


def test_the_collector_is_back_after_a_fault() -> None:
    with pytest.raises(ZeroDivisionError), long_lived():
        raise ZeroDivisionError
    assert gc.isenabled()
    gc.unfreeze()


def endpoint(number: int, **keys: object) -> EndpointSettings:
    made = {"sip_address": f"sip:room{number}@contoso.com", "pool_fqdn": "pcpool.contoso.com"}
    return EndpointSettings(**(made | keys))  # type: ignore[arg-type]


def test_changes_are_counted_and_the_first_named() -> None:
    changes = Changes()
    for number in range(100):
        changes.see(None, endpoint(number))
    changes.see(endpoint(1), endpoint(1))
    assert changes.counts == {"added": 100, "removed": 0, "changed": 0}
    assert len(changes.added.named) == SHOWN
    assert changes.added.named[0] == "sip:room0@contoso.com -> pcpool.contoso.com"


def test_where_an_endpoint_is_defined_is_no_change() -> None:
    moved = endpoint(1)
    object.__setattr__(moved, "source", "elsewhere.yaml:7")
    changes = Changes()
    changes.see(endpoint(1), moved)
    assert not changes
    changes.see(endpoint(1), endpoint(1, redirect_status=301))
    assert changes


def test_threads_hand_the_interpreter_over_soon_while_one_works_for_long() -> None:
    usual = sys.getswitchinterval()
    with short_turns:
        assert sys.getswitchinterval() == pytest.approx(TURN_OF_A_THREAD)
        with short_turns:
            pass
        assert sys.getswitchinterval() == pytest.approx(TURN_OF_A_THREAD), "one still works"
    assert sys.getswitchinterval() == pytest.approx(usual)
