"""Nothing grows without bound, and everything is gone when its time is over."""

import gc
import random
import tracemalloc

import pytest

from tests.lookup.in_memory_lookups import REQURI, Client, InMemoryLookups

MANY = 2000


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_hour_of_dialogs(transport: str) -> None:
    """Clients that do all, or stop somewhere on the way: after it the tables are empty again."""
    lookups = InMemoryLookups(transport=transport)
    rng = random.Random(7)
    most = 0
    while lookups.now < 1000 + 3600:
        client = Client(lookups, name=f"user{rng.randrange(50)}", branches=rng.random() < 0.5)
        stop = rng.randrange(6)
        client.invite(contact=None if stop == 5 else client.contact)
        if 0 < stop < 5:
            client.ack()
        if 1 < stop < 5:
            client.ask("INFO", body=REQURI)
        if stop == 3:
            client.ask("INVITE", contact="<sip:x@192.0.2.1>")
        if stop == 4:
            client.hang_up()
        lookups.flow.raw.clear()
        lookups.pass_time(rng.expovariate(0.5))
        most = max(most, len(lookups.core.dialogs))
    lookups.pass_time(30 + 64 + 32)
    assert lookups.empty
    assert 10 < most < 100
    assert set(lookups.core.counters.ended) >= {"bye", "idle", "no_ack"}
    assert sum(lookups.core.counters.ended.values()) == lookups.core.counters.begun


def test_over_the_limit() -> None:
    """480 with Retry-After; who is in a dialog isn't touched, and one that ends makes room."""
    lookups = InMemoryLookups(dialogs=3)
    clients = [Client(lookups).begin() for _ in range(3)]
    refused = Client(lookups)
    answer = refused.invite()
    assert (answer.status, answer["Retry-After"]) == (480, "30")
    assert "too many dialogs" in answer["Warning"]
    clients[0].look_up()
    clients[0].hang_up()
    assert Client(lookups).invite().status == 200


def test_transactions_are_bounded() -> None:
    """Over UDP each lives for half a minute: four for each dialog, then 500."""
    lookups = InMemoryLookups(dialogs=5, transport="udp")
    client = Client(lookups).begin()
    answers = [client.ask("OPTIONS")[0].status for _ in range(25)]
    assert answers == [200] * 19 + [500] * 6
    assert Client(lookups).invite().status == 480
    lookups.pass_time(33)
    assert Client(lookups).invite().status == 200


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("confirmed", [False, True])
def test_memory_of_a_dialog(transport: str, confirmed: bool) -> None:
    """Well under 4 KB each: transactions, timers and what is still to be sent included."""
    lookups = InMemoryLookups(transport=transport, dialogs=MANY)
    routes = "Record-Route: <sip:fe01.contoso.com:5061;transport=tls;lr;ms-route-sig=abcdef>\r\n"
    clients = []
    for n in range(MANY + 1):
        client = Client(lookups, name=f"user{n}")
        clients.append(client)
        if n == 1:  # the first one has filled the caches
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
        if client.invite(more=routes).status == 480:
            break
        if confirmed:
            client.ack()
            client.ask("INFO", body=REQURI)
        lookups.flow.raw.clear()
        clients.clear()
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / (len(lookups.core.dialogs) - 1)
    tracemalloc.stop()
    print(f"{transport}, {'confirmed' if confirmed else 'answered'}: {each:.0f} octets")
    assert each < 4096


def test_what_is_kept_of_an_invite_is_bounded() -> None:
    """513 for one whose repeated header fields are longer than any real one's."""
    lookups = InMemoryLookups()
    more = "Record-Route: <sip:fe01.contoso.com;x=%s;lr>\r\n" % ("x" * 1000)
    assert Client(lookups).invite(more=more * 3).status == 200
    assert Client(lookups).invite(more=more * 4).status == 513
    lookups.pass_time(64)
    lookups.pass_time(64)
    assert lookups.empty


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_is_refused_for_its_size_is_not_kept(transport: str) -> None:
    """docs/answers.md: 513, within a dialog as well; an answer is kept for as long as 32 s."""
    lookups = InMemoryLookups(transport=transport)
    vias = f"Via: SIP/2.0/UDP h;x={'x' * 1000}\r\n" * 4
    before = len(lookups.core.transactions)
    for _ in range(3):
        assert Client(lookups).invite(more=vias).status == 513
    assert len(lookups.core.transactions) == before
    client = Client(lookups).begin()
    before = len(lookups.core.transactions)
    for method in ("INFO", "OPTIONS", "UPDATE", "INVITE", "BYE"):
        (answer,) = client.ask(method, more=vias)
        assert answer.status == 513
    assert len(lookups.core.transactions) == before
    client.look_up()
    assert client.ask("BYE")[0].status == 200


def test_the_dialog_holds_its_flow_before_the_transaction_releases_it() -> None:
    """A connection that its client has half closed would be closed in between."""
    lookups = InMemoryLookups()
    left = []
    release = lookups.flow.release

    def watched() -> None:
        release()
        left.append(lookups.flow.held)

    lookups.flow.release = watched  # type: ignore[method-assign]
    Client(lookups).invite()
    assert left == [1]
