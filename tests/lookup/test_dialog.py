"""The dialog of a lookup: RFC 3261 §12 to §15, RFC 3311, as far as a lookup goes."""

import pytest

from chatredirect.config import HostPort
from tests.lookup.in_memory_lookups import (
    REQURI,
    SDP,
    STRANGER,
    TRANSPORTS,
    Client,
    InMemoryLookups,
    endpoint,
)
from tests.recording_flow import RecordingFlow


@pytest.fixture(params=TRANSPORTS)
def lookups(request: pytest.FixtureRequest) -> InMemoryLookups:
    return InMemoryLookups(transport=request.param)


def times(out: list[tuple[float, object]]) -> list[float]:
    return [round(seconds, 3) for seconds, _ in out]


def test_a_lookup_as_it_should_be(lookups: InMemoryLookups) -> None:
    """INVITE/200/ACK/INFO/200/INFO/200/BYE/200, and nothing is left when the timers are over."""
    client = Client(lookups).begin()
    reply = client.look_up()
    assert 'uri="sip:ocschat@pcpool.contoso.com" domain="contoso.com"' in reply.body
    client.hang_up()
    assert not lookups.core.dialogs
    assert lookups.pass_time(32.1) == []
    assert lookups.empty
    assert lookups.core.counters.ended == {"bye": 1}


def test_a_dialog_holds_its_flow_until_it_ends(lookups: InMemoryLookups) -> None:
    """docs/answers.md, "Streams": a peer that sends no more still gets the reply."""
    client = Client(lookups).begin()
    assert lookups.flow.held == 1
    client.look_up()
    assert lookups.flow.held == 1
    client.hang_up()
    assert lookups.flow.held == 0
    lookups.pass_time(400)
    assert lookups.flow.held == 0


def test_the_200_is_sent_again_until_its_ack(lookups: InMemoryLookups) -> None:
    """§13.3.1.4: over every transport, from T1 on, doubled up to T2."""
    client = Client(lookups)
    client.invite()
    out = lookups.pass_time(8)
    assert times(out) == [0.5, 1.5, 3.5, 7.5]
    assert {sent.raw for _, sent in out} == {lookups.flow.raw[0]}
    client.ack()
    assert lookups.pass_time(20) == []


def test_bye_only_after_32_seconds_without_an_ack(lookups: InMemoryLookups) -> None:
    """§15: the called side may send BYE when 64*T1 are over."""
    Client(lookups).invite()
    out = lookups.pass_time(31.99)
    assert {sent.kind for _, sent in out} == {"200 INVITE"}
    (at, bye) = lookups.pass_time(0.01)[0]
    assert bye.kind == "BYE"
    assert round(at, 3) == 0.01
    lookups.pass_time(64)
    assert lookups.empty
    assert lookups.core.counters.ended == {"no_ack": 1}


def test_an_idle_dialog_is_ended(lookups: InMemoryLookups) -> None:
    """30 s after the ACK, or after the last request."""
    client = Client(lookups).begin()
    assert lookups.pass_time(29) == []
    client.look_up()
    assert lookups.pass_time(29.9) == []
    ((_, bye),) = lookups.pass_time(0.2)
    assert bye.kind == "BYE"
    assert not lookups.send(client.accept(bye))
    assert not lookups.core.dialogs
    assert client.ask("INFO", body=REQURI)[0].status == 481
    assert lookups.pass_time(64) == []
    assert lookups.empty


def test_after_our_bye_nothing_is_done_any_more(lookups: InMemoryLookups) -> None:
    """§15: the session is over with the BYE; a BYE that crosses it is answered."""
    client = Client(lookups).begin()
    ((_, bye),) = lookups.pass_time(30.1)
    assert client.ask("INFO", body=REQURI)[0].status == 481
    client.hang_up()
    assert not lookups.core.dialogs
    assert not lookups.send(client.accept(bye, "481 Gone"))
    lookups.pass_time(64)
    assert lookups.empty


