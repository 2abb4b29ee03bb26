"""Nobody steers the proxy: a Route leads where the dialog began, or nowhere (RFC 3261 §16.12)."""

from dataclasses import replace

import pytest

from chatredirect.net.target import Target
from chatredirect.sip.response import Peer
from tests.proxy.in_memory_proxy import (
    CONTACT,
    FRONT_END,
    STRANGER,
    Called,
    Caller,
    InMemoryProxy,
    record_route,
    response,
    targets,
)
from tests.proxy.test_dialogs import from_pool

NEXT = "sip:fe.contoso.com:5060;transport=tcp;lr"
VICTIM = "sip:victim.example.org:5060;transport=tcp;lr"
FRONT_ENDS = {
    transport: Target(transport, "192.0.2.3", 5060, "fe.contoso.com", domain="fe.contoso.com")  # type: ignore[arg-type]
    for transport in ("udp", "tcp", "tls")
}


def begin(proxy: InMemoryProxy, behind: str = NEXT, transport: str = "TCP") -> Called:
    """A dialog of a caller behind a front end; the called end."""
    invite = Caller(proxy, transport).invite(more=f"Record-Route: <{behind}>\r\n" if behind else "")
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
    return Called(proxy, invite, ok)


def instead(data: bytes, behind: str, other: str) -> bytes:
    """The same request with another next Route."""
    changed = data.replace(behind.encode(), other.encode())
    assert changed != data
    return changed


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        VICTIM,
        NEXT.replace(":5060", ":5061"),
        NEXT.replace(":5060", ""),
        NEXT.replace("tcp", "tls"),
        NEXT.replace(";transport=tcp", ""),
        NEXT.replace("sip:", "sips:"),
        NEXT.replace(";lr", ";maddr=203.0.113.9;lr"),
    ],
)
def test_another_next_hop_than_the_dialog_began_with(other: str, gone: bool) -> None:
    """The signed Route vouches for scheme, host, port, transport and maddr: else 430."""
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy)
    proxy.client.gone = gone
    (answer,) = from_pool(proxy, instead(called.write("INFO"), NEXT, other), FRONT_END)
    assert answer.kind == "430 INFO"
    assert not from_pool(proxy, instead(called.write("BENOTIFY"), NEXT, other), FRONT_END)
    assert not proxy.sought
    assert not proxy.client.raw
    assert proxy.core.counters.refused == {"next_hop": 2}
    proxy.expire()


@pytest.mark.parametrize("method", ["INFO", "BENOTIFY", "ACK"])
def test_a_next_hop_where_the_dialog_began_without_one(method: str) -> None:
    """Nobody has vouched for it."""
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy, "")
    proxy.client.gone = True
    data = called.write(method).replace(b"\r\nFrom:", b"\r\nRoute: <%b>\r\nFrom:" % VICTIM.encode())
    answers = from_pool(proxy, data, FRONT_END)
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])
    assert not proxy.sought


@pytest.mark.parametrize(
    "other",
    [
        NEXT.replace("fe.contoso", "FE.Contoso").replace("tcp", "TCP"),
        NEXT.replace(";lr", ";lr;x=y"),
        NEXT.replace("com:", "com.:"),
    ],
)
def test_the_same_next_hop_in_another_spelling(other: str) -> None:
    """RFC 3261 §19.1.4: hosts and values without case; other parameters lead nowhere else."""
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy)
    proxy.client.gone = True
    assert not from_pool(proxy, instead(called.write("INFO"), NEXT, other))
    assert len(proxy.sought) == 1


@pytest.mark.parametrize("method", ["INFO", "BENOTIFY", "ACK"])
def test_a_next_hop_that_is_not_trusted(method: str) -> None:
    """The first caller may have written it himself, so it vouches for itself alone."""
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy, VICTIM)
    proxy.client.gone = True
    assert not from_pool(proxy, called.write(method), FRONT_END)
    ((_, found),) = proxy.sought
    victim = Target("tcp", "203.0.113.9", 5060, "victim.example.org", domain="victim.example.org")
    found((victim,))
    assert not proxy.ways.of(victim).raw
    answers = proxy.target().take()
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])
    if method != "INFO":
        assert proxy.counters.drops == {"flow_gone": 1}
    proxy.expire()


