"""RFC 3263 §4.3 and RFC 3261 §16.6, §16.9: one target after the other."""

import pytest

from tests.proxy.world import Caller, World, targets


def test_a_target_that_says_nothing_is_given_up() -> None:
    """After the attempt timer the next one gets it, with another branch; the last has timer B."""
    world = World(*targets(3))
    world.send(Caller(world).write("INVITE"))
    first = world.target(0).one()
    world.pass_time(4.0)
    second = world.target(1).one()
    assert second.branch != first.branch
    world.pass_time(4.0)
    assert world.target(2).one().kind == "INVITE"
    out = world.pass_time(32.0)
    assert [(at, sent.kind) for at, sent in out] == [(32.0, "408 INVITE")]
    assert world.core.counters.failovers == 2
    assert world.core.counters.failures == {"attempt_timeout": 2, "no_response": 1}
    world.expire()


def test_a_target_that_says_100_is_waited_for() -> None:
    """It lives: nothing else matters to the attempt timer."""
    world = World(*targets(2))
    invite = Caller(world).invite()
    world.answer(0, invite, 100)
    world.pass_time(60.0)
    assert not world.target(1).raw
    message = Caller(world)
    world.send(message.write("MESSAGE"))
    world.answer(0, world.target(0).one(), 100)
    world.pass_time(20.0)
    assert not world.target(1).raw


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
def test_503_moves_on(method: str) -> None:
    """§4.3; the 503 itself is seen by nobody."""
    world = World(*targets(2))
    world.send(Caller(world).write(method))
    assert not world.answer(0, world.target(0).one(), 503)
    (answer,) = world.answer(1, world.target(1).one(), 200)
    assert answer.status == 200
    world.expire()


def test_all_have_failed() -> None:
    """503 of each: 500; no connection to any: 500, and why."""
    world = World(*targets(2))
    invite = Caller(world).invite()
    world.answer(0, invite, 503)
    (answer,) = world.answer(1, world.target(1).one(), 503)
    assert answer.kind == "500 INVITE"
    world = World(*targets(2, "tcp"))
    world.ways.by_dialling.add("tcp")
    world.send(Caller(world).write("SUBSCRIBE"))
    world.ways.fail()
    world.ways.fail()
    answer = world.client.one()
    assert answer.kind == "500 SUBSCRIBE"
    assert "tcp://192.0.2.21:5070: connection refused" in answer["Warning"]
    world.expire()


def test_failed_targets_are_left_for_last_for_a_while() -> None:
    """`target_penalty`; when all have failed they are tried all the same."""
    world = World(*targets(2))
    world.answer(0, Caller(world).invite(), 503)
    world.answer(1, world.target(1).one(), 200)
    world.target(0).take()
    world.answer(1, Caller(world).invite(1), 503)
    assert world.target(0).one().kind == "INVITE"
    world.pass_time(31.0)
    world.target(0).take()
    assert Caller(world).invite(0).kind == "INVITE"
    world.expire()


def test_silence_within_a_dialog_is_nobodys_fault() -> None:
    """The dialog may be gone at the target, which is as good as ever for new ones."""
    world = World(*targets(2))
    caller = Caller(world)
    caller.begin()
    world.send(caller.write("INFO"))
    world.pass_time(33.0)
    assert world.core.counters.failures == {"no_response": 1}
    assert len(world.core.blocklist) == 0
    invite = Caller(world)
    world.target().take()
    world.answer(0, invite.invite(), 180)
    world.pass_time(181.0)  # Timer C: it rang
    assert len(world.core.blocklist) == 0


def test_penalties_are_bounded() -> None:
    """Whatever targets come and go."""
    world = World()
    for number in range(10_000):
        (target,) = targets(1, address=f"10.0.{number}.")
        world.core.blocklist.add(target, 1e9)
    assert len(world.core.blocklist) <= 4096


def test_a_lost_connection_moves_on() -> None:
    """§16.9: like a 503; what was sent over it is sent to the next."""
    world = World(*targets(2, "tcp"), transport="tcp")
    world.send(Caller(world, "TCP").write("INVITE"))
    flow = world.target(0)
    flow.take()
    flow.gone = True
    world.driver.lost(flow)
    assert world.target(1).one().kind == "INVITE"
    world.target(1).gone = True
    world.client.take()
    world.driver.lost(world.ways.flows[world.targets[1].key])
    assert world.client.one().kind == "500 INVITE"
    world.expire()


def test_a_send_that_fails_moves_on() -> None:
    """§17.1.4: a transport error is known at once."""
    world = World(*targets(2, "tcp"))
    first = world.target(0)
    world.ways.reach = lambda target: (  # type: ignore[method-assign]
        first if target is world.targets[0] else world.ways.of(target)
    )
    first.gone = True
    world.send(Caller(world).write("MESSAGE"))
    assert world.target(1).one().kind == "MESSAGE"


def test_a_connection_that_is_being_opened() -> None:
    """It is waited for; CANCEL meanwhile ends it with 487, and nothing is ever sent."""
    world = World(*targets(1, "tcp"))
    world.ways.by_dialling.add("tcp")
    caller = Caller(world)
    world.send(caller.write("INVITE"))
    flow = world.ways.connect()
    assert flow.one().kind == "INVITE"
    other = Caller(world)
    flow.gone = True
    world.send(other.write("INVITE"))
    answers = world.send(other.write("CANCEL", number=1, branch=other.last_branch))
    assert sorted(sent.kind for sent in answers) == ["200 CANCEL", "487 INVITE"]
    assert not world.ways.connect().raw