def test_a_retransmitted_invite_is_absorbed(lookups: InMemoryLookups) -> None:
    """RFC 6026: nothing is answered to it, the 200 is repeated by its own timer."""
    client = Client(lookups)
    client.invite()
    assert lookups.send(client.first) == []
    client.ack()
    assert lookups.send(client.first) == []
    assert len(lookups.core.dialogs) == 1
    assert lookups.core.counters.retransmissions == 2


@pytest.mark.parametrize("branches", [True, False])
def test_retransmitted_requests_get_the_same_answer(branches: bool) -> None:
    """§17.2.2: over UDP, for 32 s, with branches and without; and the reply is sent once."""
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups, branches=branches).begin()
    info = client.write("INFO", body=REQURI)
    ok, reply = lookups.send(info)
    assert [sent.raw for sent in lookups.send(info)] == [ok.raw]
    lookups.send(client.accept(reply))
    bye = client.write("BYE")
    (over,) = lookups.send(bye)
    lookups.pass_time(31)
    assert [sent.raw for sent in lookups.send(bye)] == [over.raw]
    lookups.pass_time(1.1)
    assert lookups.send(bye)[0].status == 481


def test_our_info_is_sent_again_over_udp_only() -> None:
    """§17.1.2: timer E, then F; §12.2.1.2: who never answers doesn't know the dialog: BYE."""
    for transport in TRANSPORTS:
        lookups = InMemoryLookups(transport=transport)
        client = Client(lookups).begin()
        _, reply = client.ask("INFO", body=REQURI)
        out = lookups.pass_time(12)
        resent = [0.5, 1.5, 3.5, 7.5, 11.5] if transport == "udp" else []
        assert times(out) == resent
        assert {sent.raw for _, sent in out} <= {reply.raw}
        lookups.send(client.accept(reply, "100 Trying"))
        assert len(lookups.pass_time(8)) == (2 if transport == "udp" else 0)  # every T2
        lookups.send(client.accept(reply))
        assert times(lookups.pass_time(9)) == []


def test_a_peer_that_does_not_answer_our_info() -> None:
    lookups = InMemoryLookups(transport="tcp")
    client = Client(lookups).begin()
    client.ask("INFO", body=REQURI)
    lookups.pass_time(25)
    client.ask("OPTIONS")
    ((at, bye),) = lookups.pass_time(8)
    assert bye.kind == "BYE"
    assert round(at, 3) == 7
    lookups.pass_time(64)
    assert lookups.core.counters.ended == {"refused": 1}
    assert lookups.empty


@pytest.mark.parametrize("status", ["481 Call/Transaction Does Not Exist", "408 Request Timeout"])
def test_a_peer_that_does_not_know_the_dialog(lookups: InMemoryLookups, status: str) -> None:
    """§12.2.1.2: the dialog is terminated."""
    client = Client(lookups).begin()
    _, reply = client.ask("INFO", body=REQURI)
    (bye,) = lookups.send(client.accept(reply, status))
    assert bye.kind == "BYE"
    lookups.send(client.accept(bye, status))
    assert not lookups.core.dialogs


def test_several_commands_and_several_infos(lookups: InMemoryLookups) -> None:
    """One reply for each INFO, in order: the next one goes when the one before has arrived."""
    client = Client(lookups).begin()
    two = (
        '<xccos ver="1" envid="7" xmlns="urn:parlano:xml:ns:xccos">'
        '<cmd id="cmd:requri" seqid="1"/><cmd id="cmd:getinv" seqid="2"><data/></cmd></xccos>'
    )
    ok, first = client.ask("INFO", body=two)
    (ok,) = client.ask("INFO", body=REQURI)
    assert ok.kind == "200 INFO"
    (second,) = lookups.send(client.accept(first))
    assert (first["CSeq"], second["CSeq"]) == ("1 INFO", "2 INFO")
    assert '<rpl id="rpl:requri" seqid="1"><commandid seqid="1" envid="7"/>' in first.body
    assert '<rpl id="rpl:getinv" seqid="2"><commandid seqid="2" envid="7"/>' in first.body
    assert '<resp code="501">ERROR_NOT_IMPLEMENTED</resp>' in first.body
    assert ' envid="2" ' in second.body
    assert lookups.send(client.accept(second)) == []


