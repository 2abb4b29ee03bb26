"""RFC 3263 §4.3 and RFC 3261 §16.6, §16.9: one target after the other."""

import pytest

from tests.proxy.in_memory_proxy import Caller, InMemoryProxy, targets


def test_a_target_that_says_nothing_is_given_up() -> None:
    """After the attempt timer the next one gets it, with another branch; the last has timer B."""
    proxy = InMemoryProxy(*targets(3))
    proxy.send(Caller(proxy).write("INVITE"))
    first = proxy.target(0).one()
    proxy.pass_time(4.0)
    second = proxy.target(1).one()
    assert second.branch != first.branch
    proxy.pass_time(4.0)
    assert proxy.target(2).one().kind == "INVITE"
    out = proxy.pass_time(32.0)
    assert [(at, sent.kind) for at, sent in out] == [(32.0, "408 INVITE")]
    assert proxy.core.counters.failovers == 2
    assert proxy.core.counters.failures == {"attempt_timeout": 2, "no_response": 1}
    proxy.expire()


def test_a_target_that_says_100_is_waited_for() -> None:
    """It lives: nothing else matters to the attempt timer."""
    proxy = InMemoryProxy(*targets(2))
    invite = Caller(proxy).invite()
    proxy.answer(0, invite, 100)
    proxy.pass_time(60.0)
    assert not proxy.target(1).raw
    message = Caller(proxy)
    proxy.send(message.write("MESSAGE"))
    proxy.answer(0, proxy.target(0).one(), 100)
    proxy.pass_time(20.0)
    assert not proxy.target(1).raw


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
def test_503_moves_on(method: str) -> None:
    """§4.3; the 503 itself is seen by nobody."""
    proxy = InMemoryProxy(*targets(2))
    proxy.send(Caller(proxy).write(method))
    assert not proxy.answer(0, proxy.target(0).one(), 503)
    (answer,) = proxy.answer(1, proxy.target(1).one(), 200)
    assert answer.status == 200
    proxy.expire()


def test_all_have_failed() -> None:
    """503 of each: 500; no connection to any: 500, and why."""
    proxy = InMemoryProxy(*targets(2))
    invite = Caller(proxy).invite()
    proxy.answer(0, invite, 503)
    (answer,) = proxy.answer(1, proxy.target(1).one(), 503)
    assert answer.kind == "500 INVITE"
    proxy = InMemoryProxy(*targets(2, "tcp"))
    proxy.ways.by_dialling.add("tcp")
    proxy.send(Caller(proxy).write("SUBSCRIBE"))
    proxy.ways.fail()
    proxy.ways.fail()
    answer = proxy.client.one()
    assert answer.kind == "500 SUBSCRIBE"
    assert "tcp://192.0.2.21:5070: connection refused" in answer["Warning"]
    proxy.expire()


def test_failed_targets_are_left_for_last_for_a_while() -> None:
    """`target_penalty`; when all have failed they are tried all the same."""
    proxy = InMemoryProxy(*targets(2))
    proxy.answer(0, Caller(proxy).invite(), 503)
    proxy.answer(1, proxy.target(1).one(), 200)
    proxy.target(0).take()
    proxy.answer(1, Caller(proxy).invite(1), 503)
    assert proxy.target(0).one().kind == "INVITE"
    proxy.pass_time(31.0)
    proxy.target(0).take()
    assert Caller(proxy).invite(0).kind == "INVITE"
    proxy.expire()


def test_silence_within_a_dialog_is_nobodys_fault() -> None:
    """The dialog may be gone at the target, which is as good as ever for new ones."""
    proxy = InMemoryProxy(*targets(2))
    caller = Caller(proxy)
    caller.begin()
    proxy.send(caller.write("INFO"))
    proxy.pass_time(33.0)
    assert proxy.core.counters.failures == {"no_response": 1}
    assert len(proxy.core.blocklist) == 0
    invite = Caller(proxy)
    proxy.target().take()
    proxy.answer(0, invite.invite(), 180)
    proxy.pass_time(181.0)  # Timer C: it rang
    assert len(proxy.core.blocklist) == 0


