"""RFC 3261 §16.7 to §16.11 and §17, RFC 6026, RFC 4320: what comes back, and when."""

import pytest

from tests.proxy.in_memory_proxy import (
    CONTACT,
    Caller,
    InMemoryProxy,
    record_route,
    response,
    targets,
)


def kinds(out: "list[tuple[float, object]]") -> list[tuple[float, str]]:
    return [(at, sent.kind) for at, sent in out]  # type: ignore[attr-defined]


def test_invite_is_repeated_over_udp_until_something_is_heard() -> None:
    """§17.1.1.2, timer A: doubled without end; timer B: 408 after 64*T1."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.invite()
    out = proxy.pass_time(33.0, proxy.target(), proxy.client)
    assert kinds(out) == [
        *((at, "INVITE") for at in (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)),
        (32.0, "408 INVITE"),
        (32.5, "408 INVITE"),
    ]
    proxy.send(caller.write("ACK", number=1, branch=caller.last_branch))
    proxy.expire()


def test_other_requests_are_repeated_and_nobody_answers() -> None:
    """§17.1.2.2, timers E and F; RFC 4320: 100 when timer E has come to T2, and never 408."""
    proxy = InMemoryProxy()
    proxy.send(Caller(proxy).write("SUBSCRIBE"))
    proxy.target().take()
    out = proxy.pass_time(60.0, proxy.target(), proxy.client)
    assert kinds(out) == [
        (0.5, "SUBSCRIBE"),
        (1.5, "SUBSCRIBE"),
        (3.5, "100 SUBSCRIBE"),
        *((at, "SUBSCRIBE") for at in (3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)),
    ] or kinds(out)[2] == (3.5, "SUBSCRIBE")
    assert proxy.counters.drops["no_response"] == 1
    assert proxy.empty


def test_nothing_is_repeated_over_tcp() -> None:
    """§17.1.1.2: timers A and E are for unreliable transports."""
    proxy = InMemoryProxy(*targets(transport="tcp"), transport="tcp")
    Caller(proxy, "TCP").invite()
    assert kinds(proxy.pass_time(31.9, proxy.target(), proxy.client)) == []


def test_a_408_from_the_pool_is_not_passed_on_to_others_than_invite() -> None:
    """RFC 4320 §4.2."""
    proxy = InMemoryProxy()
    proxy.send(Caller(proxy).write("INFO"))
    assert not proxy.answer(0, proxy.target().one(), 408)
    invite = Caller(proxy).invite()
    assert [sent.status for sent in proxy.answer(0, invite, 408)] == [408]


def test_provisional_responses() -> None:
    """§16.7 step 5: 100 stays here; RFC 4320 §4.1: others than INVITE get no other one."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    assert not proxy.answer(0, invite, 100)
    assert [sent.status for sent in proxy.answer(0, invite, 183)] == [183]
    assert [sent.status for sent in proxy.answer(0, invite, 183)] == [183]
    assert kinds(proxy.pass_time(30.0, proxy.target())) == []
    proxy.send(Caller(proxy).write("MESSAGE"))
    message = proxy.target().one()
    assert not proxy.answer(0, message, 183)
    assert [sent.status for sent in proxy.answer(0, message, 200)] == [200]


def test_retransmitted_requests_are_absorbed() -> None:
    """§17.2: they get the last response again, and the pool sees them once."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    again = caller.write("INVITE", number=1, branch=caller.last_branch)
    assert [sent.status for sent in proxy.send(again)] == [100]
    proxy.answer(0, invite, 180)
    assert [sent.status for sent in proxy.send(again)] == [180]
    proxy.answer(0, invite, 200)
    assert not proxy.send(again)  # RFC 6026 §7.1
    info = caller.write("MESSAGE")
    assert not proxy.send(info)
    assert not proxy.send(info)
    message = proxy.target().one()
    proxy.answer(0, message, 202)
    assert [sent.status for sent in proxy.send(info)] == [202]
    assert not proxy.target().raw
    assert proxy.core.counters.retransmissions == 5
    proxy.expire()


def test_a_refused_invite_is_acknowledged_hop_by_hop() -> None:
    """§17.1.1.3 and §17.2.1: our ACK to the pool, the caller's ACK to us."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    (busy,) = proxy.answer(0, invite, 486, tag="busy")
    assert busy["To"].endswith(";tag=busy")
    ack = proxy.target().one()
    assert ack.kind == "ACK"
    assert ack.branch == invite.branch
    assert ack.uri == invite.uri
    assert ack["To"] == busy["To"]
    assert ack["CSeq"] == "1 ACK"
    assert ack["From"] == invite["From"]
    assert len(ack.all("Via")) == 1
    proxy.answer(0, invite, 486, tag="busy")  # our ACK was lost
    assert proxy.target().one().kind == "ACK"
    assert kinds(proxy.pass_time(1.0)) == [(0.5, "486 INVITE")]
    caller.to = busy["To"]
    assert not proxy.send(caller.write("ACK", number=1, branch=caller.last_branch))
    assert kinds(proxy.pass_time(10.0)) == []
    assert not proxy.target().raw  # the caller's ACK ends here
    proxy.expire()


