"""The event loop is shared: bounded work in one turn, bounded shares, nobody forgotten."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chatredirect.runtime.turns import SHARE, TURN, Turns, turns_of


class Loop:
    """Only what a turn needs of an event loop: callbacks for the next one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """Run what has been called for, and nothing that is called for meanwhile."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


@dataclass(eq=False)
class Peer:
    """Has messages, each of which takes some time."""

    loop: Loop
    messages: int
    each: float
    done: list[tuple[float, "Peer"]] = field(default_factory=list)

    def work(self, until: float, least: int) -> bool:
        while self.messages:
            self.messages -= 1
            self.loop.now += self.each
            self.done.append((self.loop.now, self))
            if self.loop.now >= until:
                return self.messages > 0
        return False


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def turns(loop: Loop) -> Turns:
    return Turns(loop, lambda: loop.now)  # type: ignore[arg-type]


def test_a_message_is_answered_at_once(loop: Loop, turns: Turns) -> None:
    """A peer with one message waits for nothing, and no callback is made for it."""
    peer = Peer(loop, 1, 0.00001)
    assert not turns.work(peer)
    assert not peer.messages
    assert not loop.soon


def test_a_flood_gets_its_share_and_others_are_served(loop: Loop, turns: Turns) -> None:
    """One that has endless work takes 2 ms of a turn; who comes behind it waits for no more."""
    flood, other = Peer(loop, 10_000, 0.00002), Peer(loop, 1, 0.00002)
    assert turns.work(flood)
    assert loop.now == pytest.approx(SHARE, abs=0.0001)
    assert turns.work(other)  # it waits behind the one that came before it
    began = loop.now
    loop.turn()
    assert not other.messages
    assert loop.now - began <= SHARE + 0.0001


def test_a_slow_message_is_one_message(loop: Loop, turns: Turns) -> None:
    """Whatever a message costs, at least one is handled in a share, and then it is others' turn."""
    slow, other = Peer(loop, 9, 2 * SHARE), Peer(loop, 1, 0.00002)
    assert turns.work(slow)
    assert slow.messages == 8
    assert turns.work(other)
    loop.turn()
    assert slow.messages == 7
    assert not other.messages


def test_a_hundred_floods(loop: Loop, turns: Turns) -> None:
    """However many there are: a turn is bounded, and a newcomer is served in the next round."""
    floods = [Peer(loop, 10_000, 0.00001) for _ in range(100)]
    for flood in floods:
        assert turns.work(flood)
    assert loop.now <= TURN + SHARE
    other = Peer(loop, 1, 0.00001)
    assert turns.work(other)
    began = loop.now
    while other.messages:
        before = loop.now
        loop.turn()
        assert loop.now - before <= TURN + SHARE
    assert loop.now - began <= 2 * TURN + SHARE


def test_who_did_not_get_a_turn_is_first_in_the_next(loop: Loop, turns: Turns) -> None:
    """More work than a turn has time for: all get the same number of shares."""
    peers = [Peer(loop, 1000, SHARE) for _ in range(8)]
    for each in peers:
        turns.work(each)
    before = [each.messages for each in peers]
    for _ in range(8):  # of three shares each
        loop.turn()
    assert {was - each.messages for was, each in zip(before, peers, strict=True)} == {3}


def test_a_loop_that_reads_on_and_on_for_one(loop: Loop, turns: Turns) -> None:
    """uvloop hands over one piece after the other within a turn: the share holds all the same."""
    flood = Peer(loop, 1, SHARE / 4)
    pieces = 0
    while not turns.work(flood):
        flood.messages = 1
        pieces += 1
        assert pieces < 10
    assert pieces <= 4
    assert loop.now <= SHARE * 1.5


class Broken(Peer):
    """Has a fault of ours."""

    def work(self, until: float, least: int) -> bool:
        raise ZeroDivisionError


def test_a_fault_with_one_keeps_nobody_waiting(loop: Loop, turns: Turns) -> None:
    """Who waits behind it gets its turn all the same."""
    first, broken, last = Peer(loop, 50, 0.001), Broken(loop, 1, 0.0), Peer(loop, 3, 0.001)
    for peer in (first, broken, last):
        assert turns.work(peer)
    for _ in range(100):
        loop.turn()
    assert not first.messages
    assert not last.messages
    assert not loop.soon, "a turn is asked for as long as somebody waits"


def test_the_end_of_a_connection_can_not_wait(loop: Loop, turns: Turns) -> None:
    """Over TLS what is received can't wait for another turn when the peer closes; not for ever."""
    ending = Peer(loop, 100_000, 0.00001)
    turns.finish(ending)
    assert loop.now <= 0.051
    before = ending.messages
    turns.finish(ending)
    assert ending.messages == before


async def test_all_of_a_loop_share_its_turns() -> None:
    loop = asyncio.get_running_loop()
    assert turns_of(loop) is turns_of(loop)
