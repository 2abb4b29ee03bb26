"""RFC 3261 §16.3 to §16.6: what is forwarded, and what becomes of it on the way."""

import re

import pytest

from chatredirect.config import HostPort
from tests.proxy.in_memory_proxy import (
    CONTACT,
    FRONT_END,
    STRANGER,
    Caller,
    InMemoryProxy,
    record_route,
    targets,
)


def test_an_invite_reaches_the_pool_and_its_answer_the_caller() -> None:
    """§16.2: 100 at once; §16.6: Via, Max-Forwards, Record-Route; §16.7: our Via goes again."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite(body="v=0\r\n")
    assert invite.uri == "sip:ocschat@contoso.com"
    assert invite["Max-Forwards"] == "69"
    ours, theirs = invite.all("Via")
    assert ours.startswith("SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK")
    assert theirs == f"SIP/2.0/UDP 127.0.0.1:45154{caller.last_branch}"
    (route,) = invite.routes
    assert route.startswith("sip:127.0.0.1:5060;lr;cr-flow=")
    assert invite.body == "v=0\r\n"
    (ringing,) = proxy.answer(0, invite, 180)
    assert ringing.kind == "180 INVITE"
    assert ringing.all("Via") == [theirs]
    (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
    assert ok.all("Via") == [theirs]
    assert ok["Record-Route"] == f"<{route}>"
    proxy.expire()


def test_everything_else_passes_byte_for_byte() -> None:
    """Unknown methods, headers, folds, odd spelling, gruu URIs and bodies survive."""
    proxy = InMemoryProxy()
    caller = Caller(proxy, target="sip:OcsChat@Contoso.com;gruu;opaque=srvr:x%41")
    more = (
        "ms-User-Data: a,\r\n\tb ;c=<d>\r\nx-odd :  spaced  \r\nContent-type: text/plain\r\n"
        "SUPPORTED:gruu-10,ms-sender\r\nX-e: \xe9\r\nRecord-Route: <sip:fe.contoso.com;lr>\r\n"
    )
    body = "\x00\xff \r\n\r\nSIP/2.0 200 OK\r\n\r\n"
    data = caller.write("SERVICE", more=more, body=body)
    assert not proxy.send(data)
    sent = proxy.target().raw[0]
    head, _, rest = sent.partition(b"\r\n\r\n")
    assert rest == data.partition(b"\r\n\r\n")[2]
    for line in re.split(rb"\r\n(?![\t])", data.partition(b"\r\n\r\n")[0]):
        if not line.startswith((b"Max-Forwards", b"Via")):
            assert line in head
    assert head.index(b"cr-flow") < head.index(b"fe.contoso.com")  # ours is the topmost
    assert sent.startswith(b"SERVICE sip:OcsChat@Contoso.com;gruu;opaque=srvr:x%41 SIP/2.0\r\n")


@pytest.mark.parametrize(
    ("uri", "goes"),
    [
        ("sip:ocschat@contoso.com", "sip:ocschat@pcpool.contoso.com:5061"),
        (
            "sip:Ocschat@contoso.com;gruu;transport=tcp;maddr=192.0.2.1;opaque=x",
            "sip:Ocschat@pcpool.contoso.com:5061;gruu;opaque=x",
        ),
        ("sip:127.0.0.1", "sip:ocschat@pcpool.contoso.com:5061"),
    ],
)
def test_rewritten_request_uri(uri: str, goes: str) -> None:
    """§16.6 step 2, `rewrite: pool`: the pool's host and port, user and other parameters stay."""
    proxy = InMemoryProxy(settings={"rewrite": "pool", "port": 5061})
    assert Caller(proxy, target=uri).invite().uri == goes


def test_a_request_uri_that_names_the_server_becomes_the_endpoints() -> None:
    """The pool knows nothing of our name."""
    assert (
        Caller(InMemoryProxy(), target="sip:x@127.0.0.1:5060").invite().uri
        == "sip:ocschat@contoso.com"
    )


@pytest.mark.parametrize(
    ("hops", "becomes"), [(70, "69"), (1, "0"), (255, "254"), (None, "70"), (300, "299")]
)
def test_max_forwards(hops: int | None, becomes: str) -> None:
    """§16.6 step 3."""
    assert Caller(InMemoryProxy()).invite(hops=hops)["Max-Forwards"] == becomes


def test_max_forwards_is_used_up() -> None:
    """§16.3 step 3: 483; OPTIONS is answered here."""
    proxy = InMemoryProxy()
    (answer,) = proxy.send(Caller(proxy).write("INVITE", hops=0))
    assert answer.kind == "483 INVITE"
    (answer,) = proxy.send(Caller(proxy).write("OPTIONS", hops=0))
    assert answer.kind == "200 OPTIONS"
    assert answer.all("Allow")
    assert proxy.empty