@pytest.mark.parametrize("method", ["ACK", "BENOTIFY"])
@pytest.mark.parametrize("known", [True, False])
def test_what_has_no_transaction_goes_by_the_next_route_too(method: str, known: bool) -> None:
    """§16.11: the front end has reconnected; an ACK of a 2xx goes where INVITE and INFO go."""
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy)
    if known:
        proxy.names.flows.clear()  # known to be gone
        proxy.names.find = lambda name: None  # type: ignore[method-assign]
    proxy.client.gone = True  # or found out when it is sent
    assert not from_pool(proxy, called.write(method))
    ((uri, found),) = proxy.sought
    assert uri.host == b"fe.contoso.com"
    found((FRONT_ENDS["tcp"],))
    sent = proxy.ways.of(FRONT_ENDS["tcp"]).one()
    assert sent.kind == method
    assert sent["Route"] == f"<{NEXT}>"
    assert not proxy.counters.drops
    proxy.sought.clear()
    from_pool(proxy, called.write(method))
    proxy.sought[0][1](())
    assert proxy.counters.drops == {"flow_gone": 1}


@pytest.mark.parametrize("top", [1, 2])
def test_the_outbound_proxys_own_route_on_top(top: int) -> None:
    """§16.4: entries that name us and no dialog are passed over; the signed one decides."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.routes = ["sip:127.0.0.1:5060;lr"] * top + caller.routes
    assert not proxy.send(caller.write("ACK", number=1))
    assert proxy.target().one().kind == "ACK"
    assert not proxy.send(caller.write("BYE"))
    bye = proxy.target().one()
    assert (bye.kind, bye.all("Route")) == ("BYE", [])


def test_a_strict_router_above_the_outbound_proxys_own_route() -> None:
    """§16.4: both at once."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.target, caller.routes = (
        caller.routes[0],
        ["sip:127.0.0.1:5060;lr", "sip:b.contoso.com;lr", caller.target],
    )
    proxy.send(caller.write("INFO"))
    info = proxy.target().one()
    assert (info.uri, info["Route"]) == ("sip:room@192.0.2.20:5070", "<sip:b.contoso.com;lr>")


def test_own_routes_lead_to_no_foreign_one() -> None:
    """An outbound proxy's Route is no dialog: 403 for an endpoint, 481 for anything else."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.routes = ["sip:127.0.0.1:5060;lr", VICTIM, *caller.routes]
    (answer,) = proxy.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"
    caller.target = "sip:ocschat@contoso.com"
    (answer,) = proxy.send(caller.write("INFO"))
    assert answer.kind == "403 INFO"
    assert not proxy.target().raw


def test_a_spiral() -> None:
    """§16.4, §16.6: a second token of ours is for when the request comes here again."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    first = caller.routes
    other = Caller(proxy)
    other.call_id, other.from_ = caller.call_id, caller.from_
    again = other.invite(more=f"Record-Route: <{NEXT}>\r\n")
    other.routes = again.routes[:1]
    assert first != other.routes
    caller.routes = first + other.routes
    proxy.send(caller.write("INFO"))
    assert proxy.target().one().all("Route") == [f"<{route}>" for route in other.routes]


def test_maddr_goes_before_the_host() -> None:
    """RFC 3263 §4: where the next Route leads is the same to the check and to the connection."""
    behind = "sip:fe.contoso.com:5060;transport=tcp;maddr=192.0.2.3;lr"
    proxy = InMemoryProxy(transport="tcp")
    called = begin(proxy, behind)
    proxy.client.gone = True
    from_pool(proxy, called.write("INFO"))
    ((uri, _),) = proxy.sought
    assert uri.param(b"maddr") == b"192.0.2.3"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:ocschat@contoso.com:5090;maddr=127.0.0.1",
        "sip:ocschat@contoso.com:5090;maddr=127.0.0.1;transport=udp",
        "sip:ocschat@contoso.com;MADDR=127.0.0.1",
    ],
)
def test_a_request_uri_with_our_maddr(uri: str) -> None:
    """§16.4: it has led here, and goes on as if it had none."""
    proxy = InMemoryProxy()
    assert Caller(proxy, target=uri).invite().uri == "sip:ocschat@contoso.com"
    caller = Caller(proxy, target=uri + ";gruu;opaque=srvr:x")
    assert caller.invite().uri == "sip:ocschat@contoso.com;gruu;opaque=srvr:x"


