"""A connection in its turns, without a socket: what it waits for, and when it is given up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from chatredirect.runtime.turns import FIRST
from chatredirect.sip.flow import ReturnPath
from chatredirect.sip.framing import PONG, Event, Ping
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.response import Peer
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
)
from chatredirect.transport.peer_identity import Identity, TrustedPeers
from chatredirect.transport.socket_flows import StreamFlow

PINGS = b"\r\n\r\n" * FIRST
"""More than is handled at once, so that some of it waits."""


@dataclass(eq=False)
class Timer:
    """A call that is due."""

    at: float
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(eq=False)
class Loop:
    """Time goes on when told to."""

    now: float = 1000.0
    timers: list[Timer] = field(default_factory=list)
    soon: list[Callable[[], None]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def call_later(self, seconds: float, call: Callable[..., None], *args: object) -> Timer:
        self.timers.append(timer := Timer(self.now + seconds, lambda: call(*args)))
        return timer

    def pass_time(self, seconds: float) -> None:
        """Call what is due in the next seconds, in no special order."""
        self.now += seconds
        due = [timer for timer in self.timers if timer.at <= self.now]
        self.timers = [timer for timer in self.timers if timer.at > self.now]
        for timer in due:
            if not timer.cancelled:
                timer.call()

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for call in soon:
            call()


@dataclass(eq=False)
class Transport:
    """Writes down what is done to it. It closes when its peer has read everything: never."""

    written: list[bytes] = field(default_factory=list)
    reading: bool = True
    closing: bool = False
    aborted: bool = False
    when_written: Callable[[], None] | None = None

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 5060) if name == "sockname" else None

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if self.when_written is not None:
            self.when_written()

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


@dataclass(eq=False)
class Owner:
    """Whom the connection belongs to."""

    group: ConnectionGroup
    transport: str = "tcp"
    names: tuple[str, ...] = ()

    def admit(self, tls: object) -> Identity:
        return Identity(names=self.names)

    def reachable(self, host: str, port: int) -> tuple[str, int]:
        return host, port

    def opened(self, connection: StreamConnection) -> None:
        """Nobody needs to know."""

    def gone(self, connection: StreamConnection) -> None:
        """Nobody needs to know."""


class Dialler:
    """One connection that has begun."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.events = 0
        self.each = 0.0  # seconds that the work on an event takes
        limits = StreamLimits(
            idle_timeout=3600.0, message_timeout=30.0, write_timeout=20.0, handshake_timeout=10.0
        )
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        settings = ConnectionSettings(self.answer, TrustedPeers(()), DEFAULT, limits)
        self.owner = Owner(ConnectionGroup(settings, loop))
        self.connection = StreamConnection(self.owner, "192.0.2.1", 50_000)
        self.transport = Transport()
        self.connection.connection_made(cast(asyncio.Transport, self.transport))

    def answer(
        self, event: Event, source: Peer, transport: str, return_path: ReturnPath
    ) -> bytes | None:
        self.events += 1
        self.loop.now += self.each
        return PONG if isinstance(event, Ping) else None

    def catch_up(self) -> None:
        """Let it work on all that waits for its turn: on a busy machine a turn is over soon."""
        while self.loop.soon:
            self.loop.turn()

    @property
    def answers(self) -> int:
        """How many answers have been written."""
        return len(b"".join(self.transport.written)) // len(PONG)


@pytest.fixture
def dialler() -> Dialler:
    return Dialler()


def test_at_least_one_message_in_each_turn(dialler: Dialler) -> None:
    """Its share may be over before it begins: with a thousand others, or another process at work.

    Else it would go on waiting, with complete messages that nobody asks for any more.
    """
    dialler.connection.data_received(PINGS)
    assert not dialler.transport.reading
    for turn in range(1, 4):
        before = dialler.events
        assert dialler.connection.work(0.0, 0), turn
        assert dialler.events == before + 1
    while not dialler.transport.reading:
        dialler.loop.turn()
    assert dialler.answers == dialler.events == FIRST


