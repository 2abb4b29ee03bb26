"""Requests leave no cycles behind: reference counts free all that was kept of them.

So nothing waits for the garbage collector, which would have to look at every open request.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.messages import redirect_exchange
from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import DEFAULT
from tests.lookup.in_memory_lookups import REQURI, Client, InMemoryLookups
from tests.proxy.in_memory_proxy import (
    CONTACT,
    Caller,
    InMemoryProxy,
    record_route,
    targets,
)

CALLS = 20


@contextmanager
def no_garbage() -> Iterator[None]:
    """Fails if cyclic garbage is made in the block."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)  # what is found is kept for the test
    try:
        yield
        gc.collect()
        found = [repr(type(each)) for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == []


@no_garbage()
def _make_a_cycle() -> None:
    cycle: list[object] = []
    cycle.append(cycle)


def test_it_would_be_found() -> None:
    with pytest.raises(AssertionError):
        _make_a_cycle()


def _completed(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.begin()
    proxy.send(caller.write("BYE"))
    (ok,) = proxy.answer(0, proxy.target().take()[-1], 200)
    assert ok.kind == "200 BYE"


def _refused(proxy: InMemoryProxy, caller: Caller) -> None:
    invite = caller.invite()
    (answer,) = proxy.answer(0, invite, 486)
    proxy.target().take()
    caller.to = answer["To"]
    proxy.send(caller.write("ACK", number=1, branch=caller.last_branch))


def _cancelled(proxy: InMemoryProxy, caller: Caller) -> None:
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    cancel = proxy.target().one()
    assert cancel.kind == "CANCEL"
    proxy.answer(0, cancel, 200)
    proxy.answer(0, invite, 487)
    proxy.target().take()


def _failed_over(proxy: InMemoryProxy, caller: Caller) -> None:
    invite = caller.invite()
    proxy.answer(0, invite, 503)
    second = proxy.target(1).one()
    proxy.target().take()
    (ok,) = proxy.answer(1, second, 200, more=CONTACT + record_route(second))
    assert ok.kind == "200 INVITE"
    proxy.core.blocklist = type(proxy.core.blocklist)()


def _silent(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.invite()


def _malformed(proxy: InMemoryProxy, caller: Caller) -> None:
    assert proxy.send(caller.write("INVITE", more="Max-Forwards: many\r\n"))
    assert proxy.send(caller.write("INVITE", hops=0))
    for method in ("ACK", "OPTIONS", "INVITE"):
        request = caller.write(method)
        proxy.send(request.replace(b"\r\nCSeq: ", b"\r\nCSeq: x"))
        proxy.send(request.replace(b"\r\nTo: ", b"\r\nNo: "))
        proxy.send(request.replace(b"\r\nCall-ID: ", b"\r\nCall-ID: \n"))
        proxy.send(request.replace(b"Content-Length: 0", b"Content-Length: 0\r\nContent-Length: 1"))
        proxy.send(request.replace(b"Content-Length: 0", b"Route: <sip:"))
        proxy.send(b"SIP/2.0 200 OK\r\n" + request.partition(b"\r\n")[2])
        proxy.send(b"\r\n\r\n" + request)
        proxy.client.framer = StreamFramer(DEFAULT)  # another connection


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    "call", [_completed, _refused, _cancelled, _failed_over, _silent, _malformed]
)
def test_of_a_proxied_call(transport: str, call: Callable[[InMemoryProxy, Caller], None]) -> None:
    """However it ends, once its timers have run."""
    pool = targets(2, transport=transport)
    proxy = InMemoryProxy(*pool, transport=transport, attempt_timeout=4.0)

    def run() -> None:
        caller = Caller(proxy, transport.upper())
        call(proxy, caller)
        proxy.pass_time(400.0)
        proxy.target().raw.clear()
        proxy.target(1).raw.clear()
        proxy.client.raw.clear()
        assert proxy.empty

    run()  # the first one fills caches
    with no_garbage():
        for _ in range(CALLS):
            run()


def test_of_messages_by_themselves() -> None:
    """A redirect, which keeps nothing, and datagrams that are no messages."""
    proxy = InMemoryProxy()
    model = redirect_exchange("udp", "a.contoso.com").request

    def run() -> None:
        for datagram in (model, b"", b"\r\n\r\n", b"\x00" * 40, model[:200], model[:-1]):
            proxy.send(datagram)

    run()
    with no_garbage():
        for _ in range(CALLS):
            run()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_of_a_lost_connection(transport: str) -> None:
    """A call whose connections to both sides are lost, and one that no connection is found for."""
    proxy = InMemoryProxy(*targets(transport="tcp"), transport=transport)
    proxy.ways.by_dialling.add("tcp")

    def run() -> None:
        caller = Caller(proxy, transport.upper())
        proxy.send(caller.write("INVITE"))
        proxy.ways.fail()
        proxy.core.blocklist = type(proxy.core.blocklist)()
        proxy.send(Caller(proxy, transport.upper()).write("INVITE"))
        flow = proxy.ways.connect()
        flow.gone = True
        proxy.driver.lost(flow)
        proxy.ways.fail()
        proxy.core.blocklist = type(proxy.core.blocklist)()
        proxy.pass_time(400.0)
        proxy.client.raw.clear()
        assert proxy.empty

    run()
    with no_garbage():
        for _ in range(CALLS):
            run()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_of_a_lookup(transport: str) -> None:
    """One that ends with a BYE, and one that the client leaves open."""
    lookups = InMemoryLookups(transport=transport)

    def run() -> None:
        client = Client(lookups)
        assert client.invite().status == 200
        client.ack()
        client.ask("INFO", body=REQURI)
        client.ask("BYE")
        assert Client(lookups).invite().status == 200
        lookups.pass_time(400)
        lookups.flow.raw.clear()
        assert not lookups.core.dialogs
        assert not len(lookups.core.transactions)

    run()
    with no_garbage():
        for _ in range(CALLS):
            run()