@pytest.mark.parametrize("value", ["", "-1", "x", "1 2", "9999999", "70\r\nMax-Forwards: 70"])
def test_max_forwards_that_cannot_be_read(value: str) -> None:
    """400; a proxy that guessed could be made to loop."""
    proxy = InMemoryProxy()
    data = Caller(proxy).write("INVITE", hops=None, more=f"Max-Forwards: {value}\r\n")
    (answer,) = proxy.send(data)
    assert answer.kind == "400 INVITE"
    assert proxy.empty


def test_proxy_require() -> None:
    """§16.3 step 5: 420 names what isn't understood; tags of the configuration are passed on."""
    proxy = InMemoryProxy()
    more = "Proxy-Require: ms-benotify, foo\r\nProxy-Require: bar\r\n"
    (answer,) = proxy.send(Caller(proxy).write("SUBSCRIBE", more=more))
    assert answer.kind == "420 SUBSCRIBE"
    assert answer["Unsupported"] == "foo, bar"
    assert not proxy.send(Caller(proxy).write("SUBSCRIBE", more="Proxy-Require: MS-Benotify\r\n"))
    assert proxy.target().one()["Proxy-Require"] == "MS-Benotify"


def test_a_loop_is_found_and_a_spiral_passes() -> None:
    """§16.3 step 4: what comes back unchanged is a loop, with another Request-URI it isn't."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    proxy.send(caller.write("MESSAGE"))
    raw = proxy.target().raw[0]
    (answer,) = proxy.send(raw.replace(b"z9hG4bK", b"z9hG4bKx", 1).replace(b"x", b"", 1))
    assert answer.kind == "482 MESSAGE"
    spiral = raw.replace(b"sip:ocschat@contoso.com SIP", b"sip:ocschat@contoso.com;a=b SIP", 1)
    assert not proxy.send(spiral)
    assert proxy.target().take()[-1].uri.endswith(";a=b")


def test_only_trusted_peers_are_served() -> None:
    """403, and nothing goes to the pool."""
    proxy = InMemoryProxy()
    for method in ("INVITE", "SUBSCRIBE", "OPTIONS", "MESSAGE"):
        (answer,) = proxy.send(Caller(proxy).write(method), source=STRANGER)
        assert answer.kind == f"403 {method}"
    assert not proxy.target().raw
    assert proxy.empty


@pytest.mark.parametrize(
    "route",
    [
        "<sip:victim.contoso.com;lr>",
        "<sip:127.0.0.1:5060;lr>, <sip:victim.contoso.com;lr>",
        "<sip:192.0.2.66>",
        "<tel:+1>",
    ],
)
def test_a_route_elsewhere_is_refused(route: str) -> None:
    """No open relay: a request for an endpoint goes to its pool, by no other way."""
    proxy = InMemoryProxy()
    (answer,) = proxy.send(Caller(proxy).write("INVITE", more=f"Route: {route}\r\n"))
    assert answer.kind == "403 INVITE"
    assert not proxy.target().raw
    assert proxy.empty


def test_our_own_route_is_taken_away() -> None:
    """§16.4: a front end may have put us into Route."""
    sent = Caller(InMemoryProxy()).invite(more="Route: <sip:127.0.0.1:5060;lr>\r\n")
    assert not sent.all("Route")


def test_via_is_stamped_before_it_goes_on() -> None:
    """§18.2.1 and RFC 3581: where it came from, for who answers."""
    proxy = InMemoryProxy()
    proxy.send(Caller(proxy, via="fe.contoso.com").write("MESSAGE"))
    assert proxy.target().one().all("Via")[1].endswith(";received=127.0.0.1")


def test_what_makes_no_dialog_gets_no_record_route() -> None:
    """§16.6 step 4."""
    proxy = InMemoryProxy()
    for method in ("MESSAGE", "OPTIONS", "PUBLISH"):
        proxy.send(Caller(proxy).write(method))
        assert not proxy.target().one().routes
    for method in ("SUBSCRIBE", "REFER", "NEGOTIATE"):
        proxy.send(Caller(proxy).write(method))
        assert len(proxy.target().one().routes) == 1


@pytest.mark.parametrize("client", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("pool", ["udp", "tcp", "tls"])
def test_double_record_route(client: str, pool: str) -> None:
    """RFC 5658: where the transports differ each side has its own, the pool's on top."""
    proxy = InMemoryProxy(*targets(transport=pool), transport=client)
    invite = Caller(proxy, client.upper()).invite()
    bare = [route.partition(";lr")[0] for route in invite.routes]

    def side(transport: str) -> str:
        return "sip:127.0.0.1:5060" + (f";transport={transport}" if transport != "udp" else "")

    assert bare == ([side(pool)] if pool == client else [side(pool), side(client)])
    assert invite.all("Via")[0].startswith(f"SIP/2.0/{pool.upper()} 127.0.0.1:5060;branch=")


