"""Whatever comes: no exception, no transaction that stays, no memory that grows."""

import gc
import random
import tracemalloc

import pytest

from chatredirect.sip.response import Peer
from tests.proxy.in_memory_proxy import (
    CONTACT,
    STRANGER,
    Caller,
    InMemoryProxy,
    record_route,
    response,
    targets,
)
from tests.recording_flow import RecordingFlow
from tests.sent_message import read


def test_ack_floods_keep_nothing() -> None:
    """ACKs of nothing, of somebody else's dialog, with forged Routes: counted and forgotten."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    good = caller.write("ACK", number=1)
    for number in range(300):
        data = good.replace(b"z9hG4bK", b"z9hG4bK%d" % number)
        assert not proxy.send(data.replace(b"cr-flow=", b"cr-flow=x"))
        assert not proxy.send(data, source=STRANGER)
        assert not proxy.send(data.replace(b"cr-flow", b"other"))
    assert not proxy.target().raw
    assert len(proxy.core.transactions) == 2  # those of the INVITE
    assert sum(proxy.counters.drops.values()) == 900
    proxy.expire()


@pytest.mark.parametrize("method", ["ACK", "BENOTIFY"])
def test_no_flow_is_made_for_a_stranger(method: str) -> None:
    """What it sends can be forged, and flows are remembered: it mustn't push out the others'."""
    proxy = InMemoryProxy()
    made: list[int] = []
    proxy.client.flow = made.append  # type: ignore[assignment]
    proxy.deliver(Caller(proxy).write(method), proxy.client, STRANGER)
    assert not made
    assert proxy.counters.drops == {method.lower(): 1}


def test_provisional_floods_keep_nothing() -> None:
    """Each is passed on; the last one is all that is kept."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    for status in range(101, 200):
        (sent,) = proxy.answer(0, invite, status, tag=f"t{status}")
        assert sent.status == status
    assert len(proxy.core.transactions) == 2
    (answer,) = proxy.answer(0, invite, 404)
    assert answer.status == 404
    for status in range(101, 200):
        assert not proxy.answer(0, invite, status)
    proxy.expire()


def test_cancel_floods_keep_nothing() -> None:
    """Each gets 481, or 200 for one that is known; the pool sees one."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    known = caller.write("CANCEL", number=1, branch=caller.last_branch)
    for _ in range(100):
        assert [sent.status for sent in proxy.send(known)] == [200]
        assert [sent.status for sent in proxy.send(Caller(proxy).write("CANCEL"))] == [481]
    assert [sent.kind for sent in proxy.target().take()] == ["CANCEL"]
    proxy.expire()


def test_a_stranger_cannot_cancel() -> None:
    """Whoever has guessed a branch: §9.2 asks for nothing more, we do."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    cancel = caller.write("CANCEL", number=1, branch=caller.last_branch)
    assert [sent.status for sent in proxy.send(cancel, source=STRANGER)] == [481]
    assert not proxy.target().raw


GARBAGE = [
    b"",
    b"\r\n\r\n",
    b"SIP/2.0 999 No\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"\xff" * 100,
    b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
    b"INVITE",
]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_pool_that_answers_garbage(transport: str) -> None:
    """It is dropped, and the transaction goes on to its end."""
    proxy = InMemoryProxy(*targets(transport=transport))
    invite = Caller(proxy).invite()
    for data in GARBAGE:
        _over_a_new_connection(proxy, data)
    good = response(invite, 200)
    for broken in (
        good.replace(b"Call-ID: ", b"Call-ID "),
        good.replace(b"CSeq: 1 INVITE", b"CSeq: INVITE"),
        good.replace(b"CSeq: 1 INVITE\r\n", b""),
        good.replace(b"Via: ", b"Vio: "),
        good.replace(b"To: ", b"Ta: "),
        good.replace(b"\r\nTo", b"\nTo"),
        good.replace(b"Content-Length: 0", b"Content-Length: 10"),
        good.replace(b"Content-Length: 0", b"Content-Length: x"),
        good.replace(b"SIP/2.0 200", b"SIP/3.0 200"),
    ):
        _over_a_new_connection(proxy, broken)
    assert not proxy.client.take()
    (answer,) = proxy.answer(0, invite, 200)
    assert answer.status == 200
    proxy.expire()


def _over_a_new_connection(proxy: InMemoryProxy, data: bytes) -> None:
    """After a fault nothing more is read on a connection, so that the next needs another."""
    target = proxy.targets[0]
    proxy.deliver(
        data, RecordingFlow(target.transport, peer_host=target.address, peer_port=target.port)
    )


