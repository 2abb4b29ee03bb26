"""Nobody steers the proxy: a Route leads where the dialog began, or nowhere (RFC 3261 §16.12)."""

from dataclasses import replace

import pytest

from chatredirect.net.target import Target
from chatredirect.sip.response import Peer
from tests.proxy.test_dialogs import from_pool
from tests.proxy.world import (
    CONTACT,
    FRONT_END,
    STRANGER,
    Called,
    Caller,
    World,
    record_route,
    response,
    targets,
)

NEXT = "sip:fe.contoso.com:5060;transport=tcp;lr"
VICTIM = "sip:victim.example.org:5060;transport=tcp;lr"
FRONT_ENDS = {
    transport: Target(transport, "192.0.2.3", 5060, "fe.contoso.com", domain="fe.contoso.com")  # type: ignore[arg-type]
    for transport in ("udp", "tcp", "tls")
}


def begin(world: World, behind: str = NEXT, transport: str = "TCP") -> Called:
    """A dialog of a caller behind a front end; the called end."""
    invite = Caller(world, transport).invite(more=f"Record-Route: <{behind}>\r\n" if behind else "")
    (ok,) = world.answer(0, invite, 200, more=CONTACT + record_route(invite))
    return Called(world, invite, ok)


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
    world = World(transport="tcp")
    called = begin(world)
    world.client.gone = gone
    (answer,) = from_pool(world, instead(called.write("INFO"), NEXT, other), FRONT_END)
    assert answer.kind == "430 INFO"
    assert not from_pool(world, instead(called.write("BENOTIFY"), NEXT, other), FRONT_END)
    assert not world.sought
    assert not world.client.raw
    assert world.core.counters.refused == {"next_hop": 2}
    world.expire()


@pytest.mark.parametrize("method", ["INFO", "BENOTIFY", "ACK"])
def test_a_next_hop_where_the_dialog_began_without_one(method: str) -> None:
    """Nobody has vouched for it."""
    world = World(transport="tcp")
    called = begin(world, "")
    world.client.gone = True
    data = called.write(method).replace(b"\r\nFrom:", b"\r\nRoute: <%b>\r\nFrom:" % VICTIM.encode())
    answers = from_pool(world, data, FRONT_END)
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])
    assert not world.sought


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
    world = World(transport="tcp")
    called = begin(world)
    world.client.gone = True
    assert not from_pool(world, instead(called.write("INFO"), NEXT, other))
    assert len(world.sought) == 1


@pytest.mark.parametrize("method", ["INFO", "BENOTIFY", "ACK"])
def test_a_next_hop_that_is_not_trusted(method: str) -> None:
    """The first caller may have written it himself, so it vouches for itself alone."""
    world = World(transport="tcp")
    called = begin(world, VICTIM)
    world.client.gone = True
    assert not from_pool(world, called.write(method), FRONT_END)
    ((_, found),) = world.sought
    victim = Target("tcp", "203.0.113.9", 5060, "victim.example.org", domain="victim.example.org")
    found((victim,))
    assert not world.ways.of(victim).raw
    answers = world.target().take()
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])
    if method != "INFO":
        assert world.counters.drops == {"flow_gone": 1}
    world.expire()


@pytest.mark.parametrize("method", ["ACK", "BENOTIFY"])
@pytest.mark.parametrize("known", [True, False])
def test_what_has_no_transaction_goes_by_the_next_route_too(method: str, known: bool) -> None:
    """§16.11: the front end has reconnected; an ACK of a 2xx goes where INVITE and INFO go."""
    world = World(transport="tcp")
    called = begin(world)
    if known:
        world.names.flows.clear()  # known to be gone
        world.names.find = lambda name: None  # type: ignore[method-assign]
    world.client.gone = True  # or found out when it is sent
    assert not from_pool(world, called.write(method))
    ((uri, found),) = world.sought
    assert uri.host == b"fe.contoso.com"
    found((FRONT_ENDS["tcp"],))
    sent = world.ways.of(FRONT_ENDS["tcp"]).one()
    assert sent.kind == method
    assert sent["Route"] == f"<{NEXT}>"
    assert not world.counters.drops
    world.sought.clear()
    from_pool(world, called.write(method))
    world.sought[0][1](())
    assert world.counters.drops == {"flow_gone": 1}


@pytest.mark.parametrize("top", [1, 2])
def test_the_outbound_proxys_own_route_on_top(top: int) -> None:
    """§16.4: entries that name us and no dialog are passed over; the signed one decides."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.routes = ["sip:127.0.0.1:5060;lr"] * top + caller.routes
    assert not world.send(caller.write("ACK", number=1))
    assert world.target().one().kind == "ACK"
    assert not world.send(caller.write("BYE"))
    bye = world.target().one()
    assert (bye.kind, bye.all("Route")) == ("BYE", [])


def test_a_strict_router_above_the_outbound_proxys_own_route() -> None:
    """§16.4: both at once."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.target, caller.routes = (
        caller.routes[0],
        ["sip:127.0.0.1:5060;lr", "sip:b.contoso.com;lr", caller.target],
    )
    world.send(caller.write("INFO"))
    info = world.target().one()
    assert (info.uri, info["Route"]) == ("sip:room@192.0.2.20:5070", "<sip:b.contoso.com;lr>")


