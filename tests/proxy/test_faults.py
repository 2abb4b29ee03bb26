"""A fault in one place stops nobody else: what is to be done is done once, each by itself."""

from collections.abc import Callable
from functools import partial

import pytest

from chatredirect.proxy.outgoing_request import OutgoingRequest
from chatredirect.proxy.response_context import ResponseContext
from chatredirect.runtime.work_list import AT_ONCE, Work
from chatredirect.sip.transaction.layer import Transactions
from tests.proxy.in_memory_proxy import FRONT_END, Caller, InMemoryProxy, response, targets
from tests.recording_flow import RecordingFlow


class Fault(Exception):
    """What nobody reckons with."""


def raising(*args: object) -> bool:
    """In the place of any function."""
    raise Fault


def caller(proxy: InMemoryProxy, name: str = "user1") -> Caller:
    return Caller(proxy, name=name, transport=proxy.client.transport.upper())


def client_sends(proxy: InMemoryProxy) -> None:
    proxy.client.send = raising  # type: ignore[method-assign]


def target_sends(proxy: InMemoryProxy) -> None:
    proxy.target().send = raising  # type: ignore[method-assign]


def connect_requests(proxy: InMemoryProxy) -> None:
    proxy.ways.by_dialling = {proxy.targets[0].transport}
    proxy.ways.dial = raising  # type: ignore[method-assign]


FAULTS = [client_sends, target_sends, connect_requests]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("break_it", FAULTS)
def test_a_fault_at_any_send_and_connect_stops_nobody_else(
    break_it: Callable[[InMemoryProxy], None], transport: str
) -> None:
    """No exception leaves a work list: the next call's messages are its own, and sent once."""
    proxy = InMemoryProxy(*targets(transport=transport), transport=transport)
    break_it(proxy)
    proxy.deliver(caller(proxy).write("INVITE"), proxy.client, FRONT_END)
    proxy.deliver(caller(proxy).write("OPTIONS"), proxy.client, FRONT_END)
    core = proxy.core
    assert [*core.sends, *core.connect_requests, *core.resolve_requests, *core.events] == []
    proxy.ways.by_dialling.clear()
    proxy.ways.flows.clear()
    whole = RecordingFlow(transport, peer_port=45155)
    proxy.deliver(caller(proxy, "user2").write("INVITE"), whole, FRONT_END)
    kinds = [sent.kind for sent in whole.take()]
    assert kinds == ["100 INVITE"]
    assert [sent.kind for sent in proxy.target().take()] == ["INVITE"]
    proxy.pass_time(400.0)
    assert proxy.empty


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("lost", [False, True])
def test_a_fault_where_the_way_is_asked_for_is_answered(method: str, lost: bool) -> None:
    """RFC 3261 §16.9: as if the target couldn't be reached; no request stays open without an end.

    It may come with the first sending, or when the connection is gone and another is wanted.
    """
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp")
    if lost:
        proxy.send(caller(proxy).write(method))
    first = proxy.target()
    proxy.ways.reach = raising  # type: ignore[assignment]
    proxy.ways.dial = raising  # type: ignore[method-assign]
    if lost:
        first.gone = True
        proxy.driver.lost(first)
    else:
        proxy.deliver(caller(proxy).write(method), proxy.client, FRONT_END)
    assert proxy.client.take()[-1].kind == f"500 {method}"
    assert not proxy.core.open
    proxy.expire()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("dialled", [False, True])
def test_a_fault_in_sending_a_request_on_is_answered(
    monkeypatch: pytest.MonkeyPatch, method: str, dialled: bool
) -> None:
    """It has no timer yet, so it would stay open, and its peer would have one fewer for ever."""
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp")
    if dialled:
        proxy.ways.by_dialling = {"tcp"}
        proxy.send(caller(proxy).write(method))
    step = proxy.ways.connect if dialled else partial(proxy.send, caller(proxy).write(method))
    monkeypatch.setattr(OutgoingRequest, "write", raising)
    with pytest.raises(Fault):
        step()
    assert proxy.client.take()[-1].kind == f"500 {method}"
    assert not proxy.core.open
    proxy.expire()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("how", ["refused", "lost", "unreachable"])
def test_a_fault_in_going_on_to_the_next_target_is_answered(
    monkeypatch: pytest.MonkeyPatch, method: str, how: str
) -> None:
    """Whatever the first one's end was."""
    transport = "udp" if how == "unreachable" else "tcp"
    proxy = InMemoryProxy(*targets(2, transport=transport), transport=transport)
    if how == "refused":
        proxy.ways.by_dialling = {"tcp"}
    proxy.send(caller(proxy).write(method))
    monkeypatch.setattr(ResponseContext, "_fail", raising)
    if how == "refused":
        with pytest.raises(Fault):
            proxy.ways.fail()
    elif how == "lost":
        proxy.driver.lost(proxy.target())
    else:
        target = proxy.target()
        proxy.driver.unreachable({(target.peer_host, target.peer_port)})
    assert proxy.client.take()[-1].kind == f"500 {method}"
    proxy.expire()