@pytest.mark.parametrize("status", [200, 486, 180])
@pytest.mark.parametrize(
    "change",
    [
        (b";tag=called", b";tag=a;tag=b"),
        (b";tag=called", b'"'),
        (b"z9hG4bK", b"z9HG4BK"),
        (b"CSeq: 1 INVITE", b"CSeq: 1  INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: 7 INVITE"),
        (b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch", b"Via: SIP/2.0/UDP 127.0.0.1:5060;x=y;branch"),
        (b"Via: ", b"v :  "),
        (b"Via: ", b"VIA:\r\n "),
        (b"Content-Length: 0", b"l: 0"),
        (b"Content-Length: 0\r\n", b""),
        (b"From: ", b"f: "),
    ],
)
def test_odd_responses_raise_nothing(status: int, change: tuple[bytes, bytes]) -> None:
    """Passed on as they are, or dropped."""
    proxy = InMemoryProxy()
    data = response(Caller(proxy).invite(), status)
    proxy.deliver(data.replace(*change), proxy.target())
    assert all(len(sent.all("Via")) + len(sent.all("v")) == 1 for sent in proxy.client.take())
    proxy.pass_time(40.0)
    proxy.expire()


def test_vias_in_one_line() -> None:
    """§7.3.1: a list is a list, however many lines it takes."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    data = response(invite, 200)
    one, other = invite.all("Via")
    data = data.replace(f"Via: {one}\r\nVia: {other}".encode(), f"Via: {one} ,{other}".encode())
    proxy.deliver(data, proxy.target())
    assert proxy.client.one().all("Via") == [other]


def test_oversized_requests() -> None:
    """513 from the limits on any message; nothing is kept."""
    proxy = InMemoryProxy(transport="tcp")
    (answer,) = proxy.send(Caller(proxy, "TCP").write("MESSAGE", body="x" * 70_000))
    assert answer.kind == "513 MESSAGE"
    assert proxy.empty


def test_what_is_read_of_a_route_is_bounded() -> None:
    """docs/answers.md: entries, octets of all fields together, entries that name this server."""
    ours = "sip:127.0.0.1;lr"
    for routes, status in (
        ([ours] * 8, 100),
        ([ours] * 9, 403),
        ([ours + ";a" * 65], 403),
        (["sip:a;lr"] * 70, 403),
        (["sip:a;lr"] * 71, 400),
        (["sip:a;lr;x=" + "y" * 1400] * 3, 400),
    ):
        proxy = InMemoryProxy()
        (answer,) = proxy.send(Caller(proxy, routes=routes).write("INVITE"))
        assert answer.status == status, routes[0]
        assert bool(proxy.target().raw) is (status == 100)
        proxy.expire()


def test_routes_that_cannot_be_read() -> None:
    """400, and nothing goes anywhere."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    for route in ("<", "sip:a,", "<sip:127.0.0.1:5060;lr;cr-flow=", ", ,"):
        caller.routes = []
        (answer,) = proxy.send(caller.write("INFO", more=f"Route: {route}\r\nX: cr-flow=\r\n"))
        assert answer.status in (400, 481)
        (answer,) = proxy.send(Caller(proxy).write("INVITE", more=f"Route: {route}\r\n"))
        assert answer.kind == "400 INVITE"
    assert not proxy.target().raw


PIECES = (
    *(b"cr-flow=", b"Route: <sip:127.0.0.1:5060;lr>\r\n", b"\r\n ", b",", b";tag=x", b"<", b">"),
    *(b"CANCEL", b"ACK", b"INVITE", b"BYE", b"Max-Forwards: 0\r\n", b"Via: ", b"z9hG4bK", b'"'),
    *(b"Proxy-Require: x\r\n", b"\xff", b"Content-Length: 5\r\n", b"SIP/2.0", b"sips:", b";lr"),
)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes(seed: int) -> None:
    """Good messages of both sides with pieces put in, cut out and exchanged, in any order."""
    rng = random.Random(seed)
    proxy = InMemoryProxy(*targets(2), transport="udp")
    proxy.driver.log_requests = False
    callers = [Caller(proxy) for _ in range(3)]
    called = [caller.begin() for caller in callers]
    methods = ("INVITE", "BYE", "INFO", "CANCEL", "ACK", "BENOTIFY", "NOTIFY", "OPTIONS")
    seen: list[bytes] = []
    for _ in range(1500):
        way = rng.random()
        if way < 0.4:
            data = rng.choice(callers).write(
                rng.choice(methods), branch=rng.choice((None, ";branch=z9hG4bKx"))
            )
        elif way < 0.6:
            data = rng.choice(called).write(rng.choice(methods))
        elif seen:
            data = rng.choice(seen)
        else:
            continue
        if rng.random() < 0.6:
            at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            if end - at > 40:
                end = at + rng.randrange(40)
            data = data[:at] + rng.choice(PIECES) * rng.randrange(3) + data[end:]
        flow = rng.choice((proxy.client, proxy.target(0), proxy.target(1)))
        proxy.deliver(
            data, flow, rng.choice((None, STRANGER, Peer(b"127.0.0.1", 45154, trusted=True)))
        )
        for each in (proxy.client, proxy.target(0), proxy.target(1)):
            for raw in each.raw:
                if not raw.startswith(b"SIP/2.0 "):
                    try:
                        seen.append(
                            response(
                                read(raw, ours=False),
                                rng.choice((100, 180, 200, 202, 408, 486, 503, 600)),
                            )
                        )
                    except (ValueError, AssertionError):
                        continue
            each.raw.clear()
        del seen[:-50]
        if rng.random() < 0.05:
            proxy.pass_time(rng.random() * 10)
    proxy.expire()


def _call(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.number = 0
    invite = caller.invite()
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
    caller.accepted(ok)
    proxy.send(caller.write("ACK", number=1))
    proxy.send(caller.write("BYE"))
    bye = proxy.target().take()[-1]
    (ok,) = proxy.answer(0, bye, 200)
    assert ok.kind == "200 BYE"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_hour_of_calls(transport: str) -> None:
    """Memory after an hour is what it was after a minute, and nothing at all when it is quiet."""
    proxy = InMemoryProxy(*targets(transport=transport), transport=transport)
    gc.collect()
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for minute in range(60):
            for _ in range(10):
                caller = Caller(proxy, transport.upper())
                _call(proxy, caller)
                lost = Caller(proxy, transport.upper())
                proxy.send(lost.write("INVITE"))  # whose caller and called side fall silent
                proxy.target().take()
                proxy.pass_time(6.0)
                proxy.target().take()
                proxy.wakes.clear()
                proxy.wakes.append(0.0)
            if minute in (5, 59):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert proxy.core.next_timer() is not None
    proxy.expire()
    assert len(proxy.core._deadlines) == 0
    assert sizes[1] < sizes[0] * 1.2, sizes