def test_too_many_waiting_replies(lookups: InMemoryLookups) -> None:
    client = Client(lookups).begin()
    out = [client.ask("INFO", body=REQURI)[0] for _ in range(7)]
    assert [each.status for each in out] == [200] * 5 + [500] * 2
    assert out[-1]["Retry-After"] == "5"


def test_re_invite(lookups: InMemoryLookups) -> None:
    """§14.2: a new 200 with our session, repeated until its own ACK; the Contact is taken over."""
    client = Client(lookups).begin()
    (answer,) = client.ask(
        "INVITE",
        body=SDP,
        content_type="application/sdp",
        contact="<sip:{name}@192.0.2.7;gruu;opaque=x>",
    )
    assert answer.status == 200
    assert "o=- 0 0 " in answer.body  # RFC 3264 §8: the same session, the same version
    assert answer["To"] == client.to
    client.ask("ACK", number=1)  # of the first: an old one
    assert times(lookups.pass_time(4)) == [0.5, 1.5, 3.5]
    client.ack()
    assert lookups.pass_time(4) == []
    reply = client.look_up()
    assert reply.start == "INFO sip:user1@192.0.2.7;gruu;opaque=x SIP/2.0"


def test_re_invite_that_is_refused_changes_nothing(lookups: InMemoryLookups) -> None:
    client = Client(lookups).begin()
    audio = SDP.replace("m=message 5080 sip null", "m=audio 5080 RTP/AVP 0")
    (answer,) = client.ask("INVITE", body=audio, content_type="application/sdp")
    assert answer.status == 488
    assert answer["Warning"].startswith("304 redirect ")
    again = lookups.pass_time(1)
    assert len(again) == (1 if lookups.flow.transport == "udp" else 0)  # timer G
    client.ask("ACK", number=client.number)
    client.look_up()


def test_update(lookups: InMemoryLookups) -> None:
    """RFC 3311: like a re-INVITE, without an ACK."""
    client = Client(lookups).begin()
    two = SDP + "m=audio 5080 RTP/AVP 0\r\n"
    (answer,) = client.ask("UPDATE", body=two, content_type="application/sdp")
    assert answer.status == 200
    assert "o=- 0 1 " in answer.body
    assert answer.body.endswith("m=audio 0 RTP/AVP 0\r\n")
    assert answer.all("Contact")
    (answer,) = client.ask("UPDATE")
    assert (answer.status, answer.body) == (200, "")


def test_update_before_our_offer_is_answered() -> None:
    """RFC 3311 §5.2: 491; the ACK brings the answer."""
    lookups = InMemoryLookups()
    client = Client(lookups)
    answer = client.invite(body="")
    assert "m=message 5060 sip null" in answer.body
    (pending,) = client.ask("UPDATE", body=SDP, content_type="application/sdp")
    assert pending.status == 491
    client.ask("ACK", number=1, body=SDP, content_type="application/sdp")
    (answer,) = client.ask("UPDATE", body=SDP, content_type="application/sdp")
    assert answer.status == 200


@pytest.mark.parametrize("method", ["INVITE", "INFO", "UPDATE", "BYE", "OPTIONS"])
def test_require(method: str) -> None:
    """§8.2.2.3: no extension is spoken, timer (RFC 4028) included; what's supported is ignored."""
    lookups = InMemoryLookups()
    client = Client(lookups)
    if method != "INVITE":
        client.begin()
    more = "Require: timer\r\nRequire: 100rel,\r\n gruu\r\nSupported: timer\r\n"
    (answer,) = client.ask(method, more=more, contact=client.contact)
    assert answer.status == 420
    assert answer["Unsupported"] == "timer, 100rel, gruu"


def test_supported_and_proxy_require_are_ignored(lookups: InMemoryLookups) -> None:
    client = Client(lookups)
    more = "Supported: timer, 100rel\r\nProxy-Require: ms-benotify\r\nSession-Expires: 1800\r\n"
    assert client.invite(more=more).status == 200


