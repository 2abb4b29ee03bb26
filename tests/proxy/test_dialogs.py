"""Within a dialog: the signed Route is all that is kept of it (RFC 5626 §5.2, RFC 3261 §16.4)."""

import re

import pytest

from chatredirect.sip.response import Peer
from tests.proxy.world import (
    CONTACT,
    ENDPOINT,
    FRONT_END,
    STRANGER,
    Called,
    Caller,
    Flow,
    World,
    record_route,
    response,
    targets,
)
from tests.sent import Sent


def from_pool(world: World, data: bytes, source: Peer | None = None, number: int = 0) -> list[Sent]:
    """The pool sends something; what it gets back at once."""
    flow = world.target(number)
    world.deliver(data, flow, source)
    return flow.take()


def test_both_ways() -> None:
    """INFO from either side, and BYE; the path parameters are taken away."""
    world = World()
    caller = Caller(world)
    called = caller.begin()
    assert not world.send(caller.write("INFO", body="hello"))
    info = world.target().one()
    assert (info.kind, info.uri, info.body) == ("INFO", "sip:room@192.0.2.20:5070", "hello")
    assert not info.all("Route")
    assert [sent.status for sent in world.answer(0, info, 200)] == [200]
    assert not from_pool(world, called.write("INFO", body="back"))
    info = world.client.one()
    assert info.uri == "sip:user1@127.0.0.1:45154;maddr=127.0.0.1"
    assert info.body == "back"
    assert not info.all("Route")
    world.send(response(info, 200))
    assert world.target().one().kind == "200 INFO"
    assert not from_pool(world, called.write("BYE"))
    world.send(response(world.client.one(), 200))
    assert world.target().one().kind == "200 BYE"
    world.expire()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_to_the_caller_on_his_own_connection(transport: str) -> None:
    """What the captures need: behind his Contact nothing listens."""
    world = World(transport=transport)
    caller = Caller(world, transport.upper())
    called = caller.begin()
    assert len(caller.routes) == 2  # RFC 5658
    assert not from_pool(world, called.write("NOTIFY"))
    notify = world.client.one()
    assert notify.kind == "NOTIFY"
    assert len(notify.routes) == 2
    assert not notify.all("Route")
    world.client.gone = True
    (answer,) = from_pool(world, called.write("BYE"))
    assert answer.kind == "430 BYE"  # RFC 5626 §5.3.1
    world.expire()


def test_the_connection_goes_while_the_request_is_under_way() -> None:
    """430 as well."""
    world = World(transport="tcp")
    called = Caller(world, "TCP").begin()
    from_pool(world, called.write("INFO"))
    world.client.gone = True
    world.driver.lost(world.client)
    assert world.target().one().kind == "430 INFO"
    world.expire()


@pytest.mark.parametrize(
    ("via", "port"), [("fe.contoso.com:5062", 5062), ("fe.contoso.com", 5060), (None, None)]
)
def test_a_response_whose_connection_is_gone(via: str | None, port: int | None) -> None:
    """§18.2.2: it goes to where the front end listens; not to the end of a lost connection."""
    world = World(transport="tcp")
    world.ways.by_dialling.add("tcp")
    caller = Caller(world, "TCP", via=via or "127.0.0.1:45154")
    invite = caller.invite()
    world.client.gone = True
    assert not world.answer(0, invite, 180)
    if port is None:
        assert not world.ways.wanted
        world.expire()
        return
    ((target, _, _),) = world.ways.wanted
    assert (target.transport, target.address, target.port) == ("tcp", "127.0.0.1", port)
    assert target.domain == "fe.contoso.com"
    anew = world.ways.connect()
    assert anew.one().kind == "180 INVITE"
    assert not world.answer(0, invite, 200)
    assert anew.one().kind == "200 INVITE"
    world.expire()


def test_to_the_next_route_when_the_connection_is_gone() -> None:
    """The front end has been started again: its own Record-Route says where it is."""
    world = World(transport="tcp")
    caller = Caller(world, "TCP")
    invite = caller.invite(more="Record-Route: <sip:fe.contoso.com:5060;transport=tcp;lr>\r\n")
    (ok,) = world.answer(0, invite, 200, more=CONTACT + record_route(invite))
    called = Called(world, invite, ok)
    world.client.gone = True
    assert not from_pool(world, called.write("BYE"))
    ((uri, found),) = world.sought
    assert uri.host == b"fe.contoso.com"
    (front_end,) = targets(1, "tcp", "192.0.2.3")
    found((front_end,))
    bye = world.ways.of(front_end).one()
    assert bye["Route"] == "<sip:fe.contoso.com:5060;transport=tcp;lr>"
    world.deliver(response(bye, 200), world.ways.of(front_end))
    assert world.target().one().kind == "200 BYE"
    world.sought.clear()
    from_pool(world, called.write("BYE"))
    world.sought[0][1](())
    assert world.target().one().kind == "430 BYE"
    world.expire()