def test_a_fault_in_sending_100_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the first response."""
    proxy = InMemoryProxy()
    monkeypatch.setattr(ResponseContext, "send_100", raising)
    with pytest.raises(Fault):
        proxy.send(caller(proxy).write("INVITE"))
    assert [sent.kind for sent in proxy.client.take()] == ["500 INVITE"]
    proxy.expire()


@pytest.mark.parametrize("downstream", [False, True])
def test_a_fault_in_a_dialog_is_answered(monkeypatch: pytest.MonkeyPatch, downstream: bool) -> None:
    """On either way."""
    proxy = InMemoryProxy(transport="tcp")
    calling = caller(proxy)
    called = calling.begin()
    flow, data = proxy.target(), called.write("INFO")
    if downstream:
        flow, data = proxy.client, calling.write("INFO")
    with monkeypatch.context() as broken:
        broken.setattr(OutgoingRequest, "write", raising)
        with pytest.raises(Fault):
            proxy.deliver(data, flow, FRONT_END if downstream else None)
    assert [sent.kind for sent in flow.take()] == ["500 INFO"]
    proxy.expire()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("status", [200, 486])
def test_a_fault_in_taking_a_response_is_answered(
    monkeypatch: pytest.MonkeyPatch, method: str, status: int
) -> None:
    """Its target sends no other one, unless it is a 2xx to an INVITE: that goes on (§16.7)."""
    proxy = InMemoryProxy()
    proxy.send(caller(proxy).write(method))
    sent = proxy.target().one()
    with monkeypatch.context() as broken:
        broken.setattr(ResponseContext, "_forward_final", raising)
        with pytest.raises(Fault):
            proxy.answer(0, sent, status)
    assert [sent.kind for sent in proxy.client.take()] == [f"500 {method}"]
    again = [sent.kind for sent in proxy.answer(0, sent, status)]
    assert again == (["200 INVITE"] if (method, status) == ("INVITE", 200) else [])
    proxy.expire()


def test_a_fault_in_taking_a_provisional_response_loses_no_more_than_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The final one goes on."""
    proxy = InMemoryProxy()
    invite = caller(proxy).invite()
    with monkeypatch.context() as broken:
        broken.setattr(ResponseContext, "_forward_provisional", raising)
        with pytest.raises(Fault):
            proxy.answer(0, invite, 180)
    assert [sent.kind for sent in proxy.answer(0, invite, 486)] == ["486 INVITE"]
    proxy.expire()


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
    proxy = InMemoryProxy(*targets(2 if several else 1))
    proxy.send(caller(proxy).write(method))
    second = caller(proxy, "user2")
    proxy.now += 0.01
    proxy.send(second.write(method))
    place = ResponseContext if several else Transactions
    monkeypatch.setattr(place, "handle_timers", raising_once(place.handle_timers))
    finals = {sent.kind for _, sent in proxy.pass_time(4.2) if sent.status >= 200}
    assert finals == {f"500 {method}"}
    assert len(proxy.core.open) == 1, "the second one is nobody's fault"
    proxy.expire()


def test_a_fault_while_seeking_is_answered() -> None:
    """RFC 5626 §5.3.1: who can't be looked for is nowhere; the request gets 430."""
    proxy = InMemoryProxy(transport="tcp")
    called = caller(proxy).begin()
    proxy.driver._seek = raising
    proxy.client.gone = True
    target = proxy.target()
    proxy.deliver(
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
    work.carry_out(0.0)
    work.carry_out(0.0)
    assert (done, failed, items) == ([1, 2, 3], [2, 3], [])


def test_a_lost_connection_with_many_requests_takes_several_turns() -> None:
    """Others get the loop after each `AT_ONCE` of them, and nobody is forgotten."""
    many = 3 * AT_ONCE
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp", transactions_per_peer=1000)
    for n in range(many):
        proxy.deliver(caller(proxy, f"user{n}").write("INVITE"), proxy.client, FRONT_END)
    proxy.client.take()
    flow = proxy.target()
    flow.gone = True
    proxy.ways.by_dialling = {"tcp"}
    proxy.wakes.clear()
    proxy.driver.lost(flow)
    turns = 1
    while proxy.core.next_timer() is not None and proxy.core.next_timer() <= proxy.now:
        assert any(wake <= proxy.now for wake in proxy.wakes), "nobody asked to be woken"
        proxy.driver.handle_timers()
        turns += 1
    assert turns >= many / AT_ONCE
    while proxy.ways.wanted:
        proxy.ways.fail()
    assert len(proxy.client.take()) == many
    assert not proxy.core.open


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_the_only_target_gets_the_same_octets_on_a_new_connection(method: str) -> None:
    """RFC 3261 §18.4, §17.2.3: once, with the same branch; a second loss is 500."""
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp")
    proxy.send(caller(proxy).write(method))
    first = proxy.target()
    (octets,) = first.raw
    first.gone = True
    proxy.ways.by_dialling = {"tcp"}
    proxy.driver.lost(first)
    assert proxy.client.take() == []
    second = proxy.ways.connect()
    assert second.raw == [octets]
    proxy.driver.lost(first)  # what is over doesn't end what isn't
    assert proxy.client.take() == []
    proxy.deliver(response(second.one(), 200), second)
    assert proxy.client.one().kind == f"200 {method}"
    proxy.send(caller(proxy).write(method))
    for gone in (second, None):
        flow = gone or proxy.ways.connect()
        flow.gone = True
        proxy.driver.lost(flow)
    assert proxy.client.one().kind == f"500 {method}"


def test_a_request_cancelled_while_it_waits_for_a_new_connection() -> None:
    """§16.10: it isn't sent again, and gets 487."""
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp")
    sender = caller(proxy)
    proxy.send(sender.write("INVITE"))
    first = proxy.target()
    first.gone = True
    proxy.ways.by_dialling = {"tcp"}
    proxy.driver.lost(first)
    proxy.send(sender.write("CANCEL", number=sender.number, branch=sender.last_branch))
    second = proxy.ways.connect()
    assert second.raw == []
    assert [sent.kind for sent in proxy.client.take()] == ["487 INVITE"]
    assert not proxy.core.open
