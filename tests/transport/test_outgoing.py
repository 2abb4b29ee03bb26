"""Connections that we open, against real servers: those that answer, and those that misbehave."""

import asyncio
import dataclasses
import os
import socket
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
import uvloop

from chatredirect.config.models import TlsSettings
from chatredirect.net.addresses import ListenUrl
from chatredirect.net.refusals import RefusalReason
from chatredirect.net.target import Target
from chatredirect.sip.framing import PING, PONG, FramingFault, Ping
from chatredirect.sip.message import Request, Response
from chatredirect.transport.outgoing import OutgoingLimits
from chatredirect.transport.socket_flows import MAX_UNREAD, StreamFlow
from tests.ports import free_port
from tests.tls.authority import NOW, Authority, Leaf, peer_context
from tests.transport.outgoing import PATIENT, POOL, dialler, server
from tests.waiting import wait_until

ANSWER = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:b@c>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n"
)
REQUEST = ANSWER.replace(b"SIP/2.0 200 OK", b"INFO sip:a@b SIP/2.0")


# -- one connection for all ----------------------------------------------------------------------


async def test_everybody_shares_one_connection() -> None:
    """However many ask at once; and whoever asks later finds it there."""
    async with server() as pool, dialler() as ours:
        assert ours.outgoing.reach(pool.target()) is None
        flows = await asyncio.gather(*(ours.flow(pool.target()) for _ in range(50)))
        assert len(set(flows)) == 1
        assert ours.outgoing.reach(pool.target()) is flows[0]
        assert await ours.flow(pool.target()) is flows[0]
        assert flows[0].send(REQUEST)
        await wait_until(lambda: pool.received == REQUEST)
        assert (pool.accepted, ours.outgoing.opened, ours.outgoing.waiting) == (1, 1, 0)


async def test_what_comes_back_is_answered_like_anything_else() -> None:
    """Responses and requests of the pool, from a trusted source; answers go the same way."""
    async with server() as pool, dialler(answer=ANSWER) as ours:
        flow = await ours.flow(pool.target())
        pool.writers[0].write(ANSWER + REQUEST[:50])
        await wait_until(lambda: len(ours.events) == 1)
        pool.writers[0].write(REQUEST[50:] + PING)
        await wait_until(lambda: len(ours.events) == 3)
        assert [type(event) for event, _, _ in ours.events] == [Response, Request, Ping]
        for _, source, transport in ours.events:
            assert (source.host, source.port) == (b"127.0.0.1", pool.port)
            assert source.trusted
            assert transport == "tcp"
        await wait_until(lambda: pool.received == ANSWER * 3)
        assert (flow.peer_host, flow.peer_port) == ("127.0.0.1", pool.port)


async def test_our_own_address_is_one_where_we_listen() -> None:
    """RFC 3261 §18.1.1: what Via says must be a place where a connection can be opened to us."""
    for bound, expected in (
        ([("tcp", "127.0.0.1", 5060)], ("127.0.0.1", 5060)),
        ([("tls", "127.0.0.1", 5061), ("tcp", "0.0.0.0", 5070)], ("127.0.0.1", 5070)),
        ([("tcp", "192.0.2.1", 5070), ("tcp", "::", 1)], ("192.0.2.1", 5070)),
        ([("tcp", "::", 5070)], ("127.0.0.1", 5070)),
        ([("tcp", "::", 1), ("tcp", "0.0.0.0", 5070)], ("127.0.0.1", 5070)),
    ):
        urls = tuple(ListenUrl(*each) for each in bound)  # type: ignore[arg-type]
        async with server() as pool, dialler(bound=urls) as ours:
            flow = await ours.flow(pool.target())
            assert (flow.host, flow.port) == expected
    async with server() as pool, dialler() as ours:
        flow = await ours.flow(pool.target())
        own = pool.writers[0].get_extra_info("peername")
        assert (flow.host, flow.port) == own


# -- endings -------------------------------------------------------------------------------------


async def test_a_connection_that_is_lost_is_reported_and_opened_anew() -> None:
    async with server() as pool, dialler() as ours:
        first = await ours.flow(pool.target())
        pool.writers[0].transport.abort()
        await wait_until(lambda: ours.lost == [first])
        assert not first.send(REQUEST)
        assert ours.outgoing.reach(pool.target()) is None
        second = await ours.flow(pool.target())
        assert second is not first
        assert second.send(REQUEST)
        await wait_until(lambda: pool.received == REQUEST)


