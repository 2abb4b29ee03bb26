"""A fault in one place stops nobody else: what is to be done is done once, each by itself."""

from collections.abc import Callable

import pytest

from chatredirect.proxy.response_context import ResponseContext
from chatredirect.runtime.work_list import AT_ONCE, Work
from chatredirect.sip.transaction.layer import Transactions
from tests.proxy.world import FRONT_END, Caller, Flow, World, response, targets


class Fault(Exception):
    """What nobody reckons with."""


def raising(*args: object) -> bool:
    """In the place of any function."""
    raise Fault


def caller(world: World, name: str = "user1") -> Caller:
    return Caller(world, name=name, transport=world.client.transport.upper())


def client_sends(world: World) -> None:
    world.client.send = raising  # type: ignore[method-assign]


def target_sends(world: World) -> None:
    world.target().send = raising  # type: ignore[method-assign]


def connect_requests(world: World) -> None:
    world.ways.by_dialling = {world.targets[0].transport}
    world.ways.dial = raising  # type: ignore[method-assign]


FAULTS = [client_sends, target_sends, connect_requests]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("break_it", FAULTS)
def test_a_fault_at_any_send_and_connect_stops_nobody_else(
    break_it: Callable[[World], None], transport: str
) -> None:
    """No exception leaves a work list: the next call's messages are its own, and sent once."""
    world = World(*targets(transport=transport), transport=transport)
    break_it(world)
    world.deliver(caller(world).write("INVITE"), world.client, FRONT_END)
    world.deliver(caller(world).write("OPTIONS"), world.client, FRONT_END)
    core = world.core
    assert [*core.sends, *core.connect_requests, *core.resolve_requests, *core.events] == []
    world.ways.by_dialling.clear()
    world.ways.flows.clear()
    whole = Flow(transport, peer_port=45155)
    world.deliver(caller(world, "user2").write("INVITE"), whole, FRONT_END)
    kinds = [sent.kind for sent in whole.take()]
    assert kinds == ["100 INVITE"]
    assert [sent.kind for sent in world.target().take()] == ["INVITE"]
    world.pass_time(400.0)
    assert world.empty


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("lost", [False, True])
def test_a_fault_where_the_way_is_asked_for_is_answered(method: str, lost: bool) -> None:
    """RFC 3261 §16.9: as if the target couldn't be reached; no request stays open without an end.

    It may come with the first sending, or when the connection is gone and another is wanted.
    """
    world = World(*targets(transport="tcp"), transport="tcp")
    if lost:
        world.send(caller(world).write(method))
    first = world.target()
    world.ways.reach = raising  # type: ignore[assignment]
    world.ways.dial = raising  # type: ignore[method-assign]
    if lost:
        first.gone = True
        world.driver.lost(first)
    else:
        world.deliver(caller(world).write(method), world.client, FRONT_END)
    assert world.client.take()[-1].kind == f"500 {method}"
    assert not world.core.open
    world.expire()


def raising_once(whole: Callable[..., object]) -> Callable[..., object]:
    """A function that fails the first time."""
    hits: list[None] = []

    def once(*args: object) -> object:
        hits.append(None)
        if len(hits) == 1:
            raise Fault
        return whole(*args)

    return once


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("where", ["a transaction's time", "a request's time"])
def test_a_fault_in_a_timer_ends_what_it_hits_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, method: str, where: str
) -> None:
    """What has left the heap is waited for by nobody: its sender gets 500, the others go on."""
    several = where == "a request's time"  # one that has another target is due by itself
    world = World(*targets(2 if several else 1))
    world.send(caller(world).write(method))
    second = caller(world, "user2")
    world.now += 0.01
    world.send(second.write(method))
    place = ResponseContext if several else Transactions
    monkeypatch.setattr(place, "handle_timers", raising_once(place.handle_timers))
    finals = {sent.kind for _, sent in world.pass_time(4.2) if sent.status >= 200}
    assert finals == {f"500 {method}"}
    assert len(world.core.open) == 1, "the second one is nobody's fault"
    world.expire()