def test_penalties_are_bounded() -> None:
    """Whatever targets come and go."""
    proxy = InMemoryProxy()
    for number in range(10_000):
        (target,) = targets(1, address=f"10.0.{number}.")
        proxy.core.blocklist.add(target, 1e9)
    assert len(proxy.core.blocklist) <= 4096


def test_a_lost_connection_moves_on() -> None:
    """§16.9: like a 503; what was sent over it is sent to the next."""
    proxy = InMemoryProxy(*targets(2, "tcp"), transport="tcp")
    proxy.send(Caller(proxy, "TCP").write("INVITE"))
    flow = proxy.target(0)
    flow.take()
    flow.gone = True
    proxy.driver.lost(flow)
    assert proxy.target(1).one().kind == "INVITE"
    proxy.target(1).gone = True
    proxy.client.take()
    proxy.driver.lost(proxy.ways.flows[proxy.targets[1].key])
    assert proxy.client.one().kind == "500 INVITE"
    proxy.expire()


def test_a_send_that_fails_moves_on() -> None:
    """§17.1.4: a transport error is known at once."""
    proxy = InMemoryProxy(*targets(2, "tcp"))
    first = proxy.target(0)
    proxy.ways.reach = lambda target: (  # type: ignore[method-assign]
        first if target is proxy.targets[0] else proxy.ways.of(target)
    )
    first.gone = True
    proxy.send(Caller(proxy).write("MESSAGE"))
    assert proxy.target(1).one().kind == "MESSAGE"


def test_a_connection_that_is_being_opened() -> None:
    """It is waited for; CANCEL meanwhile ends it with 487, and nothing is ever sent."""
    proxy = InMemoryProxy(*targets(1, "tcp"))
    proxy.ways.by_dialling.add("tcp")
    caller = Caller(proxy)
    proxy.send(caller.write("INVITE"))
    flow = proxy.ways.connect()
    assert flow.one().kind == "INVITE"
    other = Caller(proxy)
    flow.gone = True
    proxy.send(other.write("INVITE"))
    answers = proxy.send(other.write("CANCEL", number=1, branch=other.last_branch))
    assert sorted(sent.kind for sent in answers) == ["200 CANCEL", "487 INVITE"]
    assert not proxy.ways.connect().raw


def test_a_connection_that_takes_too_long() -> None:
    """The attempt timer counts for it as well; when it comes at last nobody wants it."""
    proxy = InMemoryProxy(*targets(2, "tcp"))
    proxy.ways.by_dialling.add("tcp")
    proxy.send(Caller(proxy).write("INVITE"))
    proxy.pass_time(4.0)
    late, second = proxy.ways.wanted
    assert second[0] is proxy.targets[1]
    late[1](proxy.ways.of(late[0]))
    assert not proxy.target(0).raw
    proxy.ways.wanted.pop(0)
    assert proxy.ways.connect().one().kind == "INVITE"


def test_a_late_200_of_an_abandoned_target_wins() -> None:
    """§16.7 step 5: a 2xx is passed on; step 10: the other branch is cancelled."""
    proxy = InMemoryProxy(*targets(2))
    proxy.send(Caller(proxy).write("INVITE"))
    first = proxy.target(0).one()
    proxy.pass_time(4.0)
    second = proxy.target(1).one()
    proxy.answer(1, second, 180)
    (ok,) = proxy.answer(0, first, 200, tag="late")
    assert ok.kind == "200 INVITE"
    assert proxy.target(1).one().kind == "CANCEL"
    assert not proxy.answer(1, second, 487)
    proxy.expire()


def test_a_late_200_while_the_next_target_is_being_dialled() -> None:
    """Nothing has been sent there, and nothing will be."""
    proxy = InMemoryProxy(*targets(2, "tcp"))
    proxy.ways.by_dialling.add("tcp")
    proxy.send(Caller(proxy).write("INVITE"))
    first = proxy.ways.connect().one()
    proxy.pass_time(4.0)
    (ok,) = proxy.answer(0, first, 200)
    assert ok.kind == "200 INVITE"
    assert not proxy.ways.connect().raw
    proxy.expire()