def test_own_routes_lead_to_no_foreign_one() -> None:
    """An outbound proxy's Route is no dialog: 403 for an endpoint, 481 for anything else."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.routes = ["sip:127.0.0.1:5060;lr", VICTIM, *caller.routes]
    (answer,) = world.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"
    caller.target = "sip:ocschat@contoso.com"
    (answer,) = world.send(caller.write("INFO"))
    assert answer.kind == "403 INFO"
    assert not world.target().raw


def test_a_spiral() -> None:
    """§16.4, §16.6: a second token of ours is for when the request comes here again."""
    world = World()
    caller = Caller(world)
    caller.begin()
    first = caller.routes
    other = Caller(world)
    other.call_id, other.from_ = caller.call_id, caller.from_
    again = other.invite(more=f"Record-Route: <{NEXT}>\r\n")
    other.routes = again.routes[:1]
    assert first != other.routes
    caller.routes = first + other.routes
    world.send(caller.write("INFO"))
    assert world.target().one().all("Route") == [f"<{route}>" for route in other.routes]


def test_maddr_goes_before_the_host() -> None:
    """RFC 3263 §4: where the next Route leads is the same to the check and to the connection."""
    behind = "sip:fe.contoso.com:5060;transport=tcp;maddr=192.0.2.3;lr"
    world = World(transport="tcp")
    called = begin(world, behind)
    world.client.gone = True
    from_pool(world, called.write("INFO"))
    ((uri, _),) = world.sought
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
    world = World()
    assert Caller(world, target=uri).invite().uri == "sip:ocschat@contoso.com"
    caller = Caller(world, target=uri + ";gruu;opaque=srvr:x")
    assert caller.invite().uri == "sip:ocschat@contoso.com;gruu;opaque=srvr:x"


@pytest.mark.parametrize(
    "uri",
    ["sip:ocschat@contoso.com:5080;maddr=127.0.0.1", "sip:x@127.0.0.1;maddr=192.0.2.9"],
)
def test_a_request_uri_with_anothers_maddr(uri: str) -> None:
    """§16.4: of another port or host it isn't ours, so there is no such endpoint."""
    world = World()
    (answer,) = world.send(Caller(world, target=uri, to="<sip:nobody@contoso.com>").write("INVITE"))
    assert answer.status == 404


def test_a_target_whose_pool_has_left_the_configuration() -> None:
    """docs/proxy.md: its dialogs go on for proxy.target_grace, then they get 481."""
    world = World()
    caller = Caller(world)
    called = caller.begin()
    grace = world.rules.target_grace
    world.pass_time(2 * grace)
    left = {world.pool.key}
    world.core.go_by(replace(world.rules, pools={}, left=left), world.now)
    world.pass_time(grace - 60)
    assert not world.send(caller.write("INFO"))
    assert [sent.kind for sent in world.answer(0, world.target().one(), 200)] == ["200 INFO"]
    world.pass_time(120)
    for answers in (world.send(caller.write("INFO")), from_pool(world, called.write("INFO"))):
        assert [sent.kind for sent in answers] == ["481 INFO"]
    assert not world.send(caller.write("ACK", number=1))
    assert not world.target().raw
    assert world.core.counters.refused == {"target_gone": 3}
    world.core.go_by(world.rules, world.now)  # it is back
    assert not world.send(caller.write("INFO"))


def test_a_restart_counts_as_the_time_at_which_a_pool_has_left() -> None:
    """What was configured before isn't known."""
    world = World()
    caller = Caller(world)
    caller.begin()
    later = World()
    later.core.go_by(replace(later.rules, pools={}), later.now)
    caller.world = later
    assert not later.send(caller.write("INFO"))
    later.pass_time(later.rules.target_grace + 1)
    (answer,) = later.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_what_dns_says_ends_no_dialog() -> None:
    """Whoever is in a dialog stays in it, however long DNS leaves his target out."""
    world = World()
    caller = Caller(world)
    called = caller.begin()
    world.set_targets([])
    world.targets = targets(1, address="198.51.100.")
    world.pass_time(3 * world.rules.target_grace)
    assert not world.send(caller.write("INFO"))
    address = Peer(b"192.0.2.20", 5070)
    flow = world.ways.of(targets()[0])
    assert flow.one().kind == "INFO"
    world.deliver(called.write("INFO"), flow, address)
    assert world.client.one().kind == "INFO"


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
    world = World(dialog_age=oldest)
    caller = Caller(world)
    caller.begin()
    world.epoch += age
    answers = world.send(caller.write("INVITE"))
    assert [sent.status for sent in answers] == [100 if status is None else status]
    if status is None:  # a target refresh renews no route set (RFC 3261 §12.2)
        again = world.target().one()
        token = [route.partition("cr-flow=")[2] for route in again.routes]
        assert token == [route.partition("cr-flow=")[2] for route in caller.routes]