def test_2xx_are_passed_on_each_time() -> None:
    """RFC 6026: the pool repeats its 2xx until the ACK comes, from end to end."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    for _ in range(3):
        (ok,) = proxy.answer(0, invite, 200, more=CONTACT + record_route(invite))
        assert ok.kind == "200 INVITE"
    caller.accepted(ok)
    for _ in range(3):
        assert not proxy.send(caller.write("ACK", number=1))
        ack = proxy.target().one()
        assert ack["To"] == ok["To"]
        assert not ack.all("Route")
    assert len({ack.branch, invite.branch}) == 2
    proxy.pass_time(33.0)
    assert proxy.empty
    assert not proxy.answer(0, invite, 200)  # RFC 6026 §8.9: too late
    assert proxy.counters.drops["response"] == 1


def test_a_branch_in_another_case() -> None:
    """§7.3.1: a branch is a token, so a pool may write it in capitals."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    ours = invite.branch.encode()
    proxy.deliver(response(invite, 200).replace(ours, ours.upper()), proxy.target())
    assert proxy.client.one().status == 200
    proxy.expire()


def test_a_to_tag_that_changes() -> None:
    """Several called sides may answer: each 2xx is passed on with its own tag."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    tags = []
    for tag, status in (("a", 180), ("b", 183), ("c", 200), ("d", 200)):
        (sent,) = proxy.answer(0, invite, status, tag=tag)
        tags.append(sent["To"][-1])
    assert tags == ["a", "b", "c", "d"]
    assert not proxy.answer(0, invite, 486, tag="e")
    proxy.expire()


def test_cancel() -> None:
    """§16.10: 200 to the CANCEL, CANCEL to the pool, its 487 to the caller."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    (ok,) = proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    assert ok.kind == "200 CANCEL"
    cancel = proxy.target().one()
    assert cancel.kind == "CANCEL"
    assert cancel.branch == invite.branch
    assert cancel.uri == invite.uri
    assert cancel["To"] == invite["To"]
    assert cancel["CSeq"] == "1 CANCEL"
    assert not proxy.answer(0, cancel, 200)
    (gone,) = proxy.answer(0, invite, 487)
    assert gone.kind == "487 INVITE"
    assert [sent.kind for sent in proxy.target().take()] == ["ACK"]
    (ok,) = proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    assert ok.kind == "200 CANCEL"  # once more, and nothing follows
    assert not proxy.target().raw
    proxy.expire()


def test_cancel_waits_for_a_provisional_response() -> None:
    """§9.1: nothing is cancelled before something was heard."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    assert not proxy.target().raw
    proxy.answer(0, invite, 100)
    assert proxy.target().one().kind == "CANCEL"
    proxy.answer(0, invite, 487)
    proxy.expire()


def test_cancel_crosses_200() -> None:
    """§9.1: whoever has answered has answered; the caller says BYE."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    (ok,) = proxy.answer(0, invite, 200)
    assert ok.kind == "200 INVITE"
    proxy.expire()


