"""Within a dialog: the signed Route is all that is kept of it (RFC 5626 §5.2, RFC 3261 §16.4)."""

import re

import pytest

from chatredirect.config import HostPort
from chatredirect.sip.response import Peer
from tests.proxy.in_memory_proxy import (
    CONTACT,
    ENDPOINT,
    FRONT_END,
    STRANGER,
    Called,
    Caller,
    InMemoryProxy,
    record_route,
    response,
    targets,
)
from tests.recording_flow import RecordingFlow
from tests.sent_message import SentMessage


def from_pool(
    proxy: InMemoryProxy, data: bytes, source: Peer | None = None, number: int = 0
) -> list[SentMessage]:
    """The pool sends something; what it gets back at once."""
    flow = proxy.target(number)
    proxy.deliver(data, flow, source)
    return flow.take()


def test_both_ways() -> None:
    """INFO from either side, and BYE; the path parameters are taken away."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    assert not proxy.send(caller.write("INFO", body="hello"))
    info = proxy.target().one()
    assert (info.kind, info.uri, info.body) == ("INFO", "sip:room@192.0.2.20:5070", "hello")
    assert not info.all("Route")
    assert [sent.status for sent in proxy.answer(0, info, 200)] == [200]
    assert not from_pool(proxy, called.write("INFO", body="back"))
    info = proxy.client.one()
    assert info.uri == "sip:user1@127.0.0.1:45154;maddr=127.0.0.1"
    assert info.body == "back"
    assert not info.all("Route")
    proxy.send(response(info, 200))
    assert proxy.target().one().kind == "200 INFO"
    assert not from_pool(proxy, called.write("BYE"))
    proxy.send(response(proxy.client.one(), 200))
    assert proxy.target().one().kind == "200 BYE"
    proxy.expire()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_to_the_caller_on_his_own_connection(transport: str) -> None:
    """What the captures need: behind his Contact nothing listens."""
    proxy = InMemoryProxy(transport=transport)
    caller = Caller(proxy, transport.upper())
    called = caller.begin()
    assert len(caller.routes) == 2  # RFC 5658
    assert not from_pool(proxy, called.write("NOTIFY"))
    notify = proxy.client.one()
    assert notify.kind == "NOTIFY"
    assert len(notify.routes) == 2
    assert not notify.all("Route")
    proxy.client.gone = True
    (answer,) = from_pool(proxy, called.write("BYE"))
    assert answer.kind == "430 BYE"  # RFC 5626 §5.3.1
    proxy.expire()


def test_the_connection_goes_while_the_request_is_under_way() -> None:
    """430 as well."""
    proxy = InMemoryProxy(transport="tcp")
    called = Caller(proxy, "TCP").begin()
    from_pool(proxy, called.write("INFO"))
    proxy.client.gone = True
    proxy.driver.lost(proxy.client)
    assert proxy.target().one().kind == "430 INFO"
    proxy.expire()


@pytest.mark.parametrize(
    ("via", "port"), [("fe.contoso.com:5062", 5062), ("fe.contoso.com", 5060), (None, None)]
)
def test_a_response_whose_connection_is_gone(via: str | None, port: int | None) -> None:
    """§18.2.2: it goes to where the front end listens; not to the end of a lost connection."""
    proxy = InMemoryProxy(transport="tcp")
    proxy.ways.by_dialling.add("tcp")
    caller = Caller(proxy, "TCP", via=via or "127.0.0.1:45154")
    invite = caller.invite()
    proxy.client.gone = True
    assert not proxy.answer(0, invite, 180)
    if port is None:
        assert not proxy.ways.wanted
        proxy.expire()
        return
    ((target, _, _),) = proxy.ways.wanted
    assert (target.transport, target.address, target.port) == ("tcp", "127.0.0.1", port)
    assert target.domain == "fe.contoso.com"
    anew = proxy.ways.connect()
    assert anew.one().kind == "180 INVITE"
    assert not proxy.answer(0, invite, 200)
    assert anew.one().kind == "200 INVITE"
    proxy.expire()


def test_to_the_next_route_when_the_connection_is_gone() -> None:
    """The front end has been started again: its own Record-Route says where it is."""
    proxy = InMemoryProxy(transport="tcp")
    caller = Caller(proxy, "TCP")
    invite = caller.invite(more="Record-Route: <sip:fe.contoso.com:5060;transport=tcp;lr>\r\n")
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
    called = Called(proxy, invite, ok)
    proxy.client.gone = True
    assert not from_pool(proxy, called.write("BYE"))
    ((uri, found),) = proxy.sought
    assert uri.host == b"fe.contoso.com"
    (front_end,) = targets(1, "tcp", "192.0.2.3")
    found((front_end,))
    bye = proxy.ways.of(front_end).one()
    assert bye["Route"] == "<sip:fe.contoso.com:5060;transport=tcp;lr>"
    proxy.deliver(response(bye, 200), proxy.ways.of(front_end))
    assert proxy.target().one().kind == "200 BYE"
    proxy.sought.clear()
    from_pool(proxy, called.write("BYE"))
    proxy.sought[0][1](())
    assert proxy.target().one().kind == "430 BYE"
    proxy.expire()


@pytest.mark.parametrize("method", ["INFO", "INVITE"])
def test_to_the_next_route_when_the_connection_proves_to_be_gone(method: str) -> None:
    """It goes while the request is under way: the same, and a CANCEL meanwhile is heard."""
    proxy = InMemoryProxy(transport="tcp")
    caller = Caller(proxy, "TCP")
    invite = caller.invite(more="Record-Route: <sip:fe.contoso.com:5060;transport=tcp;lr>\r\n")
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
    called = Called(proxy, invite, ok)
    (front_end,) = targets(1, "tcp", "192.0.2.3")
    data = called.write(method)
    from_pool(proxy, data)
    assert proxy.client.one().kind == method
    proxy.driver.lost(proxy.client)
    ((_, found),) = proxy.sought
    found((front_end,))
    assert proxy.ways.of(front_end).one().kind == method
    proxy.driver.lost(proxy.ways.of(front_end))
    assert len(proxy.sought) == 1
    assert proxy.target().take()[-1].kind == f"430 {method}"
    proxy.expire()
    if method == "INVITE":
        data = called.write(method)
        from_pool(proxy, data)
        proxy.driver.lost(proxy.client)
        proxy.client.take()
        answers = from_pool(proxy, data.replace(b"INVITE", b"CANCEL"))
        assert sorted(sent.kind for sent in answers) == ["200 CANCEL", "487 INVITE"]
        proxy.sought[1][1]((front_end,))
        assert not proxy.ways.of(front_end).raw
        proxy.expire()


def test_subscribe_and_notify() -> None:
    """RFC 6665: NOTIFY comes before the 200, gets a Record-Route, and finds its way."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    proxy.send(caller.write("SUBSCRIBE", more="Event: presence\r\n"))
    subscribe = proxy.target().one()
    answer = SentMessage("", [("To", subscribe["To"] + ";tag=n"), *subscribe.fields], "", b"")
    answer.fields.remove(("To", subscribe["To"]))
    called = Called(proxy, subscribe, answer)
    from_pool(proxy, called.write("NOTIFY"))
    notify = proxy.client.one()
    assert notify.kind == "NOTIFY"
    assert notify.routes == subscribe.routes
    proxy.send(response(notify, 200))
    assert proxy.target().one().kind == "200 NOTIFY"
    assert [sent.kind for sent in proxy.answer(0, subscribe, 200)] == ["200 SUBSCRIBE"]
    proxy.expire()