@pytest.mark.parametrize("method", ["INFO", "INVITE"])
def test_sips_to_a_pool_without_tls(method: str) -> None:
    """§26.2.2, RFC 5630 §6.2: 480 with Warning 380, within a dialog as before one."""
    world = World(*targets(1, "tcp"))
    caller = Caller(world)
    caller.begin()
    caller.target = "sips:room@192.0.2.20:5070"
    (answer,) = world.send(caller.write(method))
    assert answer.kind == f"480 {method}"
    assert answer["Warning"].startswith("380 ")
    assert not world.send(caller.write("BENOTIFY"))
    caller.routes, caller.target = [], "sips:ocschat@contoso.com"
    assert not world.send(caller.write("ACK", number=1))  # nor by way of the endpoint
    assert not world.target().raw
    secure = World(*targets(1, "tls"))
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
    world = World(transport=transport)
    called = begin(world, NEXT.replace("tcp", "tls"), transport.upper())
    data = called.write(method).replace(f"{method} sip:".encode(), f"{method} sips:".encode(), 1)
    assert not from_pool(world, data)
    if transport == "tls":
        assert world.client.one().kind == method
        return
    assert not world.client.raw
    ((_, found),) = world.sought
    found((FRONT_ENDS["udp"], FRONT_ENDS["tls"], FRONT_ENDS["tcp"]))
    assert world.ways.of(FRONT_ENDS["tls"]).one().kind == method
    world.sought.clear()
    again = called.write(method).replace(f"{method} sip:".encode(), f"{method} sips:".encode(), 1)
    from_pool(world, again)
    world.sought[0][1]((FRONT_ENDS["tcp"],))
    assert not world.ways.of(FRONT_ENDS["tcp"]).raw
    answers = world.target().take()
    assert [sent.status for sent in answers] == ([430] if method == "INFO" else [])


def test_identities_in_a_request_of_the_pool() -> None:
    """RFC 3325 §5: who is trusted may say who somebody is; an address alone may not."""
    world = World()
    called = Caller(world).begin()
    identity = "P-Asserted-Identity: <sip:boss@contoso.com>\r\nX-Other: kept\r\n"
    for method in ("INFO", "BENOTIFY"):
        for source, kept in ((None, 0), (FRONT_END, 1)):
            from_pool(world, called.write(method, more=identity), source)
            sent = world.client.one()
            assert len(sent.all("P-Asserted-Identity")) == kept
            assert sent["X-Other"] == "kept"


def test_strangers_learn_nothing_of_a_token() -> None:
    """Trust is asked first: good, forged and expired ones are all the same to them."""
    world = World(dialog_age=1.0)
    caller = Caller(world)
    called = caller.begin()
    writes = [caller.write("INFO"), called.write("INFO")]
    writes += [data.replace(b"cr-flow=", b"cr-flow=A") for data in writes]
    world.epoch += 100
    for data in writes:
        (answer,) = world.send(data, source=STRANGER)
        assert answer.kind == "403 INFO"
    assert world.core.counters.refused == {"not_trusted": 4}
    world.target().take()
    world.send(response(called.invite, 200), source=STRANGER)


def test_strangers_learn_nothing_of_a_token_in_a_foreign_uri() -> None:
    """Nor where the URI isn't ours, or is none: a good token gets what a forged one gets."""
    world = World()
    caller = Caller(world)
    caller.begin()
    (own,) = {route.partition(";")[0] for route in caller.routes}
    for place in ("sip:192.0.2.50:5060", "sip:[", "tel:1"):
        good = caller.write("INFO").replace(own.encode() + b";", place.encode() + b";")
        assert place.encode() in good
        forged = good.replace(b"cr-flow=", b"cr-flow=A")
        assert good != forged
        kinds = [
            [each.kind for each in world.send(data, source=STRANGER)] for data in (good, forged)
        ]
        assert kinds[0] == kinds[1], place


def test_an_ack_with_a_forged_token_is_of_no_use() -> None:
    """It gets no answer, so its connection ends when too many come (`limits.useless_messages`)."""
    world = World()
    caller = Caller(world)
    caller.begin()
    ack = caller.write("ACK", number=1)
    for source in (STRANGER, FRONT_END):
        for data in (ack.replace(b"cr-flow=", b"cr-flow=A"), ack):
            world.client.vain = 0
            assert not world.send(data, source=source)
            assert world.client.vain == (source is STRANGER or data is not ack)