@pytest.mark.parametrize(
    "uri",
    ["sip:ocschat@contoso.com:5080;maddr=127.0.0.1", "sip:x@127.0.0.1;maddr=192.0.2.9"],
)
def test_a_request_uri_with_anothers_maddr(uri: str) -> None:
    """§16.4: of another port or host it isn't ours, so there is no such endpoint."""
    proxy = InMemoryProxy()
    (answer,) = proxy.send(Caller(proxy, target=uri, to="<sip:nobody@contoso.com>").write("INVITE"))
    assert answer.status == 404


def test_a_target_whose_pool_has_left_the_configuration() -> None:
    """docs/proxy.md: its dialogs go on for proxy.target_grace, then they get 481."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    grace = proxy.rules.target_grace
    proxy.pass_time(2 * grace)
    left = {proxy.pool.key}
    proxy.core.go_by(replace(proxy.rules, pools={}, left=left), proxy.now)
    proxy.pass_time(grace - 60)
    assert not proxy.send(caller.write("INFO"))
    assert [sent.kind for sent in proxy.answer(0, proxy.target().one(), 200)] == ["200 INFO"]
    proxy.pass_time(120)
    for answers in (proxy.send(caller.write("INFO")), from_pool(proxy, called.write("INFO"))):
        assert [sent.kind for sent in answers] == ["481 INFO"]
    assert not proxy.send(caller.write("ACK", number=1))
    assert not proxy.target().raw
    assert proxy.core.counters.refused == {"target_gone": 3}
    proxy.core.go_by(proxy.rules, proxy.now)  # it is back
    assert not proxy.send(caller.write("INFO"))


def test_a_restart_counts_as_the_time_at_which_a_pool_has_left() -> None:
    """What was configured before isn't known."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    later = InMemoryProxy()
    later.core.go_by(replace(later.rules, pools={}), later.now)
    caller.proxy = later
    assert not later.send(caller.write("INFO"))
    later.pass_time(later.rules.target_grace + 1)
    (answer,) = later.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_what_dns_says_ends_no_dialog() -> None:
    """Whoever is in a dialog stays in it, however long DNS leaves his target out."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    proxy.set_targets([])
    proxy.targets = targets(1, address="198.51.100.")
    proxy.pass_time(3 * proxy.rules.target_grace)
    assert not proxy.send(caller.write("INFO"))
    address = Peer(b"192.0.2.20", 5070)
    flow = proxy.ways.of(targets()[0])
    assert flow.one().kind == "INFO"
    proxy.deliver(called.write("INFO"), flow, address)
    assert proxy.client.one().kind == "INFO"


@pytest.mark.parametrize(
    ("age", "oldest", "status"),
    [
        (0, 100.0, None),
        (99, 100.0, None),
        (101, 100.0, 481),
        (10**9, None, None),
        (-7000, 100.0, None),
        (-7300, 100.0, 481),
        (-7300, None, 481),
    ],
)
def test_the_age_of_a_dialog(age: int, oldest: float | None, status: int | None) -> None:
    """docs/proxy.md: from its first request on; an instance's clock may be two hours ahead."""
    proxy = InMemoryProxy(dialog_age=oldest)
    caller = Caller(proxy)
    caller.begin()
    proxy.epoch += age
    answers = proxy.send(caller.write("INVITE"))
    assert [sent.status for sent in answers] == [100 if status is None else status]
    if status is None:  # a target refresh renews no route set (RFC 3261 §12.2)
        again = proxy.target().one()
        token = [route.partition("cr-flow=")[2] for route in again.routes]
        assert token == [route.partition("cr-flow=")[2] for route in caller.routes]


@pytest.mark.parametrize("method", ["INFO", "INVITE"])
def test_sips_to_a_pool_without_tls(method: str) -> None:
    """§26.2.2, RFC 5630 §6.2: 480 with Warning 380, within a dialog as before one."""
    proxy = InMemoryProxy(*targets(1, "tcp"))
    caller = Caller(proxy)
    caller.begin()
    caller.target = "sips:room@192.0.2.20:5070"
    (answer,) = proxy.send(caller.write(method))
    assert answer.kind == f"480 {method}"
    assert answer["Warning"].startswith("380 ")
    assert not proxy.send(caller.write("BENOTIFY"))
    caller.routes, caller.target = [], "sips:ocschat@contoso.com"
    assert not proxy.send(caller.write("ACK", number=1))  # nor by way of the endpoint
    assert not proxy.target().raw
    secure = InMemoryProxy(*targets(1, "tls"))
    caller = Caller(secure)
    caller.begin()
    caller.target = "sips:room@192.0.2.20:5070"
    secure.send(caller.write("BENOTIFY"))
    sent = secure.target().one()
    assert sent.kind == "BENOTIFY"
    assert all(route.startswith("sips:") for route in sent.routes)