def test_benotify() -> None:
    """Microsoft's NOTIFY without an answer: no transaction, nothing comes back."""
    proxy = InMemoryProxy()
    called = Caller(proxy).begin()
    before = len(proxy.core.transactions)
    assert not from_pool(proxy, called.write("BENOTIFY", body="x"))
    assert proxy.client.one().kind == "BENOTIFY"
    assert len(proxy.core.transactions) == before
    assert not from_pool(proxy, called.write("BENOTIFY").replace(b"cr-flow=", b"cr-flow=A"))
    assert not proxy.client.raw


def test_a_dialog_sticks_to_its_target() -> None:
    """§4.3: whoever has taken it has it, whatever the order is by now."""
    proxy = InMemoryProxy(*targets(3))
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 503)
    proxy.target(0).take()
    second = proxy.target(1).one()
    (ok,) = proxy.answer(1, second, 200, more=CONTACT + record_route(second))
    caller.accepted(ok)
    proxy.send(caller.write("INFO"))
    assert proxy.target(1).one().kind == "INFO"
    proxy.set_targets([])
    proxy.send(caller.write("INFO"))
    assert proxy.target(1).one().kind == "INFO"
    proxy.expire()


def test_a_dialog_outlives_a_restart() -> None:
    """Nothing is kept: a new process with the same key serves it."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    later = InMemoryProxy()
    later.names.flows = [later.client]
    caller.proxy = called.proxy = later
    later.send(caller.write("INFO"))
    assert later.target().one().kind == "INFO"
    from_pool(later, called.write("INFO"))
    assert later.client.one().kind == "INFO"


def instance(number: int, **keys: object) -> InMemoryProxy:
    """One of several instances, with the name that they have in common."""
    return InMemoryProxy(
        transport="tcp",
        advertise=HostPort(f"cr{number}.contoso.com"),
        record_route_host=HostPort("cr.contoso.com"),
        **keys,  # type: ignore[arg-type]
    )


FRONT_ENDS_ROUTE = "Record-Route: <sip:fe.contoso.com:5060;transport=tcp;lr>\r\n"


@pytest.mark.parametrize("method", ["INFO", "BYE"])
def test_another_instance_goes_on_with_a_dialog(method: str) -> None:
    """The instance with the dialog's connections has died; the other one has never seen it.

    To the pool the target is in the Route; to the caller the way is through its front end.
    """
    died, other = instance(1), instance(2)
    caller = Caller(died, "TCP")
    invite = caller.invite(more=FRONT_ENDS_ROUTE)
    (ok,) = died.answer(0, invite, 200, more=CONTACT + record_route(invite))
    caller.accepted(ok)
    called = Called(other, invite, ok)
    assert caller.routes[-1].startswith("sip:cr.contoso.com:5060;")

    caller.routes = caller.routes[1:]  # the front end has taken its own away
    assert not other.send(caller.write(method))
    sent = other.target().one()
    assert (sent.kind, sent.uri) == (method, "sip:room@192.0.2.20:5070")
    assert not sent.all("Route")
    assert sent.all("Via")[0].startswith("SIP/2.0/UDP cr2.contoso.com:5060;")
    assert [each.kind for each in other.answer(0, sent, 200)] == [f"200 {method}"]

    assert not from_pool(other, called.write(method))
    ((uri, found),) = other.sought
    assert uri.host == b"fe.contoso.com"
    (front_end,) = targets(1, "tcp", "192.0.2.3")
    found((front_end,))
    sent = other.ways.of(front_end).one()
    assert (sent.kind, sent.all("Route")) == (method, [f"<{FRONT_ENDS_ROUTE[15:-3]}>"])
    other.deliver(response(sent, 200), other.ways.of(front_end))
    assert other.target().one().kind == f"200 {method}"
    other.expire()


def test_another_instance_without_a_front_end() -> None:
    """The caller's own connection died with the machine: the pool is told so (RFC 5626 §5.3.1)."""
    died, other = instance(1), instance(2)
    called = Caller(died, "TCP").begin()
    called.proxy = other
    (answer,) = from_pool(other, called.write("BYE"))
    assert answer.kind == "430 BYE"
    other.expire()