def test_a_487_with_the_vias_of_the_cancel_finds_its_way() -> None:
    """§16.7 step 3: our own Via alone is on it; the request had the others."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    invite.fields.remove(("Via", invite.all("Via")[1]))
    (gone,) = proxy.answer(0, invite, 487)
    assert gone.all("Via") == [f"SIP/2.0/UDP 127.0.0.1:45154{caller.last_branch}"]
    proxy.expire()


def test_a_cancelled_branch_that_says_nothing() -> None:
    """§9.1: 64*T1 after the CANCEL the INVITE is given up; the caller gets 487."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    out = kinds(proxy.pass_time(32.4))
    assert out == [(32.0, "487 INVITE")]
    proxy.expire()


@pytest.mark.parametrize("rung", [True, False])
def test_the_reason_of_a_cancel_goes_on_with_it(rung: bool) -> None:
    """RFC 3326 §2: "completed elsewhere" is no missed call. Also if CANCEL has to wait (§9.1)."""
    why = 'Reason: SIP;cause=200;text="Call completed elsewhere"\r\nreason:Q.850;cause=16\r\n'
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    if rung:
        proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch, more=why))
    if not rung:
        assert not proxy.target().raw
        proxy.answer(0, invite, 180)
    cancel = proxy.target().one()
    assert cancel.all("Reason") == [
        'SIP;cause=200;text="Call completed elsewhere"',
        "Q.850;cause=16",
    ]
    proxy.answer(0, invite, 487)
    proxy.expire()


def test_a_reason_without_end_does_not_go_on() -> None:
    """It waits with the request, so it is bounded; the CANCEL goes on all the same."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    why = 'Reason: SIP;cause=200;text="' + "x" * 1000 + '"\r\n'
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch, more=why))
    cancel = proxy.target().one()
    assert (cancel.kind, cancel.all("Reason")) == ("CANCEL", [])


def test_cancel_of_nothing() -> None:
    """§16.10 and §9.2: 481; from a stranger as well, whatever he has guessed."""
    proxy = InMemoryProxy()
    (answer,) = proxy.send(Caller(proxy).write("CANCEL"))
    assert answer.kind == "481 CANCEL"
    assert proxy.empty


def test_timer_c() -> None:
    """§16.8: every provisional response but 100 gives another three minutes; then CANCEL.

    What has rung for so long doesn't begin at the next target.
    """
    proxy = InMemoryProxy(*targets(2))
    invite = Caller(proxy).invite()
    proxy.answer(0, invite, 180)
    proxy.pass_time(170.0)
    proxy.answer(0, invite, 180)
    assert not proxy.pass_time(179.0, proxy.target())
    proxy.answer(0, invite, 100)
    assert kinds(proxy.pass_time(1.2, proxy.target())) == [(1.0, "CANCEL")]
    proxy.answer(0, invite, 487)
    proxy.expire()
    proxy.target().take()
    invite = Caller(proxy).invite()
    proxy.answer(0, invite, 180)
    out = kinds(proxy.pass_time(212.4))
    assert out == [(212.0, "408 INVITE")]
    assert not proxy.target(1).raw


def test_503_is_not_passed_on() -> None:
    """§16.7 step 6: it would be taken for our own; 500 says so much and no more."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    (answer,) = proxy.answer(0, invite, 503, more="Retry-After: 3600\r\n")
    assert answer.kind == "500 INVITE"
    assert proxy.target().one().kind == "ACK"


@pytest.mark.parametrize(
    "status", [300, 302, 401, 404, 407, 420, 480, 486, 500, 502, 504, 603, 606]
)
def test_other_final_responses_are(status: int) -> None:
    """§16.7 step 6."""
    proxy = InMemoryProxy(*targets(2))
    invite = Caller(proxy).invite()
    (answer,) = proxy.answer(0, invite, status, more="X-Reason: a\r\n")
    assert answer.kind == f"{status} INVITE"
    assert answer["X-Reason"] == "a"
    assert not proxy.target(1).raw