def test_cancel(lookups: InMemoryLookups) -> None:
    """§9.2: of an INVITE that is answered, 200 and no effect; of one that isn't known, 481."""
    client = Client(lookups)
    invited = client.invite(branch=";branch=z9hG4bKsame")
    client.to = "<sip:ocschat@contoso.com>"
    client.target = "sip:ocschat@contoso.com"
    (answer,) = client.ask("CANCEL", number=1, branch=";branch=z9hG4bKsame")
    assert answer.status == 200
    assert answer["To"] == invited["To"]
    assert len(lookups.core.dialogs) == 1
    (answer,) = client.ask("CANCEL", number=1, branch=";branch=z9hG4bKother")
    assert answer.status == 481


def test_cancel_without_a_branch() -> None:
    """§17.2.3: distinguished by Request-URI, tags, Call-ID, CSeq number and Via."""
    lookups = InMemoryLookups()
    client = Client(lookups, branches=False)
    invited = client.invite()
    client.to, client.target = "<sip:ocschat@contoso.com>", "sip:ocschat@contoso.com"
    (answer,) = client.ask("CANCEL", number=1)
    assert answer.status == 200
    assert answer["To"] == invited["To"]
    (answer,) = client.ask("CANCEL", number=2)
    assert answer.status == 481


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (None, "400 Missing Contact"),
        ("<sip:a@b>, <sip:c@d>", "400 Bad Contact"),
        ("*", "400 Bad Contact"),
        ("<tel:+1>", "400 Bad Contact"),
    ],
)
def test_contact_of_an_invite(contact: str | None, reason: str) -> None:
    """§8.1.1.8: exactly one SIP or SIPS URI."""
    lookups = InMemoryLookups()
    answer = Client(lookups).invite(contact=contact)
    assert answer.start == f"SIP/2.0 {reason}"


def test_a_refused_invite_is_answered_again_until_its_ack() -> None:
    """§17.2.1: timer G over UDP, the ACK within the transaction, then nothing is left."""
    for branches in (True, False):
        lookups = InMemoryLookups(transport="udp")
        client = Client(lookups, branches=branches)
        branch = ";branch=z9hG4bKsame" if branches else ""
        answer = client.invite(contact=None, branch=branch)
        assert answer.status == 400
        assert times(lookups.pass_time(2)) == [0.5, 1.5]
        assert [sent.raw for sent in lookups.send(client.first)] == [answer.raw]
        client.to = answer["To"]
        client.ask("ACK", number=1, branch=branch)
        assert lookups.pass_time(4) == []
        assert lookups.send(client.first) == []
        lookups.pass_time(2)
        assert lookups.empty


def test_merged_requests(lookups: InMemoryLookups) -> None:
    """§8.2.2.2: the same INVITE by another way is a loop."""
    client = Client(lookups)
    client.invite()
    client.to, client.target, client.number = (
        "<sip:ocschat@contoso.com>",
        "sip:ocschat@contoso.com",
        0,
    )
    assert client.invite().status == 482
    assert len(lookups.core.dialogs) == 1


def test_order_of_requests(lookups: InMemoryLookups) -> None:
    """§12.2.2: a CSeq number that isn't higher is refused, gaps are fine."""
    client = Client(lookups).begin()
    assert client.ask("OPTIONS", number=9)[0].status == 200
    for number in (9, 2):
        (answer,) = client.ask("OPTIONS", number=number)
        assert answer.start == "SIP/2.0 500 CSeq Out Of Order"


def test_record_route(lookups: InMemoryLookups) -> None:
    """§12.1.1: copied into the 200 as it came, and the way of our own requests."""
    more = (
        "Record-Route: <sip:fe1.contoso.com;transport=tls;lr>;x=1, <sip:fe2.contoso.com;lr>\r\n"
        "Record-Route: <sip:edge.contoso.com;lr>\r\n"
    )
    client = Client(lookups)
    answer = client.invite(more=more)
    assert answer.all("Record-Route") == [
        "<sip:fe1.contoso.com;transport=tls;lr>;x=1, <sip:fe2.contoso.com;lr>",
        "<sip:edge.contoso.com;lr>",
    ]
    client.ack()
    reply = client.look_up()
    assert reply.all("Route") == [
        "<sip:fe1.contoso.com;transport=tls;lr>;x=1",
        "<sip:fe2.contoso.com;lr>",
        "<sip:edge.contoso.com;lr>",
    ]
    assert reply.start.startswith("INFO sip:user1@contoso.com:45154;")