def test_a_route_with_the_common_name_and_another_secret() -> None:
    """It is ours by its name, so it is refused here; one with a stranger's name is passed on."""
    died, other = instance(1), instance(2, key=b"another key for tests")
    caller = Caller(died, "TCP")
    invite = caller.invite()
    (ok,) = died.answer(0, invite, 200, more=CONTACT + record_route(invite))
    caller.accepted(ok)
    (answer,) = other.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"
    assert other.core.counters.refused == {"forged_route": 1}
    assert not other.target().raw
    other.expire()


@pytest.mark.parametrize(
    ("behind", "status"),
    [(3600, None), (-3600, None), (2 * 3600 - 60, None), (2 * 3600 + 60, 481)],
)
def test_instances_whose_clocks_differ(behind: float, status: int | None) -> None:
    """docs/proxy.md: up to two hours nothing happens; a dialog of a later time is refused."""
    first, other = instance(1), instance(2)
    other.epoch -= behind
    caller = Caller(first, "TCP")
    invite = caller.invite()
    (ok,) = first.answer(0, invite, 200, more=CONTACT + record_route(invite))
    caller.accepted(ok)
    answers = other.send(caller.write("INFO"))
    if status is None:
        assert not answers
        assert other.target().one().kind == "INFO"
    else:
        assert [each.kind for each in answers] == [f"{status} INFO"]
        assert other.core.counters.refused == {"dialog_age": 1}
    other.expire()


def test_a_transaction_whose_messages_reach_two_instances() -> None:
    """docs/proxy.md: as when two machines hold one address for a while."""
    first, other = instance(1), instance(2)
    caller = Caller(first, "TCP")
    data = caller.write("INVITE")
    assert [each.kind for each in first.send(data)] == ["100 INVITE"]
    one = first.target().one()
    (answer,) = other.send(data.replace(b"INVITE", b"CANCEL"))
    assert answer.kind == "481 CANCEL"
    assert [each.kind for each in other.send(data)] == ["100 INVITE"]
    again = other.target().one()
    assert (again["Call-ID"], again["From"], again["CSeq"]) == (
        one["Call-ID"],
        one["From"],
        one["CSeq"],
    )
    assert again.all("Via")[0] != one.all("Via")[0]