def test_what_waits_for_its_turn_is_not_half_sent(dialler: Dialler) -> None:
    """`limits.message_timeout` is for messages that aren't complete."""
    dialler.connection.data_received(b"OPTIONS sip:a@contoso.com SIP/2.0\r\n")
    dialler.loop.pass_time(29)
    dialler.connection.data_received(b"Content-Length: 0\r\n\r\n" + PINGS)
    assert not dialler.transport.reading
    dialler.loop.pass_time(2)
    assert not dialler.transport.closing
    while not dialler.transport.reading:
        dialler.loop.turn()
    assert dialler.answers == FIRST
    dialler.connection.data_received(b"OPTIONS")  # this one isn't
    dialler.catch_up()
    dialler.loop.pass_time(31)
    assert dialler.transport.closing


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_what_we_do_not_read_is_not_half_sent(dialler: Dialler, at_once: bool) -> None:
    """While a peer leaves answers unread we don't read either: only `limits.write_timeout` counts.

    The transport says so within its write (asyncio) or some time after it (uvloop).
    """
    if at_once:
        dialler.transport.when_written = dialler.connection.pause_writing
    dialler.connection.data_received(b"\r\n\r\nOPTIONS")
    assert dialler.answers == 1
    if not at_once:
        dialler.loop.pass_time(29)
        dialler.connection.pause_writing()
    dialler.loop.pass_time(19)
    assert not dialler.transport.closing
    dialler.connection.resume_writing()
    dialler.catch_up()
    dialler.loop.pass_time(29)
    assert not dialler.transport.closing
    dialler.loop.pass_time(1)
    assert dialler.transport.closing
    assert dialler.owner.group.closed == {"half_sent": 1}


def test_floods_that_wait_are_ended_all_the_same(dialler: Dialler) -> None:
    """`limits.pings`, by when they are handled: one read of a hundred floods takes many seconds."""
    dialler.each = 0.05  # twenty a second, where ten are allowed
    dialler.connection.data_received(b"\r\n\r\n" * 250)
    assert dialler.transport.closing
    assert dialler.owner.group.closed == {"pings": 1}


def test_who_has_shut_down_and_reads_no_more_is_given_up(dialler: Dialler) -> None:
    """`limits.write_timeout`, though the peer has read for a while after its end."""
    dialler.connection.data_received(PINGS)
    assert dialler.connection.eof_received()
    dialler.connection.pause_writing()
    dialler.connection.resume_writing()
    dialler.catch_up()
    assert dialler.answers == FIRST
    assert dialler.transport.closing
    assert not dialler.transport.aborted
    dialler.loop.pass_time(21)
    assert dialler.transport.aborted


def test_a_flow_has_the_names_that_count_now(dialler: Dialler) -> None:
    """RFC 3261 §18.2.2: after a reload a certificate may prove other names than before."""
    dialler.owner.names = ("fe01.contoso.com",)
    dialler.connection.apply_settings(check_peer=True)
    flow = dialler.connection.flow()
    assert flow.peer_names == ("fe01.contoso.com",)
    dialler.owner.names = ("fe02.contoso.com",)
    dialler.connection.apply_settings(check_peer=True)
    assert flow.peer_names == ("fe02.contoso.com",)


def test_what_messages_lead_to_is_sent_with_one_write(dialler: Dialler) -> None:
    """In its order: what is sent over the flow, and answers. What is sent later doesn't wait."""

    def answer(event: Event, peer: Peer, transport: str, return_path: ReturnPath) -> bytes:
        flow = return_path.flow(0)
        assert flow.send(b"before ")
        assert not dialler.transport.written
        return b"answer, "

    dialler.owner.group.settings = replace(dialler.owner.group.settings, answer=answer)
    dialler.connection.data_received(b"\r\n\r\n" * 2)
    assert dialler.transport.written == [b"before answer, before answer, "]
    assert dialler.connection.flow().send(b"later")
    assert dialler.transport.written[1:] == [b"later"]


def half_closed(dialler: Dialler) -> StreamFlow:
    """The peer has asked two things, which somebody will answer, and sends no more."""
    flow = dialler.connection.flow()
    flow.hold()
    flow.hold()
    assert dialler.connection.eof_received()
    return flow


def test_who_sends_no_more_gets_its_answers(dialler: Dialler) -> None:
    """docs/answers.md, "Streams": all of them, however long it takes to write the first."""
    flow = half_closed(dialler)
    flow.release()
    dialler.loop.pass_time(25)
    dialler.loop.turn()
    assert not dialler.transport.closing
    flow.release()
    assert flow.send(b"the last answer")
    dialler.loop.turn()
    assert dialler.transport.written == [b"the last answer"]
    assert dialler.transport.closing


def test_who_sends_no_more_is_waited_with_for_64_seconds(dialler: Dialler) -> None:
    """docs/answers.md, "Streams"; and then for `limits.write_timeout`, if it doesn't read."""
    flow = half_closed(dialler)
    dialler.loop.pass_time(63)
    assert not dialler.transport.closing
    dialler.loop.pass_time(2)
    assert dialler.transport.closing
    assert not dialler.transport.aborted
    assert not flow.send(b"too late")
    dialler.loop.pass_time(21)
    assert dialler.transport.aborted


def test_who_has_asked_nothing_and_sends_no_more_is_closed(dialler: Dialler) -> None:
    """docs/answers.md, "Streams": also if everything has been answered."""
    flow = dialler.connection.flow()
    flow.hold()
    flow.release()
    assert not dialler.connection.eof_received()