@pytest.mark.parametrize("method", ["INFO", "INVITE"])
def test_to_the_next_route_when_the_connection_proves_to_be_gone(method: str) -> None:
    """It goes while the request is under way: the same, and a CANCEL meanwhile is heard."""
    world = World(transport="tcp")
    caller = Caller(world, "TCP")
    invite = caller.invite(more="Record-Route: <sip:fe.contoso.com:5060;transport=tcp;lr>\r\n")
    (ok,) = world.answer(0, invite, 200, more=CONTACT + record_route(invite))
    called = Called(world, invite, ok)
    (front_end,) = targets(1, "tcp", "192.0.2.3")
    data = called.write(method)
    from_pool(world, data)
    assert world.client.one().kind == method
    world.driver.lost(world.client)
    ((_, found),) = world.sought
    found((front_end,))
    assert world.ways.of(front_end).one().kind == method
    world.driver.lost(world.ways.of(front_end))
    assert len(world.sought) == 1
    assert world.target().take()[-1].kind == f"430 {method}"
    world.expire()
    if method == "INVITE":
        data = called.write(method)
        from_pool(world, data)
        world.driver.lost(world.client)
        world.client.take()
        answers = from_pool(world, data.replace(b"INVITE", b"CANCEL"))
        assert sorted(sent.kind for sent in answers) == ["200 CANCEL", "487 INVITE"]
        world.sought[1][1]((front_end,))
        assert not world.ways.of(front_end).raw
        world.expire()


def test_subscribe_and_notify() -> None:
    """RFC 6665: NOTIFY comes before the 200, gets a Record-Route, and finds its way."""
    world = World()
    caller = Caller(world)
    world.send(caller.write("SUBSCRIBE", more="Event: presence\r\n"))
    subscribe = world.target().one()
    answer = Sent("", [("To", subscribe["To"] + ";tag=n"), *subscribe.fields], "", b"")
    answer.fields.remove(("To", subscribe["To"]))
    called = Called(world, subscribe, answer)
    from_pool(world, called.write("NOTIFY"))
    notify = world.client.one()
    assert notify.kind == "NOTIFY"
    assert notify.routes == subscribe.routes
    world.send(response(notify, 200))
    assert world.target().one().kind == "200 NOTIFY"
    assert [sent.kind for sent in world.answer(0, subscribe, 200)] == ["200 SUBSCRIBE"]
    world.expire()


def test_benotify() -> None:
    """Microsoft's NOTIFY without an answer: no transaction, nothing comes back."""
    world = World()
    called = Caller(world).begin()
    before = len(world.core.transactions)
    assert not from_pool(world, called.write("BENOTIFY", body="x"))
    assert world.client.one().kind == "BENOTIFY"
    assert len(world.core.transactions) == before
    assert not from_pool(world, called.write("BENOTIFY").replace(b"cr-flow=", b"cr-flow=A"))
    assert not world.client.raw


def test_a_dialog_sticks_to_its_target() -> None:
    """§4.3: whoever has taken it has it, whatever the order is by now."""
    world = World(*targets(3))
    caller = Caller(world)
    invite = caller.invite()
    world.answer(0, invite, 503)
    world.target(0).take()
    second = world.target(1).one()
    (ok,) = world.answer(1, second, 200, more=CONTACT + record_route(second))
    caller.accepted(ok)
    world.send(caller.write("INFO"))
    assert world.target(1).one().kind == "INFO"
    world.set_targets([])
    world.send(caller.write("INFO"))
    assert world.target(1).one().kind == "INFO"
    world.expire()


def test_a_dialog_outlives_a_restart() -> None:
    """Nothing is kept: a new process with the same key serves it."""
    world = World()
    caller = Caller(world)
    called = caller.begin()
    later = World()
    later.names.flows = [later.client]
    caller.world = called.world = later
    later.send(caller.write("INFO"))
    assert later.target().one().kind == "INFO"
    from_pool(later, called.write("INFO"))
    assert later.client.one().kind == "INFO"


def test_dialogs_cost_nothing() -> None:
    """After the transactions' timers nothing is left of a dialog that goes on."""
    world = World()
    callers = [Caller(world) for _ in range(50)]
    for caller in callers:
        caller.begin()
    world.expire()
    for caller in callers:
        world.send(caller.write("INFO"))
        assert world.target().one().kind == "INFO"