@pytest.mark.parametrize("method", ["INFO", "BENOTIFY"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_sips_to_the_caller(transport: str, method: str) -> None:
    """§26.2.2: over his own connection or to the next Route, whichever is TLS; else 430."""
    proxy = InMemoryProxy(transport=transport)
    called = begin(proxy, NEXT.replace("tcp", "tls"), transport.upper())
    data = called.write(method).replace(f"{method} sip:".encode(), f"{method} sips:".encode(), 1)
    assert not from_pool(proxy, data)
    if transport == "tls":
        assert proxy.client.one().kind == method
        return
    assert not proxy.client.raw
    ((_, found),) = proxy.sought
    found((FRONT_ENDS["udp"], FRONT_ENDS["tls"], FRONT_ENDS["tcp"]))
    assert proxy.ways.of(FRONT_ENDS["tls"]).one().kind == method
    proxy.sought.clear()
    again = called.write(method).replace(f"{method} sip:".encode(), f"{method} sips:".encode(), 1)
    from_pool(proxy, again)
    proxy.sought[0][1]((FRONT_ENDS["tcp"],))
    assert not proxy.ways.of(FRONT_ENDS["tcp"]).raw
    answers = proxy.target().take()
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])


def test_identities_in_a_request_of_the_pool() -> None:
    """RFC 3325 §5: who is trusted may say who somebody is; an address alone may not."""
    proxy = InMemoryProxy()
    called = Caller(proxy).begin()
    identity = "P-Asserted-Identity: <sip:boss@contoso.com>\r\nX-Other: kept\r\n"
    for method in ("INFO", "BENOTIFY"):
        for source, kept in ((None, 0), (FRONT_END, 1)):
            from_pool(proxy, called.write(method, more=identity), source)
            sent = proxy.client.one()
            assert len(sent.all("P-Asserted-Identity")) == kept
            assert sent["X-Other"] == "kept"


def test_strangers_learn_nothing_of_a_token() -> None:
    """Trust is asked first: good, forged and expired ones are all the same to them."""
    proxy = InMemoryProxy(dialog_age=1.0)
    caller = Caller(proxy)
    called = caller.begin()
    writes = [caller.write("INFO"), called.write("INFO")]
    writes += [data.replace(b"cr-flow=", b"cr-flow=A") for data in writes]
    proxy.epoch += 100
    for data in writes:
        (answer,) = proxy.send(data, source=STRANGER)
        assert answer.kind == "403 INFO"
    assert proxy.core.counters.refused == {"not_trusted": 4}
    proxy.target().take()
    proxy.send(response(called.invite, 200), source=STRANGER)


def test_strangers_learn_nothing_of_a_token_in_a_foreign_uri() -> None:
    """Nor where the URI isn't ours, or is none: a good token gets what a forged one gets."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    (own,) = {route.partition(";")[0] for route in caller.routes}
    for place in ("sip:192.0.2.50:5060", "sip:[", "tel:1"):
        good = caller.write("INFO").replace(own.encode() + b";", place.encode() + b";")
        assert place.encode() in good
        forged = good.replace(b"cr-flow=", b"cr-flow=A")
        assert good != forged
        kinds = [
            [each.kind for each in proxy.send(data, source=STRANGER)] for data in (good, forged)
        ]
        assert kinds[0] == kinds[1], place


def test_an_ack_with_a_forged_token_is_of_no_use() -> None:
    """It gets no answer, so its connection ends when too many come (`limits.useless_messages`)."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    ack = caller.write("ACK", number=1)
    for source in (STRANGER, FRONT_END):
        for data in (ack.replace(b"cr-flow=", b"cr-flow=A"), ack):
            proxy.client.vain = 0
            assert not proxy.send(data, source=source)
            assert proxy.client.vain == (source is STRANGER or data is not ack)