async def test_closed_in_the_middle_of_a_message() -> None:
    """What was whole counts, what wasn't doesn't; the loss is told."""

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER + ANSWER[:-10])
        await writer.drain()
        writer.close()

    async with server(then) as pool, dialler() as ours:
        flow = await ours.flow(pool.target())
        flow.send(REQUEST)
        await wait_until(lambda: ours.lost == [flow])
        assert [type(event) for event, _, _ in ours.events] == [Response]


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02"])
async def test_garbage(garbage: bytes) -> None:
    """An answer that is no SIP ends the connection; half of one does so in time."""

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)  # else it may be over before it is there
        writer.write(garbage)

    hasty = dataclasses.replace(PATIENT, message_timeout=0.3)
    async with server(then) as pool, dialler(timeouts=hasty) as ours:
        flow = await ours.flow(pool.target())
        flow.send(REQUEST)
        await wait_until(lambda: ours.lost == [flow])
        assert all(isinstance(event, FramingFault) for event, _, _ in ours.events)
        (why,) = ours.outgoing.group.closed
        assert why in ("framing", "half_sent")


async def test_a_connection_that_was_hung_up_is_over_at_once() -> None:
    """After octets that are no SIP nothing is sent any more, and nothing raises.

    The peer keeps its side open, so that ours is half-closed. Whoever holds the flow hears that it
    is gone, and the target's next request gets a connection of its own.
    """
    stays = asyncio.Event()

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stays.wait()

    async with server(then) as pool, dialler() as ours:
        flow = await ours.flow(pool.target())
        flow.send(REQUEST)
        await wait_until(lambda: bool(ours.outgoing.group.closed))
        assert ours.outgoing.connections == 1, "it is closed, not hung up"
        assert ours.lost == [flow]
        assert not flow.send(REQUEST)
        assert ours.outgoing.reach(pool.target()) is None
        assert await ours.flow(pool.target()) is not flow
        stays.set()