def test_a_connection_that_takes_too_long() -> None:
    """The attempt timer counts for it as well; when it comes at last nobody wants it."""
    world = World(*targets(2, "tcp"))
    world.ways.by_dialling.add("tcp")
    world.send(Caller(world).write("INVITE"))
    world.pass_time(4.0)
    late, second = world.ways.wanted
    assert second[0] is world.targets[1]
    late[1](world.ways.of(late[0]))
    assert not world.target(0).raw
    world.ways.wanted.pop(0)
    assert world.ways.connect().one().kind == "INVITE"


def test_a_late_200_of_an_abandoned_target_wins() -> None:
    """§16.7 step 5: a 2xx is passed on; step 10: the other branch is cancelled."""
    world = World(*targets(2))
    world.send(Caller(world).write("INVITE"))
    first = world.target(0).one()
    world.pass_time(4.0)
    second = world.target(1).one()
    world.answer(1, second, 180)
    (ok,) = world.answer(0, first, 200, tag="late")
    assert ok.kind == "200 INVITE"
    assert world.target(1).one().kind == "CANCEL"
    assert not world.answer(1, second, 487)
    world.expire()


def test_a_late_200_while_the_next_target_is_being_dialled() -> None:
    """Nothing has been sent there, and nothing will be."""
    world = World(*targets(2, "tcp"))
    world.ways.by_dialling.add("tcp")
    world.send(Caller(world).write("INVITE"))
    first = world.ways.connect().one()
    world.pass_time(4.0)
    (ok,) = world.answer(0, first, 200)
    assert ok.kind == "200 INVITE"
    assert not world.ways.connect().raw
    world.expire()


def test_an_abandoned_target_that_comes_to_life_is_cancelled() -> None:
    """§9.1: as soon as it has said something; its 487 is for nobody."""
    world = World(*targets(2))
    world.send(Caller(world).write("INVITE"))
    first = world.target(0).one()
    world.pass_time(4.0)
    world.target(0).take()
    world.answer(0, first, 180)
    assert world.target(0).one().kind == "CANCEL"
    assert not world.answer(0, first, 487)
    (ok,) = world.answer(1, world.target(1).one(), 200)
    assert ok.status == 200
    assert [sent.kind for sent in world.target(0).take()] == ["ACK"]
    (again,) = world.answer(0, first, 200) or [None]
    assert again is None
    world.expire()


def test_both_answer_200() -> None:
    """§16.7 step 5: each 2xx is passed on, the caller ends the one that it doesn't want."""
    world = World(*targets(2))
    world.send(Caller(world).write("INVITE"))
    first = world.target(0).one()
    world.pass_time(4.0)
    second = world.target(1).one()
    (ok,) = world.answer(1, second, 200, tag="second")
    assert ok["To"].endswith("second")
    (ok,) = world.answer(0, first, 200, tag="first")
    assert ok["To"].endswith("first")
    world.expire()


def test_a_200_long_after_the_cancel() -> None:
    """§9.1: who has accepted is not stopped by a CANCEL any more, and the caller is told."""
    world = World()
    caller = Caller(world)
    invite = caller.invite()
    world.answer(0, invite, 180)
    world.send(caller.write("CANCEL", number=1, branch=caller.last_branch))
    world.pass_time(31.9)
    assert not world.client.take()  # neither refused nor accepted so far
    (ok,) = world.answer(0, invite, 200)
    assert ok.kind == "200 INVITE"
    world.expire()


def test_the_same_caller_gets_the_same_target() -> None:
    """RFC 2782: of equal ones the choice is stable for a caller."""
    pool = [each.__class__(**{**_fields(each), "priority": 0}) for each in targets(4)]
    world = World(*pool)
    seen = set()
    for _ in range(5):
        world.send(Caller(world, name="bob").write("MESSAGE"))
        seen |= {n for n in range(4) if world.target(n).take()}
    assert len(seen) == 1


def _fields(target: object) -> dict[str, object]:
    return {name: getattr(target, name) for name in target.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
def test_icmp_moves_on_at_once(method: str) -> None:
    """RFC 3261 §18.4, §16.9: who has heard nothing from that address and port; nobody else."""
    world = World(*targets(2))
    senders = Caller(world), Caller(world)
    world.send(senders[0].write(method))
    world.answer(0, world.target(0).one(), 100)
    world.send(senders[1].write(method))
    flow = world.target(0)
    waiting = flow.one()
    for elsewhere in ((flow.peer_host, flow.peer_port + 1), ("192.0.2.1", flow.peer_port)):
        world.driver.unreachable({elsewhere})
    assert not world.target(1).raw
    world.driver.unreachable({(flow.peer_host, flow.peer_port)})
    moved = world.target(1).one()
    assert (moved["Call-ID"], moved.kind) == (waiting["Call-ID"], method)
    assert world.core.counters.failures == {"unreachable": 1}
    world.expire()


def test_icmp_from_the_only_target() -> None:
    """§18.4: as if it had been 503, which is 500 to the caller."""
    world = World(*targets(1))
    world.send(Caller(world).write("INVITE"))
    flow = world.target(0)
    world.driver.unreachable({(flow.peer_host, flow.peer_port)})
    assert "500 INVITE" in [sent.kind for sent in world.client.take()]
    world.expire()