def test_strict_router() -> None:
    """§12.2.1.1: one without lr takes the Request-URI for itself."""
    lookups = InMemoryLookups()
    client = Client(lookups)
    client.invite(more="Record-Route: <sip:old.contoso.com>\r\n")
    client.ack()
    reply = client.look_up()
    assert reply.start == "INFO sip:old.contoso.com SIP/2.0"
    assert reply.all("Route") == ["<sip:user1@contoso.com:45154;maddr=127.0.0.1;transport=tcp>"]


@pytest.mark.parametrize(
    ("transport", "advertise", "contact", "via"),
    [
        ("udp", None, "<sip:ocschat@127.0.0.1>", "SIP/2.0/UDP 127.0.0.1:5060;"),
        ("tcp", None, "<sip:ocschat@127.0.0.1;transport=tcp>", "SIP/2.0/TCP 127.0.0.1:5060;"),
        (
            "tls",
            HostPort("cr.contoso.com"),
            "<sip:ocschat@cr.contoso.com:5060;transport=tls>",
            "SIP/2.0/TLS cr.contoso.com:5060;",
        ),
        (
            "tls",
            HostPort("cr.contoso.com", 5061),
            "<sip:ocschat@cr.contoso.com;transport=tls>",
            "SIP/2.0/TLS cr.contoso.com:5061;",
        ),
        (
            "udp",
            HostPort("2001:db8::1"),
            "<sip:ocschat@[2001:db8::1]>",
            "SIP/2.0/UDP [2001:db8::1]:5060;",
        ),
    ],
)
def test_contact_and_via(
    transport: str, advertise: HostPort | None, contact: str, via: str
) -> None:
    """Of `advertise`, or the address that was sent to."""
    lookups = InMemoryLookups(transport=transport, advertise=advertise)
    client = Client(lookups)
    assert client.invite()["Contact"] == contact
    client.ack()
    value = client.look_up()["Via"]
    assert value.startswith(via)
    assert value.endswith(";rport") == (transport == "udp")


def test_sips() -> None:
    """§12.1.1: to a SIPS Request-URI the Contact is one too."""
    lookups = InMemoryLookups(transport="tls")
    client = Client(lookups, target="sips:ocschat@contoso.com")
    assert client.invite()["Contact"] == "<sips:ocschat@127.0.0.1:5060>"


def test_strangers_are_not_served() -> None:
    """403 for who isn't trusted, also within the dialogs of others; and nothing is kept."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    lookups.source = STRANGER
    assert client.ask("INFO", body=REQURI)[0].status == 403
    assert client.ask("BYE")[0].status == 403
    assert Client(lookups).invite().status == 403
    assert Client(lookups).ask("MESSAGE")[0].status == 403
    assert len(lookups.core.dialogs) == 1


def test_a_stranger_confirms_nothing() -> None:
    lookups = InMemoryLookups()
    client = Client(lookups)
    client.invite()
    lookups.source = STRANGER
    client.ack()
    assert times(lookups.pass_time(1)) == [0.5]


def test_a_dialog_ends_with_its_connection() -> None:
    """What can't be sent ends it: nobody waits for what never comes."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    lookups.flow.gone = True
    client.ask("INFO", body=REQURI)
    assert not lookups.core.dialogs
    assert lookups.core.counters.ended == {"lost": 1}
    idle = Client(lookups)
    lookups.flow.gone = False
    idle.begin()
    lookups.flow.gone = True
    assert lookups.pass_time(64) == []
    assert lookups.empty


def test_bye_before_the_ack(lookups: InMemoryLookups) -> None:
    """A client may change its mind; nothing is sent after it."""
    client = Client(lookups)
    client.invite()
    client.hang_up()
    assert not lookups.core.dialogs
    assert lookups.pass_time(64) == []
    assert lookups.empty


def test_a_connection_that_goes_before_the_ack_or_our_bye() -> None:
    for confirmed in (False, True):
        lookups = InMemoryLookups()
        client = Client(lookups)
        client.invite()
        if confirmed:
            client.ack()
            lookups.pass_time(29.9)
        lookups.flow.gone = True
        lookups.pass_time(1)
        assert not lookups.core.dialogs
        lookups.pass_time(64)
        assert lookups.empty


