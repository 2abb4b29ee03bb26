"""The daemon's observer: what it follows, what it leaves out, and that it harms nobody."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chatredirect.control.protocol import ControlRefusal, Json
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer
from chatredirect.trace import traces as bounds
from chatredirect.trace.filter import Filter
from chatredirect.trace.sighting import Sighting, SightingKind
from chatredirect.trace.trace_handler import read_filter
from chatredirect.trace.traces import MAX_TRACES, TooMany, Traces, TraceSession
from tests.held_clock import HeldClock
from tests.trace.messages import SOURCE, TracedFlow, read, request, response


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(1_700_000_000.0)


@pytest.fixture
def observing() -> Observing:
    return Observing()


@pytest.fixture
def traces(observing: Observing, clock: HeldClock) -> Traces:
    return Traces(observing, clock)


def begin(traces: Traces, **wanted: Json) -> TraceSession:
    return traces.begin(read_filter(wanted), lambda: None)


def taken(session: TraceSession) -> list[Sighting]:
    return list(iter(session.take, None))


def wants(**wanted: Json) -> Callable[[bytes], bool]:
    compiled = read_filter(wanted).compiled()
    return lambda data: compiled(read(data), SOURCE)


def test_nobody_looks_on_but_while_there_is_a_trace(traces: Traces, observing: Observing) -> None:
    """The one attribute that a message looks at is None again when the last trace ends."""
    first, second = begin(traces, call_id="1"), begin(traces, call_id="2")
    assert observing.observer is traces
    traces.end(first)
    traces.end(first)
    assert observing.observer is traces
    traces.end(second)
    assert observing.observer is None


def test_there_are_so_many_at_a_time(traces: Traces) -> None:
    for _ in range(MAX_TRACES):
        begin(traces, call_id="1")
    with pytest.raises(TooMany):
        begin(traces, call_id="1")


@pytest.mark.parametrize(
    ("wanted", "yes", "no"),
    [
        ({"call_id": "1@192.0.2.9"}, {}, {"call_id": "11@192.0.2.9"}),
        ({"from": "SIP:Bob@"}, {}, {"caller": "<sip:alice@contoso.com>"}),
        ({"endpoint": "sip:OCSchat@contoso.com"}, {}, {"uri": "sip:x@y", "to": "<sip:x@y>"}),
        # a URI of ours that doesn't name the endpoint: To does
        (
            {"endpoint": "ocschat@contoso.com"},
            {"uri": "sip:192.0.2.1"},
            {"to": "sip:x@y", "uri": "sip:z@y"},
        ),
        (
            {"endpoint": "sips:ocschat@contoso.com"},
            {"uri": "sip:OCSCHAT@CONTOSO.COM;x=y"},
            {"uri": "sip:ocschat@contoso.com.evil", "to": "<sip:x@y>"},
        ),
        # RFC 3261 §19.1.4: escapes mean what they stand for
        (
            {"endpoint": "ocschat@contoso.com"},
            {"uri": "sip:%6fcschat@contoso.com", "to": "<sip:x@y>"},
            {"uri": "sip:my-ocschat%40x@contoso.com", "to": "<sip:x@y>"},
        ),
        ({"peer": "192.0.2.9"}, {}, None),
        (
            {"from": "bob", "endpoint": "ocschat@contoso.com"},
            {},
            {"caller": "<sip:alice@contoso.com>"},
        ),
    ],
)
def test_filters(wanted: dict[str, Json], yes: dict[str, str], no: dict[str, str] | None) -> None:
    matches = wants(**wanted)
    assert matches(request(**yes))
    if no is not None:
        assert not matches(request(**no))


@pytest.mark.parametrize(
    ("peer", "seen"),
    [
        (Peer(b"192.0.2.9", 1, names=("fe01.contoso.com",)), True),
        (Peer(b"192.0.2.10", 1), True),
        (Peer(b"192.0.2.11", 1, names=("fe02.contoso.com",)), False),
    ],
)
def test_a_peer_by_name(traces: Traces, peer: Peer, seen: bool) -> None:
    """Its certificate has proved the name, or DNS gives its address: messages and connections."""
    wanted = read_filter({"peer": "FE01.contoso.com."})
    wanted = replace(wanted, addresses=frozenset({"192.0.2.10"}))
    session = traces.begin(wanted, lambda: None)
    host = peer.host.decode()
    traces.received(read(request()), peer, TracedFlow(peer_host=host))
    traces.unreadable(b"\x00", peer, TracedFlow(peer_host=host), "Not SIP")
    traces.happened(host, 2, "tls", peer.names, "peer_refused: its certificate names …")
    assert len(taken(session)) == (3 if seen else 0)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"peer": "no host"},
        {"peer": "fe01.contoso.com:5061"},
        {"peer": "a" * 64},
        {"endpoint": "contoso.com"},
        {"from": ""},
        {"from": 7},
        {"call_id": "x" * 2000},
    ],
)
def test_filters_that_cant_be_used_are_refused(wanted: dict[str, Json]) -> None:
    with pytest.raises(ControlRefusal):
        read_filter(wanted)


def test_a_call_is_followed_from_both_sides(traces: Traces) -> None:
    """The first message decides; what belongs to its call is shown whoever sends it."""
    session = begin(traces, **{"from": "bob"})
    pool = TracedFlow(peer_host="192.0.2.20", peer_port=5061)
    assert traces.received(read(request()), SOURCE, TracedFlow())
    traces.decided(b"1@192.0.2.9", "passed on")
    traces.sent(request(), pool, None)
    # the pool's own request has the caller in To
    back = request(
        method="INFO", caller="<sip:ocschat@contoso.com>;tag=2", to="<sip:bob@contoso.com>"
    )
    assert traces.received(read(back), SOURCE, pool)
    assert not traces.received(read(request("2@x", caller="<sip:alice@x>")), SOURCE, TracedFlow())
    traces.decided(b"2@x", "nothing of bob's")
    traces.sent(response("2@x"), TracedFlow(), b"2@x")
    seen = taken(session)
    kinds = [SightingKind.RECEIVED, SightingKind.DECIDED, SightingKind.SENT, SightingKind.RECEIVED]
    assert [each.kind for each in seen] == kinds
    assert seen[0].data == request()
    assert seen[2].ends is not None
    assert seen[2].ends.peer == ("192.0.2.20", 5061)


def test_unreadable_octets_and_connections(traces: Traces) -> None:
    session = begin(traces, peer="192.0.2.9")
    other = begin(traces, **{"from": "bob"})
    traces.unreadable(b"\x16\x03\x01", SOURCE, TracedFlow(), "no SIP")
    traces.happened("192.0.2.9", 1, "tls", (), "tls_handshake_failed: no cipher in common")
    traces.happened("192.0.2.10", 1, "tls", (), "somebody else's")
    assert [each.kind for each in taken(session)] == [
        SightingKind.UNREADABLE,
        SightingKind.CONNECTION,
    ]
    assert taken(other) == []
    traces.received(read(request()), SOURCE, TracedFlow())
    traces.happened("192.0.2.9", 40312, "tcp", (), "connection_closed: nothing came")
    kinds = [each.kind for each in taken(other)]
    assert kinds == [SightingKind.RECEIVED, SightingKind.CONNECTION], (
        "its caller's connection is attributed"
    )


def test_what_is_too_much_is_left_out_and_counted(traces: Traces, clock: HeldClock) -> None:
    """Bounded in rate: a burst, then so many a second."""
    session = begin(traces, peer="192.0.2.9")
    message = read(request())
    for _ in range(int(bounds.AT_ONCE) + 50):
        traces.received(message, SOURCE, TracedFlow())
    assert len(taken(session)) == bounds.AT_ONCE
    assert session.left_out == 50
    clock.now += 1
    for _ in range(int(bounds.AT_ONCE)):
        traces.received(message, SOURCE, TracedFlow())
    assert len(taken(session)) == bounds.PER_SECOND
    clock.now -= 3600  # a clock that is put back
    traces.received(message, SOURCE, TracedFlow())
    clock.now += 1
    traces.received(message, SOURCE, TracedFlow())
    assert len(taken(session)) == 1


def test_what_waits_is_bounded(traces: Traces, clock: HeldClock) -> None:
    """Bounded in memory: a reader that takes nothing costs so many octets."""
    session = begin(traces, peer="192.0.2.9")
    message = read(request(body="x" * 60_000))
    for _ in range(1000):
        clock.now += 1
        traces.received(message, SOURCE, TracedFlow())
    waiting = sum(len(each.data) for each in taken(session))
    assert bounds.MAX_WAITING - 61_000 < waiting <= bounds.MAX_WAITING
    assert session.left_out > 900


def test_calls_and_peers_are_bounded(traces: Traces, clock: HeldClock) -> None:
    session = begin(traces, **{"from": "bob"})
    for number in range(3 * bounds.MAX_CALLS):
        clock.now += 1
        flow = TracedFlow(peer_port=number)
        traces.received(read(request(f"{number}@x")), SOURCE, flow)
        taken(session)
    assert len(session.calls) == bounds.MAX_CALLS
    assert len(session.peers) == bounds.MAX_CALLS
    assert session.begun == 3 * bounds.MAX_CALLS


def test_a_fault_in_a_trace_harms_nothing_but_the_trace(
    traces: Traces, observing: Observing
) -> None:
    class Broken(TracedFlow):
        def flow(self, port: int) -> TracedFlow:
            raise RuntimeError("broken")

    told = []
    session = traces.begin(Filter(peer="192.0.2.9"), lambda: told.append(1))
    assert traces.received(read(request()), SOURCE, Broken())
    assert session.failed
    assert told
    assert observing.observer is None
    traces.sent(response(), TracedFlow(), None)
    traces.end(session)