def test_instances_with_other_pools() -> None:
    """docs/proxy.md: the dialog goes on for `target_grace` after this instance's start."""
    first, other = instance(1), instance(2, pools={}, target_grace=3600.0)
    caller = Caller(first, "TCP")
    invite = caller.invite()
    (ok,) = first.answer(0, invite, 200, more=CONTACT + record_route(invite))
    caller.accepted(ok)
    assert not other.send(caller.write("INFO"))
    assert other.target().one().kind == "INFO"
    other.pass_time(3700.0)
    (answer,) = other.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"
    assert other.core.counters.refused == {"target_gone": 1}


def test_dialogs_cost_nothing() -> None:
    """After the transactions' timers nothing is left of a dialog that goes on."""
    proxy = InMemoryProxy()
    callers = [Caller(proxy) for _ in range(50)]
    for caller in callers:
        caller.begin()
    proxy.expire()
    for caller in callers:
        proxy.send(caller.write("INFO"))
        assert proxy.target().one().kind == "INFO"


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
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    data = caller.write("INFO")
    forged = re.sub(change[0], change[1], data, count=1)
    assert forged != data
    (answer,) = proxy.send(forged, source=STRANGER)
    assert answer.kind == "403 INFO"
    assert proxy.core.counters.refused.pop("not_trusted") == 1
    (answer,) = proxy.send(forged)
    assert answer.kind == "481 INFO"
    assert not proxy.target().raw
    assert proxy.core.counters.refused == {"forged_route": 1}
    assert not proxy.send(forged.replace(b"INFO", b"ACK"))
    assert not proxy.target().raw
    assert proxy.counters.drops == {"forged_route": 1}


def test_a_route_of_another_dialog() -> None:
    """The signature holds Call-ID and the caller's tag as well."""
    proxy = InMemoryProxy()
    one, other = Caller(proxy), Caller(proxy)
    one.begin()
    other.begin()
    other.routes = one.routes
    (answer,) = proxy.send(other.write("INFO"))
    assert answer.kind == "481 INFO"
    one.from_ = one.from_.replace("tag=f", "tag=g")
    (answer,) = proxy.send(one.write("INFO"))
    assert answer.kind == "481 INFO"


def test_a_key_of_another_instance() -> None:
    """With another secret it is forged, with another host it is another one's business."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.routes = [route.replace("127.0.0.1", "192.0.2.7") for route in caller.routes]
    proxy.send(caller.write("INFO"))  # valid all the same: what is signed is not our address
    assert proxy.target().one().kind == "INFO"
    caller.routes = [route + "A" for route in caller.routes]
    (answer,) = proxy.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_who_may_send_within_a_dialog() -> None:
    """To the pool trusted peers alone; to the caller also the pool's targets. Others get 403."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    called = caller.begin()
    (answer,) = proxy.send(caller.write("INFO"), source=STRANGER)
    assert answer.kind == "403 INFO"
    assert not proxy.send(caller.write("ACK", number=1), source=STRANGER)
    (answer,) = from_pool(proxy, called.write("INFO"), STRANGER)
    assert answer.kind == "403 INFO"
    target = Peer(b"192.0.2.20", 40000)
    (answer,) = proxy.send(caller.write("INFO"), source=target)  # down, with the pool's address
    assert answer.kind == "403 INFO"
    assert not proxy.target().raw
    assert not proxy.client.raw
    assert not from_pool(proxy, called.write("INFO"), FRONT_END)
    assert proxy.client.one().kind == "INFO"


def test_another_target_of_the_pool_may_send_to_the_caller() -> None:
    """Its members speak for one another."""
    proxy = InMemoryProxy(*targets(2))
    called = Caller(proxy).begin()
    assert not from_pool(proxy, called.write("BYE"), Peer(b"192.0.2.21", 5070))
    assert proxy.client.one().kind == "BYE"


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
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite(more=IDENTITY)
    assert all(invite.all(name) for name in ASSERTIONS)
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + IDENTITY + record_route(invite))
    assert all(ok.all(name) for name in ASSERTIONS)
    called = Called(proxy, invite, ok)
    for source, kept in ((STRANGER, False), (FRONT_END, True)):
        from_pool(proxy, called.write("INFO"))
        proxy.send(response(proxy.client.one(), 200, more=IDENTITY), source=source)
        answer = proxy.target().one()
        assert [bool(answer.all(name)) for name in ASSERTIONS] == 4 * [kept]
        assert answer["X-Other"] == "kept"