def test_a_peer_that_forgets_before_its_ack(lookups: InMemoryLookups) -> None:
    """§12.2.1.2 and §15: the dialog is over, and no BYE may be sent before the ACK."""
    client = Client(lookups)
    client.invite()
    _, reply = client.ask("INFO", body=REQURI)
    assert lookups.send(client.accept(reply, "481 Gone")) == []
    assert not lookups.core.dialogs
    assert lookups.pass_time(64) == []


def test_requests_over_a_new_connection_move_the_dialog() -> None:
    """A front end may have opened another one; ours go where the last of its requests came from."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    other = RecordingFlow("tcp")
    out = lookups.send(client.write("INFO", body=REQURI), other)
    assert [sent.kind for sent in out] == ["200 INFO", "INFO"]


def test_other_methods() -> None:
    """SUBSCRIBE and MESSAGE are redirected as in redirect mode, what needs a dialog gets 481."""
    lookups = InMemoryLookups()
    for method in ("SUBSCRIBE", "MESSAGE", "PUBLISH"):
        (answer,) = Client(lookups).ask(method)
        assert (answer.status, answer["Contact"]) == (302, "<sip:ocschat@pcpool.contoso.com>")
    for method in ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"):
        assert Client(lookups).ask(method)[0].status == 481
    (answer,) = Client(lookups).ask("OPTIONS")
    assert answer.status == 200
    assert "INVITE" in answer["Allow"]
    assert "application/sdp" in answer["Accept"]
    assert answer["Accept-Encoding"] == "identity"
    assert answer["Accept-Language"] == "en"
    client = Client(lookups).begin()
    assert client.ask("SUBSCRIBE")[0].status == 405
    assert client.ask("OPTIONS")[0].status == 200


def test_methods_list() -> None:
    lookups = InMemoryLookups(endpoint(methods=("INVITE",)))
    assert Client(lookups).ask("MESSAGE")[0].status == 405
    assert Client(lookups).invite().status == 200


def test_register() -> None:
    """405, or 301 to the domain's home with what the client speaks already."""
    homes = {"contoso.com": HostPort("fepool.contoso.com"), "b.com": HostPort("fe.b.com", 5061)}
    for transport, contact in (
        ("udp", "<sip:fepool.contoso.com>"),
        ("tcp", "<sip:fepool.contoso.com;transport=tcp>"),
        ("tls", "<sip:fepool.contoso.com;transport=tls>"),
    ):
        lookups = InMemoryLookups(transport=transport, registrars=homes)
        lookups.source = STRANGER  # a client that signs in directly is no front end
        (answer,) = Client(lookups, target="sip:Contoso.com").ask("REGISTER")
        assert (answer.status, answer["Contact"]) == (301, contact)
    (answer,) = Client(lookups, target="sip:b.com").ask("REGISTER")
    assert answer["Contact"] == "<sip:fe.b.com:5061;transport=tls>"
    assert Client(lookups, target="sip:user1@contoso.com").ask("REGISTER")[0].status == 404
    lookups = InMemoryLookups()
    (answer,) = Client(lookups, target="sip:contoso.com").ask("REGISTER")
    assert (answer.status, "INVITE" in answer["Allow"]) == (405, True)
    assert Client(lookups).ask("REGISTER")[0].status == 405
    assert Client(lookups, target="sip:fabrikam.com").ask("REGISTER")[0].status == 404


def test_tags_and_branches_count_no_case() -> None:
    """§7.3.1: they are tokens. Some send what they were given back in another case."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    address, _, tag = client.to.partition(";tag=")
    client.to = f"{address};tag={tag.upper()}"
    assert client.to != f"{address};tag={tag}"
    ok, command = client.ask("INFO", body=REQURI)
    assert ok.status == 200
    via = command["Via"].encode()
    capitals = via.partition(b"z9")[0] + b"z9" + via.partition(b"z9")[2].upper()
    assert not lookups.send(client.accept(command).replace(via, capitals))
    assert client.ask("BYE")[0].status == 200