def test_a_response_that_nobody_waits_for() -> None:
    """RFC 6026 §8.9: dropped, and counted."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    invite.fields[0] = ("Via", invite.all("Via")[0].replace("branch=z9hG4bK", "branch=z9hG4bKx"))
    assert not proxy.answer(0, invite, 200)
    assert proxy.counters.drops == {"response": 1}
    late = response(invite, 200).replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE")
    proxy.send(late, proxy.target(), None)
    assert proxy.counters.drops == {"response": 2}


def test_older_clients() -> None:
    """§17.2.3 without a branch, as Office Communicator has it: INVITE, 486 and ACK."""
    proxy = InMemoryProxy(transport="udp")
    caller = Caller(proxy, cookie="")
    invite = caller.invite()
    again = caller.write("INVITE", number=1)
    assert [sent.status for sent in proxy.send(again)] == [100]
    (busy,) = proxy.answer(0, invite, 486)
    proxy.target().take()
    caller.to = busy["To"]
    assert not proxy.send(caller.write("ACK", number=1))
    assert kinds(proxy.pass_time(10.0)) == []
    proxy.expire()


def test_older_clients_acknowledge_200_from_end_to_end() -> None:
    """The ACK looks like one within the transaction where the Contact is the Request-URI."""
    proxy = InMemoryProxy()
    caller = Caller(proxy, cookie="")
    invite = caller.invite()
    (ok,) = proxy.answer(
        0, invite, 200, more=f"Contact: <{caller.target}>\r\n" + record_route(invite)
    )
    caller.accepted(ok)
    proxy.send(caller.write("ACK", number=1))
    assert proxy.target().one().kind == "ACK"


def test_one_branch_for_two_calls() -> None:
    """§17.2.3: a collision makes two transactions, since Call-ID and CSeq tell them apart."""
    proxy = InMemoryProxy()
    one, other = Caller(proxy), Caller(proxy)
    first = one.invite(branch=";branch=z9hG4bKsame")
    second = other.invite(branch=";branch=z9hG4bKsame")
    assert first.branch != second.branch
    (answer,) = proxy.answer(0, second, 404)
    assert answer["Call-ID"] == other.call_id
    proxy.expire()


def test_overload() -> None:
    """Too many open requests, in all or of one peer: 503 with Retry-After."""
    for rules in ({"transactions": 2}, {"transactions_per_peer": 2}):
        proxy = InMemoryProxy(**rules)
        first = Caller(proxy).invite()
        Caller(proxy).invite()
        (answer,) = proxy.send(Caller(proxy).write("INVITE"))
        assert answer.kind == "503 INVITE"
        assert answer["Retry-After"] == "30"
        proxy.answer(0, first, 404)
        proxy.target().take()
        Caller(proxy).invite()
        proxy.expire()


@pytest.mark.parametrize(
    ("hops", "more", "draining", "status"),
    [(0, "", False, 483), (70, "Proxy-Require: foo\r\n", False, 420), (70, "", True, 503)],
)
def test_the_ack_of_a_refusal_goes_no_further(
    hops: int, more: str, draining: bool, status: int
) -> None:
    """§17.1.1.3: it is from one hop to the next, so the pool never sees it."""
    proxy = InMemoryProxy()
    proxy.core.draining = draining
    caller = Caller(proxy)
    (answer,) = proxy.send(caller.write("INVITE", hops=hops, more=more))
    assert answer.status == status
    caller.to = answer["To"]
    assert not proxy.send(caller.write("ACK", number=1, branch=caller.last_branch))
    assert not proxy.target().raw
    assert proxy.counters.drops == {"ack": 1}


def test_draining() -> None:
    """No new dialogs: 503; what is within one passes; idle when the last is answered."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    caller.begin()
    told: list[bool] = []
    proxy.driver.on_idle = lambda: told.append(True)
    proxy.core.draining = True
    (answer,) = proxy.send(Caller(proxy).write("INVITE"))
    assert answer.kind == "503 INVITE"
    told.clear()
    proxy.send(caller.write("BYE"))
    assert proxy.core.open
    assert not told
    proxy.answer(0, proxy.target().one(), 200)
    assert not proxy.core.open
    assert told == [True]


def test_the_end_of_draining() -> None:
    """What still rings is cancelled, and whoever waits is told, whatever he asked for."""
    proxy = InMemoryProxy()
    ringing, other = Caller(proxy), Caller(proxy)
    proxy.answer(0, ringing.invite(), 180)
    proxy.send(other.write("SUBSCRIBE"))
    proxy.target().take()
    for context in list(proxy.core.open):
        proxy.driver.give_up(context)
    assert sorted(sent.kind for sent in proxy.client.take()) == ["500 INVITE", "500 SUBSCRIBE"]
    assert proxy.target().one().kind == "CANCEL"
    assert not proxy.core.open
    proxy.expire()
