"""A fault in one place stops no other lookup: what is to be sent is sent once."""

import pytest

from tests.lookup.world import TRANSPORTS, Client, FakeFlow, World


class Fault(Exception):
    """What nobody reckons with."""


def raising(*args: object) -> bool:
    """In the place of any function."""
    raise Fault


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("step", ["invite", "begin", "look_up", "hang_up"])
def test_a_fault_at_any_send_stops_no_other_lookup(transport: str, step: str) -> None:
    """No exception leaves the work list, and nothing of it is sent again with the next call."""
    world = World(transport=transport)
    flow = world.flow
    first = Client(world, name="user1")
    steps = {"invite": 0, "begin": 1, "look_up": 2, "hang_up": 3}[step]
    if steps > 1:
        first.begin()
    if steps > 2:
        first.look_up()
    flow.send = raising  # type: ignore[method-assign]
    with pytest.raises((IndexError, ValueError, AssertionError)):  # it gets nothing
        getattr(first, step)()
    assert not world.core.sends
    assert not world.core.facts
    world.flow = FakeFlow(transport, peer_port=45155)
    second = Client(world, name="user2").begin()
    second.look_up()
    second.hang_up()
    raws = world.flow.sent
    assert len(raws) == len(set(raws)), "sent twice"
    world.pass_time(400.0)
    assert not world.core.dialogs