def test_a_fault_while_seeking_is_answered() -> None:
    """RFC 5626 §5.3.1: who can't be looked for is nowhere; the request gets 430."""
    world = World(transport="tcp")
    called = caller(world).begin()
    world.driver._seek = raising
    world.client.gone = True
    target = world.target()
    world.deliver(
        called.write("INFO").replace(b"From:", b"Route: <sip:192.0.2.7;lr>\r\nFrom:", 1),
        target,
    )
    assert [sent.kind for sent in target.take()] == ["430 INFO"]


def test_what_is_put_into_a_list_meanwhile_is_done_once() -> None:
    """Each item is worked on once, also where doing it calls for the whole list again."""
    done: list[int] = []
    items = [1, 2, 3]

    def do(item: int) -> bool:
        done.append(item)
        work.carry_out(0.0)
        if item == 2:
            raise Fault
        return item != 3

    failed: list[int] = []
    work = Work(items, do, lambda item, _: failed.append(item), "test")
    assert work.carry_out(0.0)
    assert not work.carry_out(0.0)
    assert (done, failed, items) == ([1, 2, 3], [2, 3], [])


def test_a_lost_connection_with_many_requests_takes_several_turns() -> None:
    """Others get the loop after each `AT_ONCE` of them, and nobody is forgotten."""
    many = 3 * AT_ONCE
    world = World(*targets(transport="tcp"), transport="tcp", transactions_per_peer=1000)
    for n in range(many):
        world.deliver(caller(world, f"user{n}").write("INVITE"), world.client, FRONT_END)
    world.client.take()
    flow = world.target()
    flow.gone = True
    world.ways.by_dialling = {"tcp"}
    world.wakes.clear()
    world.driver.lost(flow)
    turns = 1
    while world.core.next_timer() is not None and world.core.next_timer() <= world.now:
        assert any(wake <= world.now for wake in world.wakes), "nobody asked to be woken"
        world.driver.handle_timers()
        turns += 1
    assert turns >= many / AT_ONCE
    while world.ways.wanted:
        world.ways.fail()
    assert len(world.client.take()) == many
    assert not world.core.open


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_the_only_target_gets_the_same_octets_on_a_new_connection(method: str) -> None:
    """RFC 3261 §18.4, §17.2.3: once, with the same branch; a second loss is 500."""
    world = World(*targets(transport="tcp"), transport="tcp")
    world.send(caller(world).write(method))
    first = world.target()
    (octets,) = first.raw
    first.gone = True
    world.ways.by_dialling = {"tcp"}
    world.driver.lost(first)
    assert world.client.take() == []
    second = world.ways.connect()
    assert second.raw == [octets]
    world.driver.lost(first)  # what is over doesn't end what isn't
    assert world.client.take() == []
    world.deliver(response(second.one(), 200), second)
    assert world.client.one().kind == f"200 {method}"
    world.send(caller(world).write(method))
    for gone in (second, None):
        flow = gone or world.ways.connect()
        flow.gone = True
        world.driver.lost(flow)
    assert world.client.one().kind == f"500 {method}"


def test_a_request_cancelled_while_it_waits_for_a_new_connection() -> None:
    """§16.10: it isn't sent again, and gets 487."""
    world = World(*targets(transport="tcp"), transport="tcp")
    sender = caller(world)
    world.send(sender.write("INVITE"))
    first = world.target()
    first.gone = True
    world.ways.by_dialling = {"tcp"}
    world.driver.lost(first)
    world.send(sender.write("CANCEL", number=sender.number, branch=sender.last_branch))
    second = world.ways.connect()
    assert second.raw == []
    assert [sent.kind for sent in world.client.take()] == ["487 INVITE"]
    assert not world.core.open
