"""What counts as a use, mode by mode, through all of the request handling (docs/configuration.md).

A request and its retransmissions, ACK, INFO and BYE are one use, and only what was served is.
"""

import pytest

from chatredirect.responses.counters import Counters
from chatredirect.sip.response import Peer
from chatredirect.usage.recorder import UsageRecorder
from tests.lookup.in_memory_lookups import Client, InMemoryLookups, endpoint
from tests.proxy.in_memory_proxy import Caller, InMemoryProxy
from tests.sip.in_memory_server import CLIENT, Served, request, serve

ANN = "sip:alice@contoso.com"
AGENT = b"User-Agent: UCCAPI/4.0.7577.0 OC/4.0.7577.0 (Microsoft Lync 2010)"
Uses = list[tuple[str, str, str, bool, str, int]]


def record(counters: Counters) -> UsageRecorder:
    counters.usage = UsageRecorder(lambda: 1_000_000.0)
    counters.usage.on = True
    return counters.usage


def uses(counters: Counters) -> Uses:
    assert counters.usage is not None
    return [
        (k.endpoint, k.caller, k.client.family, k.trusted, k.outcome, u.count)
        for k, u in counters.usage.take().uses.items()
    ]


@pytest.fixture
def served() -> Served:
    made = serve()
    record(made.counters)
    return made


def test_a_redirect(served: Served) -> None:
    invite = request(b"INVITE", b"sip:ocschat@contoso.com", AGENT)
    for _ in range(3):
        answer = served.ask(invite)
        assert answer is not None
        assert answer.status == 302
    served.ask(request(b"ACK", b"sip:ocschat@contoso.com", AGENT))
    expected = ("sip:ocschat@contoso.com", ANN, "Lync 2010", False, "redirected", 1)
    assert uses(served.counters) == [expected]


def test_a_redirect_on_a_stream_of_a_trusted_peer() -> None:
    served = serve(source=Peer(CLIENT.host, CLIENT.port, trusted=True))
    record(served.counters)
    (answer,) = served.stream(request(from_=b'"Ann" <sip:Alice@CONTOSO.com;x=y>;tag=9;epid=3'))
    assert answer.status == 302
    assert uses(served.counters) == [
        ("sip:ocschat@contoso.com", ANN, "unknown", True, "redirected", 1)
    ]


@pytest.mark.parametrize(
    ("method", "uri", "more", "status"),
    [
        (b"OPTIONS", b"sip:ocschat@contoso.com", {}, 200),
        (b"OPTIONS", b"sip:redirect.contoso.com", {}, 200),
        (b"INVITE", b"sip:nobody@contoso.com", {}, 404),
        (b"INVITE", b"sip:down@contoso.com", {}, 480),
        (b"MESSAGE", b"sip:picky@contoso.com", {}, 405),
        (b"BYE", b"sip:ocschat@contoso.com", {"to": b"<sip:ocschat@contoso.com>;tag=x"}, 481),
        (b"CANCEL", b"sip:ocschat@contoso.com", {}, 200),
        (b"INVITE", b"sip:ocschat@contoso.com", {"from_": b"<sip:x"}, 400),
        (b"INVITE", b"sip:ocschat@contoso.com", {"call_id": None}, 400),
    ],
)
def test_what_is_no_use(
    served: Served, method: bytes, uri: bytes, more: dict[str, bytes], status: int
) -> None:
    answer = served.ask(request(method, uri, AGENT, **more))
    assert answer is not None
    assert answer.status == status
    assert not uses(served.counters)


def test_a_caller_that_is_no_sip_address(served: Served) -> None:
    answer = served.ask(request(from_=b"<tel:+15551234>;tag=1"))
    assert answer is not None
    assert answer.status == 302
    ((_, caller, *_),) = uses(served.counters)
    assert caller == "unreadable"


def test_without_a_ledger_nothing_is_counted(served: Served) -> None:
    usage = served.counters.usage
    assert usage is not None
    usage.on = False
    served.ask(request())
    served.counters.usage = None
    served.ask(request())
    served.counters.usage = usage
    assert not uses(served.counters)


def test_a_lookup_is_one_use() -> None:
    lookups = InMemoryLookups()
    record(lookups.counters)
    client = Client(lookups)
    client.invite(more=AGENT.decode() + "\r\n")
    client.ack()
    assert not uses(lookups.counters), "a dialog alone is no answer"
    client.look_up()
    client.look_up()
    client.hang_up()
    assert uses(lookups.counters) == [
        ("sip:ocschat@contoso.com", "sip:user1@contoso.com", "Lync 2010", True, "looked_up", 1)
    ]


def test_a_lookup_without_an_answer_is_none() -> None:
    lookups = InMemoryLookups(endpoint(pool_fqdn="down.contoso.com"))
    record(lookups.counters)
    client = Client(lookups)
    if client.invite().status == 200:
        client.ack()
        client.ask("INFO")
    assert not uses(lookups.counters)


def test_a_proxied_dialog_is_one_use() -> None:
    proxy = InMemoryProxy()
    record(proxy.counters)
    caller = Caller(proxy)
    invite = caller.write("INVITE", more=AGENT.decode() + "\r\n")
    proxy.send(invite)
    asked = proxy.target().one()
    proxy.send(invite)  # a retransmission
    (answer,) = proxy.answer(0, asked, 200, more="Contact: <sip:room@192.0.2.20:5070>\r\n")
    caller.accepted(answer)
    proxy.send(caller.write("ACK", number=1))
    proxy.target().take()
    assert uses(proxy.counters) == [
        ("sip:ocschat@contoso.com", "sip:user1@contoso.com", "Lync 2010", True, "proxied", 1)
    ]


def test_requests_in_a_proxied_dialog_are_none() -> None:
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    record(proxy.counters)
    for method in ("INFO", "INVITE", "BYE"):
        proxy.send(caller.write(method))
        proxy.answer(0, proxy.target().one(), 200)
    proxy.deliver(called.write("INFO"), proxy.target())
    proxy.client.take()
    assert not uses(proxy.counters)


@pytest.mark.parametrize("status", [302, 404, 486, 503])
def test_a_dialog_that_the_pool_refuses_is_none(status: int) -> None:
    proxy = InMemoryProxy()
    record(proxy.counters)
    proxy.answer(0, Caller(proxy).invite(), status)
    proxy.pass_time(40)
    assert not uses(proxy.counters)


def test_pings_through_the_proxy_are_none() -> None:
    proxy = InMemoryProxy()
    record(proxy.counters)
    proxy.send(Caller(proxy).write("OPTIONS"))
    proxy.answer(0, proxy.target().one(), 200)
    proxy.send(Caller(proxy, name="ann").write("MESSAGE"))
    proxy.answer(0, proxy.target().one(), 200)
    assert [(use[1], use[4]) for use in uses(proxy.counters)] == [
        ("sip:ann@contoso.com", "proxied")
    ]