def test_advertised_name() -> None:
    """`advertise` stands in Via and Record-Route, with its port if it has one."""
    invite = Caller(InMemoryProxy(advertise=HostPort("cr.contoso.com", 5099))).invite()
    assert invite.routes[0].startswith("sip:cr.contoso.com:5099;lr")
    assert invite.all("Via")[0].startswith("SIP/2.0/UDP cr.contoso.com:5099;")
    assert (
        Caller(InMemoryProxy(advertise=HostPort("cr.contoso.com")))
        .invite()
        .routes[0]
        .startswith("sip:cr.contoso.com:5060;lr")
    )


def test_a_name_that_instances_have_in_common() -> None:
    """`proxy.record_route_host` stands in Record-Route, `advertise` in Via: a response is ours."""
    for common, port in (
        (HostPort("cr.contoso.com"), 5060),
        (HostPort("cr.contoso.com", 5099), 5099),
    ):
        proxy = InMemoryProxy(advertise=HostPort("cr1.contoso.com"), record_route_host=common)
        invite = Caller(proxy).invite()
        assert [route.partition(";")[0] for route in invite.routes] == [
            f"sip:cr.contoso.com:{port}"
        ]
        assert invite.all("Via")[0].startswith("SIP/2.0/UDP cr1.contoso.com:5060;")


def test_sips() -> None:
    """§16.6 step 4: SIPS in Record-Route; RFC 5630 §6.2: nothing of it goes over TCP."""
    proxy = InMemoryProxy(*targets(transport="tls"), transport="tls")
    invite = Caller(proxy, "TLS", target="sips:ocschat@contoso.com").invite()
    assert [route[:20] for route in invite.routes] == ["sips:127.0.0.1:5060;"]
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tls")
    (answer,) = proxy.send(Caller(proxy, "TLS", target="sips:ocschat@contoso.com").write("INVITE"))
    assert answer.status == 480
    assert answer["Warning"].startswith("380 ")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_content_length_is_added_for_a_stream(transport: str) -> None:
    """§18.3: over UDP it may be missing."""
    proxy = InMemoryProxy(*targets(transport=transport))
    proxy.send(Caller(proxy).write("MESSAGE", body="hello", length=False))
    assert proxy.target().one()["Content-Length"] == "5"


def test_large_requests_go_over_tcp() -> None:
    """§18.1.1: over 1,300 octets; should that not go, over UDP all the same."""
    proxy = InMemoryProxy()
    proxy.ways.by_dialling.add("tcp")
    caller = Caller(proxy)
    proxy.send(caller.write("MESSAGE", body="x" * 1300))
    assert not proxy.target().raw
    assert [(target.transport, target.port) for target, _, _ in proxy.ways.wanted] == [
        ("tcp", 5070)
    ]
    flow = proxy.ways.connect()
    sent = flow.one()
    assert sent.all("Via")[0].startswith("SIP/2.0/TCP 127.0.0.1:5060;branch=")
    flow.gone = True
    proxy.driver.lost(flow)
    sent = proxy.target().one()
    assert sent.all("Via")[0].startswith("SIP/2.0/UDP 127.0.0.1:5060;branch=")
    proxy.send(caller.write("MESSAGE", body="y" * 1300))  # at once: TCP has just failed
    assert proxy.target().one().body == "y" * 1300
    proxy.expire()


def test_no_target() -> None:
    """480 with Retry-After and why, as in the other modes."""
    proxy = InMemoryProxy()
    proxy.set_targets([])
    (answer,) = proxy.send(Caller(proxy).write("INVITE"))
    assert answer.kind == "480 INVITE"
    assert answer["Retry-After"] == "30"
    assert "NXDOMAIN" in answer["Warning"]


def test_methods_list() -> None:
    """405 for what isn't on it; what is in a dialog needn't be."""
    proxy = InMemoryProxy(settings={"methods": ("INVITE",)})
    (answer,) = proxy.send(Caller(proxy).write("SUBSCRIBE"))
    assert answer.kind == "405 SUBSCRIBE"
    caller = Caller(proxy)
    caller.begin()
    proxy.send(caller.write("INFO"))
    assert proxy.target().one().kind == "INFO"


def test_options_goes_to_the_pool() -> None:
    """§11: to an endpoint from end to end; to the server itself it is answered here."""
    proxy = InMemoryProxy()
    assert not proxy.send(Caller(proxy).write("OPTIONS"))
    (answer,) = proxy.answer(0, proxy.target().one(), 200)
    assert answer.kind == "200 OPTIONS"
    (answer,) = proxy.send(
        Caller(proxy, target="sip:127.0.0.1", to="<sip:127.0.0.1>").write("OPTIONS")
    )
    assert answer.kind == "200 OPTIONS"
    assert not proxy.target().raw


def test_timestamp_comes_back_in_100() -> None:
    """§8.2.6.1."""
    proxy = InMemoryProxy()
    (answer,) = proxy.send(
        Caller(proxy).write("INVITE", more="Timestamp: 54\r\n"), source=FRONT_END
    )
    assert answer["Timestamp"] == "54"