@pytest.mark.parametrize(
    "change",
    [
        (rb"cr-flow=", rb"cr-flow=A"),
        (rb"cr-flow=", rb"cr-flow=zzzz"),
        (rb">\r\nFrom", rb"A>\r\nFrom"),
        (rb"cr-flow=.", rb"cr-flow="),
        (rb"cr-flow=[^>]*", rb"cr-flow="),
        (rb"cr-flow=[^>]*", b"cr-flow=%ff\xff"),
    ],
)
def test_a_forged_route(change: tuple[bytes, bytes]) -> None:
    """RFC 3261 §12.2.1.2: 481, counted, and never forwarded; strangers get 403."""
    world = World()
    caller = Caller(world)
    caller.begin()
    data = caller.write("INFO")
    forged = re.sub(change[0], change[1], data, count=1)
    assert forged != data
    (answer,) = world.send(forged, source=STRANGER)
    assert answer.kind == "403 INFO"
    assert world.core.counters.refused.pop("not_trusted") == 1
    (answer,) = world.send(forged)
    assert answer.kind == "481 INFO"
    assert not world.target().raw
    assert world.core.counters.refused == {"forged_route": 1}
    assert not world.send(forged.replace(b"INFO", b"ACK"))
    assert not world.target().raw
    assert world.counters.drops == {"forged_route": 1}


def test_a_route_of_another_dialog() -> None:
    """The signature holds Call-ID and the caller's tag as well."""
    world = World()
    one, other = Caller(world), Caller(world)
    one.begin()
    other.begin()
    other.routes = one.routes
    (answer,) = world.send(other.write("INFO"))
    assert answer.kind == "481 INFO"
    one.from_ = one.from_.replace("tag=f", "tag=g")
    (answer,) = world.send(one.write("INFO"))
    assert answer.kind == "481 INFO"


def test_a_key_of_another_instance() -> None:
    """With another secret it is forged, with another host it is another one's business."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.routes = [route.replace("127.0.0.1", "192.0.2.7") for route in caller.routes]
    world.send(caller.write("INFO"))  # valid all the same: what is signed is not our address
    assert world.target().one().kind == "INFO"
    caller.routes = [route + "A" for route in caller.routes]
    (answer,) = world.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_who_may_send_within_a_dialog() -> None:
    """To the pool trusted peers alone; to the caller also the pool's targets. Others get 403."""
    world = World()
    caller = Caller(world)
    called = caller.begin()
    (answer,) = world.send(caller.write("INFO"), source=STRANGER)
    assert answer.kind == "403 INFO"
    assert not world.send(caller.write("ACK", number=1), source=STRANGER)
    (answer,) = from_pool(world, called.write("INFO"), STRANGER)
    assert answer.kind == "403 INFO"
    target = Peer(b"192.0.2.20", 40000)
    (answer,) = world.send(caller.write("INFO"), source=target)  # down, with the pool's address
    assert answer.kind == "403 INFO"
    assert not world.target().raw
    assert not world.client.raw
    assert not from_pool(world, called.write("INFO"), FRONT_END)
    assert world.client.one().kind == "INFO"


def test_another_target_of_the_pool_may_send_to_the_caller() -> None:
    """Its members speak for one another."""
    world = World(*targets(2))
    called = Caller(world).begin()
    assert not from_pool(world, called.write("BYE"), Peer(b"192.0.2.21", 5070))
    assert world.client.one().kind == "BYE"


IDENTITY = (
    'P-Asserted-Identity: "Boss" <sip:boss@contoso.com>\r\nP-Preferred-Identity: <sip:b@c.d>\r\n'
    "remote-party-id: <sip:x@y.z>;party=calling\r\nms-edge-proxy-message-trust: x\r\n"
    "X-Other: kept\r\n"
)
ASSERTIONS = (
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "ms-edge-proxy-message-trust",
)


def test_identities() -> None:
    """RFC 3325 §5: from trusted peers they pass; the responses of others lose them."""
    world = World()
    caller = Caller(world)
    invite = caller.invite(more=IDENTITY)
    assert all(invite.all(name) for name in ASSERTIONS)
    (ok,) = world.answer(0, invite, 200, more=CONTACT + IDENTITY + record_route(invite))
    assert all(ok.all(name) for name in ASSERTIONS)
    called = Called(world, invite, ok)
    for source, kept in ((STRANGER, False), (FRONT_END, True)):
        from_pool(world, called.write("INFO"))
        world.send(response(world.client.one(), 200, more=IDENTITY), source=source)
        answer = world.target().one()
        assert [bool(answer.all(name)) for name in ASSERTIONS] == 4 * [kept]
        assert answer["X-Other"] == "kept"