def test_a_strict_router_before_us() -> None:
    """§16.4: it has put us into the Request-URI and its target into the last Route."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.target, caller.routes = caller.routes[0], ["sip:a.contoso.com;lr", caller.target]
    proxy.send(caller.write("INFO"))
    info = proxy.target().one()
    assert info.uri == "sip:room@192.0.2.20:5070"
    assert info["Route"] == "<sip:a.contoso.com;lr>"


def test_a_strict_router_behind_us() -> None:
    """§16.6 step 6: it finds itself in the Request-URI and the target in the last Route."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.routes += ["sip:strict.contoso.com", "sip:b.contoso.com;lr"]
    proxy.send(caller.write("INFO"))
    info = proxy.target().one()
    assert info.uri == "sip:strict.contoso.com"
    assert info.all("Route") == ["<sip:b.contoso.com;lr>", "<sip:room@192.0.2.20:5070>"]


def test_the_rest_of_a_route_stays_as_it_is() -> None:
    """§16.6 step 6: behind us stands what the pool's own proxies have written."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    route = (
        f'Route: <{caller.routes[0]}>,"A, B" <sip:b.contoso.com;lr>;x="<,>"\r\nroute:<sip:c;lr>\r\n'
    )
    caller.routes = []
    proxy.send(caller.write("INFO", more=route))
    assert proxy.target().one().all("Route") == [
        '"A, B" <sip:b.contoso.com;lr>;x="<,>"',
        "<sip:c;lr>",
    ]


def test_a_caller_that_heeds_no_record_route() -> None:
    """A Request-URI that names the endpoint is enough: the pool knows the dialog, if anybody."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    caller.routes, caller.target = [], ENDPOINT + ";gruu;opaque=srvr:x"
    proxy.send(caller.write("ACK", number=1))
    assert proxy.target().one().kind == "ACK"
    proxy.send(caller.write("INFO"))
    assert proxy.target().one().uri == caller.target
    (answer,) = proxy.send(caller.write("INFO"), source=STRANGER)
    assert answer.kind == "403 INFO"
    caller.target = "sip:room@192.0.2.20:5070"
    (answer,) = proxy.send(caller.write("INFO"))
    assert answer.kind == "481 INFO"


def test_an_older_caller_without_a_tag() -> None:
    """RFC 2543: From without tag, so the To of requests to him has none either."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.from_ = "<sip:old@contoso.com>"
    called = caller.begin()
    assert not from_pool(proxy, called.write("NOTIFY"))
    assert proxy.client.one().kind == "NOTIFY"


def test_reinvite_from_the_pool_with_cancel() -> None:
    """The same machines work both ways."""
    proxy = InMemoryProxy()
    called = Caller(proxy).begin()
    data = called.write("INVITE")
    assert [sent.kind for sent in from_pool(proxy, data)] == ["100 INVITE"]
    invite = proxy.client.one()
    proxy.send(response(invite, 180))
    assert proxy.target().one().kind == "180 INVITE"
    assert [sent.kind for sent in from_pool(proxy, data.replace(b"INVITE", b"CANCEL"))] == [
        "200 CANCEL"
    ]
    assert proxy.client.one().kind == "CANCEL"
    proxy.deliver(response(invite, 487), proxy.client, FRONT_END)
    assert proxy.client.one().kind == "ACK"
    assert [sent.kind for sent in proxy.target().take()] == ["487 INVITE"]
    proxy.expire()


def test_acks_that_have_to_wait_for_a_connection() -> None:
    """A stateless request waits for its way as any other; without one it is dropped."""
    proxy = InMemoryProxy(*targets(1, "tcp"))
    caller = Caller(proxy)
    caller.begin()
    proxy.ways.by_dialling.add("tcp")
    proxy.target().gone = True
    proxy.send(caller.write("ACK", number=1))
    assert proxy.ways.connect().one().kind == "ACK"
    proxy.ways.flows.clear()
    proxy.send(caller.write("ACK", number=1))
    proxy.ways.fail()
    assert proxy.counters.drops == {"no_way": 1}


def test_flow_of_udp_is_found_by_name() -> None:
    """Two callers, two flows."""
    proxy = InMemoryProxy()
    one, other = RecordingFlow(peer_port=1), RecordingFlow(peer_port=2)
    called = []
    for flow in (one, other):
        proxy.client = flow
        called.append(Caller(proxy).begin())
    from_pool(proxy, called[0].write("BYE"))
    assert (len(one.take()), len(other.take())) == (1, 0)