async def test_a_transport_that_raises_is_a_flow_that_is_gone() -> None:
    """Sending never raises, whatever the event loop's transport does."""

    class Raising:
        """A transport with a fault."""

        def is_closing(self) -> bool:
            """Not as far as it knows."""
            return False

        def get_write_buffer_size(self) -> int:
            """Nothing waits."""
            return 0

        def write(self, data: bytes) -> None:
            """As asyncio's does after `write_eof`."""
            raise RuntimeError("Cannot call write() after write_eof()")

    raising: Any = Raising()
    flow = StreamFlow("tcp", "127.0.0.1", 1, "127.0.0.1", 2, raising)
    assert not flow.send(REQUEST)
    assert not flow.open


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_write_that_raises_ends_its_connection_and_no_other(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """Who waits for answers over it hears that it is gone, and the next one has a connection."""

    async def write_to_two() -> None:
        async with server() as pool, server() as other, dialler() as ours:
            flow, whole = await ours.flow(pool.target()), await ours.flow(other.target())
            flow._stream = Faulty(flow._stream)  # type: ignore[assignment]
            assert not flow.send(REQUEST)
            assert whole.send(REQUEST)
            await wait_until(lambda: ours.lost == [flow])
            assert ours.outgoing.connections == 1
            again = await ours.flow(pool.target())
            assert again.send(REQUEST)
            await wait_until(lambda: pool.received == REQUEST and other.received == REQUEST)

    run(write_to_two())


class Faulty:
    """A real connection's transport, but for its `write`."""

    def __init__(self, whole: asyncio.Transport) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> object:
        return getattr(self.whole, name)

    def write(self, data: bytes) -> None:
        """As asyncio's does after `write_eof`."""
        raise RuntimeError("Cannot call write() after write_eof()")


async def test_a_target_that_does_not_read_holds_a_bounded_amount() -> None:
    """What it leaves unread is bounded, then nothing more is taken; in time it is given up."""

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(20)

    hasty = dataclasses.replace(PATIENT, write_timeout=0.5)
    async with server(then) as pool, dialler(timeouts=hasty) as ours:
        flow = await ours.flow(pool.target())
        message, sent = REQUEST.replace(b": 0", b": 60000") + b"x" * 60000, 0
        while flow.send(message):
            sent += len(message)
            assert sent < 64 * 2**20  # what the kernel takes is its own affair
        assert flow._stream.get_write_buffer_size() <= MAX_UNREAD + len(message)  # type: ignore[attr-defined]
        await wait_until(lambda: ours.lost == [flow])
        assert ours.outgoing.group.closed == {"not_reading": 1}


async def test_idle_connections_are_closed() -> None:
    hasty = dataclasses.replace(PATIENT, idle_timeout=0.3)
    async with server() as pool, dialler(timeouts=hasty) as ours:
        flow = await ours.flow(pool.target())
        await wait_until(lambda: ours.lost == [flow])
        assert ours.outgoing.group.closed == {"idle": 1}


async def test_keep_alives() -> None:
    """A silent connection is asked whether it lives (RFC 5626 §4.4.1); an answer keeps it."""
    pings = 0

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pings
        while True:
            assert await reader.readexactly(4) == PING
            writer.write(PONG)
            pings += 1

    lively = dataclasses.replace(PATIENT, idle_timeout=2.0, keepalive=0.2)
    async with server(then) as pool, dialler(timeouts=lively) as ours:
        flow = await ours.flow(pool.target())
        await wait_until(lambda: pings > 12)  # which takes longer than it may be idle
        assert ours.outgoing.reach(pool.target()) is flow


# -- no connection -------------------------------------------------------------------------------


def nobody(transport: Any = "tcp") -> Target:
    return Target(transport, "127.0.0.1", free_port(), POOL, domain=POOL)


async def test_refused() -> None:
    async with dialler() as ours:
        assert await ours.dial(nobody()) == "connection refused"
        assert ours.outgoing.failed == {"refused": 1}


async def test_a_thousand_dials_to_a_dead_target_cost_few_attempts() -> None:
    """All are told; those that come right after a failed attempt hear of that one."""
    target = nobody()
    async with dialler() as ours:
        for _ in range(20):
            whys = await asyncio.gather(*(ours.dial(target) for _ in range(50)))
            assert set(whys) == {"connection refused"}
        # an attempt counts as `refused`; some of this may take longer than the rest
        attempts = ours.outgoing.failed["refused"]
        assert attempts < 20
        assert ours.outgoing.failed["resting"] >= 50 * (20 - attempts)


async def test_a_target_that_comes_back_is_found_again() -> None:
    target = nobody()
    async with dialler() as ours:
        assert await ours.dial(target) == "connection refused"
        async with server(port=target.port):
            async with asyncio.timeout(10):
                while isinstance(told := await ours.dial(target), str):
                    assert told == "connection refused"
                    await asyncio.sleep(0.05)


def black_hole() -> tuple[socket.socket, list[socket.socket], Target]:
    """A listener whose queue is full: who connects gets no answer at all."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
        fillers.append(filler)
    return sock, fillers, Target("tcp", "127.0.0.1", sock.getsockname()[1], POOL, domain=POOL)


async def test_black_hole() -> None:
    """A target that doesn't answer is given up in time, and everybody who waits is told."""
    sock, fillers, target = black_hole()
    async with dialler(limits=OutgoingLimits(connect=0.3)) as ours:
        whys = await asyncio.gather(*(ours.dial(target) for _ in range(20)))
        assert set(whys) == {"no connection within 0.3 s"}
        assert ours.outgoing.failed == {"timeout": 1}
    for each in (sock, *fillers):
        each.close()


async def test_bounds_on_connections_and_on_those_who_wait() -> None:
    sock, fillers, hole = black_hole()
    limits = OutgoingLimits(connections=2, connect=20, waiting=10)
    async with server() as pool, dialler(limits=limits) as ours:
        await ours.flow(pool.target())
        told: list[Any] = []
        for _ in range(10):
            ours.outgoing.dial(hole, told.append, told.append)
        assert await ours.dial(hole) == "too many wait for connections"
        assert ours.outgoing.waiting == 10
        assert told == []
        ours.outgoing.limits = OutgoingLimits(connections=2, connect=20, waiting=20)
        assert await ours.dial(nobody()) == "too many connections to targets"
        await ours.outgoing.aclose()
        assert told == ["the daemon stops"] * 10
    for each in (sock, *fillers):
        each.close()


async def test_one_who_waits_badly_does_not_keep_others_from_hearing() -> None:
    """A fault of ours in what is done with a flow is counted and logged; the others get it."""
    async with server() as pool, dialler() as ours:
        told: list[Any] = []
        ours.outgoing.dial(pool.target(), lambda flow: 1 / 0, told.append)  # type: ignore[arg-type, return-value]
        ours.outgoing.dial(pool.target(), told.append, told.append)
        await wait_until(lambda: len(told) == 1)
        assert ours.outgoing.group.failures == 1
        ours.outgoing.group.failures = 0


async def test_file_descriptors_are_given_back() -> None:
    """After failures of all kinds as many are open as before."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    sock, fillers, hole = black_hole()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SIP/2.0 400 Not TLS\r\n\r\n")

    async with server(plain) as no_tls, dialler(limits=OutgoingLimits(connect=0.2)) as ours:
        refuses = nobody()
        await ours.dial(refuses)
        before = descriptors()
        for _ in range(3):
            await ours.dial(refuses)
            await ours.dial(hole)
            assert "doesn't speak TLS" in str(await ours.dial(no_tls.target("tls")))
            await asyncio.sleep(0.6)
        for writer in no_tls.writers:
            writer.close()
        await wait_until(lambda: descriptors() <= before)
    for each in (sock, *fillers):
        each.close()


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours_shown(authority: Authority) -> Leaf:
    return authority.issue("sip.contoso.com")


def profile(authority: Authority, own: Leaf | None = None, **keys: Any) -> TlsSettings:
    return TlsSettings(
        ca=str(authority.file),
        certificate=None if own is None else str(own.certificate),
        private_key=None if own is None else str(own.private_key),
        **keys,
    )


async def test_mutual_tls(authority: Authority, ours_shown: Leaf) -> None:
    """We ask for the pool by name (SNI), believe its certificate, and show ours."""
    context, asked = peer_context(authority.issue(POOL), authority.file), []
    context.sni_callback = lambda sock, name, context: asked.append(name)
    tls = profile(authority, ours_shown)
    async with server(context=context) as pool, dialler(tls=tls) as ours:
        flow = await ours.flow(pool.target("tls"))
        assert flow.transport == "tls"
        assert flow.send(REQUEST)
        await wait_until(lambda: pool.received == REQUEST)
        shown = pool.writers[0].get_extra_info("peercert")
        assert ("DNS", "sip.contoso.com") in shown["subjectAltName"]
        assert asked == [POOL]
        pool.writers[0].write(ANSWER)
        await wait_until(lambda: len(ours.events) == 1)
        assert ours.events[0][1].trusted


Make = Callable[[Authority], Leaf]


@pytest.mark.parametrize(
    ("make", "why", "reason"),
    [
        (
            lambda ca: ca.issue("other.contoso.com"),
            f"names other.contoso.com, not {POOL}",
            RefusalReason.SERVER_NAME,
        ),
        (
            lambda ca: ca.issue(POOL, file="old", not_after=NOW - timedelta(hours=1)),
            "certificate has expired",
            RefusalReason.CERTIFICATE_REFUSED,
        ),
        (
            lambda ca: Authority(ca.folder / "elsewhere").issue(POOL),
            "the peer's certificate was refused",
            RefusalReason.UNKNOWN_AUTHORITY,
        ),
        (
            lambda ca: ca.issue("*.contoso.com", file="wild"),
            f"not {POOL}",
            RefusalReason.SERVER_NAME,
        ),
    ],
    ids=["wrong name", "expired", "untrusted", "wildcard"],
)
async def test_certificates_that_are_not_the_pools(
    authority: Authority, make: Make, why: str, reason: RefusalReason
) -> None:
    """Nothing is sent to a server that can't prove that it is the pool, and that is noted."""
    context = peer_context(make(authority))
    async with server(context=context) as pool, dialler(tls=profile(authority)) as ours:
        told = await ours.dial(pool.target("tls"))
        assert isinstance(told, str), "it was believed"
        assert why in told
        assert ours.outgoing.reach(pool.target("tls")) is None
        assert pool.received == b""
        assert ours.outgoing.connections == 0
        (row,) = ours.outgoing.group.refusals.rows()
        assert (row.reason, row.host, row.transport) == (reason, "127.0.0.1", "tls")


async def test_the_name_of_a_pool_is_part_of_what_it_is(authority: Authority) -> None:
    """Another pool on the same address has a connection of its own, proven for its own name."""
    context = peer_context(authority.issue(POOL, "other.contoso.com", file="both"))
    async with server(context=context) as pool, dialler(tls=profile(authority)) as ours:
        one = await ours.flow(pool.target("tls"))
        other = await ours.flow(pool.target("tls", "other.contoso.com"))
        assert one is not other
        assert isinstance(await ours.dial(pool.target("tls", "third.contoso.com")), str)


async def test_srv_names_count_only_when_told(authority: Authority) -> None:
    """RFC 5922 §4: what DNS says the server's name is proves nothing, unless configured so."""
    context = peer_context(authority.issue("node1.contoso.com"))
    for srv_names in (False, True):
        tls = profile(authority, srv_names=srv_names)
        async with server(context=context) as pool, dialler(tls=tls) as ours:
            told = await ours.dial(pool.target("tls", host="node1.contoso.com"))
            assert isinstance(told, str) is not srv_names


async def test_a_server_that_wants_a_certificate_and_gets_none(authority: Authority) -> None:
    """With TLS 1.3 the refusal comes after the handshake: then the connection is lost, and told."""
    context = peer_context(authority.issue(POOL), authority.file)
    async with server(context=context) as pool, dialler(tls=profile(authority)) as ours:
        told = await ours.dial(pool.target("tls"))
        if not isinstance(told, str):
            await wait_until(lambda: ours.lost == [told])
        assert pool.received == b""


async def test_a_handshake_that_takes_too_long(authority: Authority) -> None:
    hasty = dataclasses.replace(PATIENT, handshake_timeout=0.3)
    async with server() as pool, dialler(tls=profile(authority), timeouts=hasty) as ours:
        assert await ours.dial(pool.target("tls")) == "the handshake took too long"


# -- what changes --------------------------------------------------------------------------------


async def test_terms_that_change_hold_for_open_connections() -> None:
    """A new configuration's server answers what comes on connections that were there before."""
    async with server() as pool, dialler() as ours:
        await ours.flow(pool.target())
        taken: list[Any] = []
        hasty = dataclasses.replace(PATIENT, idle_timeout=0.5)
        settings = dataclasses.replace(
            ours.outgoing.group.settings,
            answer=lambda event, *_: taken.append(event),
            timeouts=hasty,
        )
        ours.outgoing.serve(settings, ours.outgoing.limits)
        pool.writers[0].write(ANSWER)
        await wait_until(lambda: len(taken) == 1)
        assert ours.events == []
        await wait_until(lambda: len(ours.lost) == 1)  # idle sooner than before


async def test_closing_lets_what_was_written_arrive() -> None:
    async with server() as pool:
        async with dialler() as ours:
            flow = await ours.flow(pool.target())
            for _ in range(100):
                assert flow.send(REQUEST)
        await wait_until(lambda: pool.received == REQUEST * 100)


async def test_nothing_is_opened_by_a_daemon_that_stops() -> None:
    """Who hears that there is no connection tries the next target: that must come to an end."""
    sock, fillers, hole = black_hole()
    told: list[str] = []
    async with server() as pool, dialler(limits=OutgoingLimits(connect=20)) as ours:

        def try_another(why: str) -> None:
            told.append(why)
            ours.outgoing.dial(pool.target(), told.append, told.append)  # type: ignore[arg-type]

        ours.outgoing.dial(hole, told.append, try_another)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await ours.outgoing.aclose()
        await wait_until(lambda: len(told) == 2)
        assert told == ["the daemon stops"] * 2
        assert pool.accepted == 0
    for each in (sock, *fillers):
        each.close()


async def test_a_large_message_of_a_pools_doesnt_end_its_connection() -> None:
    """docs/answers.md, "Streams": the others' messages come over the same connection."""
    head = (
        b"INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:b@c>\r\n"
        b"To: <sip:a@b>;tag=2\r\nCall-ID: %b\r\nCSeq: 1 INFO\r\nContent-Length: %d\r\n\r\n"
    )

    async def sends_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head % (b"large", 200_000))
        for _ in range(20):
            writer.write(bytes(10_000))
            await writer.drain()
        writer.write(head % (b"next", 0))
        await reader.read()

    async with dialler() as made, server(sends_much) as served:
        flow = await made.flow(served.target())
        await wait_until(lambda: len(made.events) == 2)
        assert [event[0].call_id for event in made.events] == [b"large", b"next"]
        assert flow.open