def test_an_abandoned_target_that_comes_to_life_is_cancelled() -> None:
    """§9.1: as soon as it has said something; its 487 is for nobody."""
    proxy = InMemoryProxy(*targets(2))
    proxy.send(Caller(proxy).write("INVITE"))
    first = proxy.target(0).one()
    proxy.pass_time(4.0)
    proxy.target(0).take()
    proxy.answer(0, first, 180)
    assert proxy.target(0).one().kind == "CANCEL"
    assert not proxy.answer(0, first, 487)
    (ok,) = proxy.answer(1, proxy.target(1).one(), 200)
    assert ok.status == 200
    assert [sent.kind for sent in proxy.target(0).take()] == ["ACK"]
    (again,) = proxy.answer(0, first, 200) or [None]
    assert again is None
    proxy.expire()


def test_both_answer_200() -> None:
    """§16.7 step 5: each 2xx is passed on, the caller ends the one that it doesn't want."""
    proxy = InMemoryProxy(*targets(2))
    proxy.send(Caller(proxy).write("INVITE"))
    first = proxy.target(0).one()
    proxy.pass_time(4.0)
    second = proxy.target(1).one()
    (ok,) = proxy.answer(1, second, 200, tag="second")
    assert ok["To"].endswith("second")
    (ok,) = proxy.answer(0, first, 200, tag="first")
    assert ok["To"].endswith("first")
    proxy.expire()


def test_a_200_long_after_the_cancel() -> None:
    """§9.1: who has accepted is not stopped by a CANCEL any more, and the caller is told."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 180)
    proxy.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    proxy.pass_time(31.9)
    assert not proxy.client.take()  # neither refused nor accepted so far
    (ok,) = proxy.answer(0, invite, 200)
    assert ok.kind == "200 INVITE"
    proxy.expire()


def test_the_same_caller_gets_the_same_target() -> None:
    """RFC 2782: of equal ones the choice is stable for a caller."""
    pool = [each.__class__(**{**_fields(each), "priority": 0}) for each in targets(4)]
    proxy = InMemoryProxy(*pool)
    seen = set()
    for _ in range(5):
        proxy.send(Caller(proxy, name="bob").write("MESSAGE"))
        seen |= {n for n in range(4) if proxy.target(n).take()}
    assert len(seen) == 1


def _fields(target: object) -> dict[str, object]:
    return {name: getattr(target, name) for name in target.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
def test_icmp_moves_on_at_once(method: str) -> None:
    """RFC 3261 §18.4, §16.9: who has heard nothing from that address and port; nobody else."""
    proxy = InMemoryProxy(*targets(2))
    senders = Caller(proxy), Caller(proxy)
    proxy.send(senders[0].write(method))
    proxy.answer(0, proxy.target(0).one(), 100)
    proxy.send(senders[1].write(method))
    flow = proxy.target(0)
    waiting = flow.one()
    for elsewhere in ((flow.peer_host, flow.peer_port + 1), ("192.0.2.1", flow.peer_port)):
        proxy.driver.unreachable({elsewhere})
    assert not proxy.target(1).raw
    proxy.driver.unreachable({(flow.peer_host, flow.peer_port)})
    moved = proxy.target(1).one()
    assert (moved["Call-ID"], moved.kind) == (waiting["Call-ID"], method)
    assert proxy.core.counters.failures == {"unreachable": 1}
    proxy.expire()


def test_icmp_from_the_only_target() -> None:
    """§18.4: as if it had been 503, which is 500 to the caller."""
    proxy = InMemoryProxy(*targets(1))
    proxy.send(Caller(proxy).write("INVITE"))
    flow = proxy.target(0)
    proxy.driver.unreachable({(flow.peer_host, flow.peer_port)})
    assert "500 INVITE" in [sent.kind for sent in proxy.client.take()]
    proxy.expire()