def test_a_strict_router_before_us() -> None:
    """§16.4: it has put us into the Request-URI and its target into the last Route."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.target, caller.routes = caller.routes[0], ["sip:a.contoso.com;lr", caller.target]
    world.send(caller.write("INFO"))
    info = world.target().one()
    assert info.uri == "sip:room@192.0.2.20:5070"
    assert info["Route"] == "<sip:a.contoso.com;lr>"


def test_a_strict_router_behind_us() -> None:
    """§16.6 step 6: it finds itself in the Request-URI and the target in the last Route."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.routes += ["sip:strict.contoso.com", "sip:b.contoso.com;lr"]
    world.send(caller.write("INFO"))
    info = world.target().one()
    assert info.uri == "sip:strict.contoso.com"
    assert info.all("Route") == ["<sip:b.contoso.com;lr>", "<sip:room@192.0.2.20:5070>"]


def test_the_rest_of_a_route_stays_as_it_is() -> None:
    """§16.6 step 6: behind us stands what the pool's own proxies have written."""
    world = World()
    caller = Caller(world)
    caller.begin()
    route = (
        f'Route: <{caller.routes[0]}>,"A, B" <sip:b.contoso.com;lr>;x="<,>"\r\nroute:<sip:c;lr>\r\n'
    )
    caller.routes = []
    world.send(caller.write("INFO", more=route))
    assert world.target().one().all("Route") == [
        '"A, B" <sip:b.contoso.com;lr>;x="<,>"',
        "<sip:c;lr>",
    ]


def test_a_caller_that_heeds_no_record_route() -> None:
    """A Request-URI that names the endpoint is enough: the pool knows the dialog, if anybody."""
    world = World()
    caller = Caller(world)
    caller.begin()
    caller.routes, caller.target = [], ENDPOINT + ";gruu;opaque=srvr:x"
    world.send(caller.write("ACK", number=1))
    assert world.target().one().kind == "ACK"
    world.send(caller.write("INFO"))
    assert world.target().one().uri == caller.target
    (answer,) = world.send(caller.write("INFO"), source=STRANGER)
    assert answer.kind == "403 INFO"
    caller.target = "sip:room@192.0.2.20:5070"
    (answer,) = world.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_an_older_caller_without_a_tag() -> None:
    """RFC 2543: From without tag, so the To of requests to him has none either."""
    world = World()
    caller = Caller(world)
    caller.from_ = "<sip:old@contoso.com>"
    called = caller.begin()
    assert not from_pool(world, called.write("NOTIFY"))
    assert world.client.one().kind == "NOTIFY"


def test_reinvite_from_the_pool_with_cancel() -> None:
    """The same machines work both ways."""
    world = World()
    called = Caller(world).begin()
    data = called.write("INVITE")
    assert [sent.kind for sent in from_pool(world, data)] == ["100 INVITE"]
    invite = world.client.one()
    world.send(response(invite, 180))
    assert world.target().one().kind == "180 INVITE"
    assert [sent.kind for sent in from_pool(world, data.replace(b"INVITE", b"CANCEL"))] == [
        "200 CANCEL"
    ]
    assert world.client.one().kind == "CANCEL"
    world.deliver(response(invite, 487), world.client, FRONT_END)
    assert world.client.one().kind == "ACK"
    assert [sent.kind for sent in world.target().take()] == ["487 INVITE"]
    world.expire()


def test_acks_that_have_to_wait_for_a_connection() -> None:
    """A stateless request waits for its way as any other; without one it is dropped."""
    world = World(*targets(1, "tcp"))
    caller = Caller(world)
    caller.begin()
    world.ways.by_dialling.add("tcp")
    world.target().gone = True
    world.send(caller.write("ACK", number=1))
    assert world.ways.connect().one().kind == "ACK"
    world.ways.flows.clear()
    world.send(caller.write("ACK", number=1))
    world.ways.fail()
    assert world.counters.drops == {"no_way": 1}


def test_flow_of_udp_is_found_by_name() -> None:
    """Two callers, two flows."""
    world = World()
    one, other = Flow(peer_port=1), Flow(peer_port=2)
    called = []
    for flow in (one, other):
        world.client = flow
        called.append(Caller(world).begin())
    from_pool(world, called[0].write("BYE"))
    assert (len(one.take()), len(other.take())) == (1, 0)
