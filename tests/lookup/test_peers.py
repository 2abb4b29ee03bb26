"""A lookup is its caller's: no stranger and no other trusted peer repeats, confirms or ends it."""

from dataclasses import replace

import pytest

from chatredirect.sip.response import Peer
from tests.lookup.in_memory_lookups import (
    FRONT_END,
    REQURI,
    STRANGER,
    Client,
    InMemoryLookups,
)
from tests.recording_flow import RecordingFlow

OTHER = Peer(b"192.0.2.77", 5060, trusted=True)
NEIGHBOUR = replace(FRONT_END, port=50_001, trusted=False)
"""A stranger at the address of a trusted peer, whose certificate has made it one."""


def from_(lookups: InMemoryLookups, source: Peer, data: bytes) -> list[str]:
    """What another peer gets for octets, over a flow of its own."""
    before = lookups.source
    lookups.source = source
    flow = RecordingFlow(
        lookups.flow.transport, peer_host=source.host.decode(), peer_port=source.port
    )
    sent = lookups.send(data, flow)
    lookups.source = before
    return [each.kind for each in sent]


@pytest.mark.parametrize(
    ("source", "status"), [(STRANGER, "403"), (NEIGHBOUR, "403"), (OTHER, "482")]
)
def test_who_repeats_another_ones_invite(source: Peer, status: str) -> None:
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups)
    assert client.invite().status == 200
    assert from_(lookups, source, client.first) == [f"{status} INVITE"]
    assert not lookups.flow.raw[1:]


@pytest.mark.parametrize("source", [STRANGER, NEIGHBOUR, OTHER])
def test_only_its_caller_acknowledges(source: Peer) -> None:
    """RFC 3261 §13.3.1.4: the 200 is repeated until the caller's own ACK."""
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups)
    client.invite()
    ack = client.write("ACK", number=1)
    assert from_(lookups, source, ack) == []
    assert [sent.kind for _, sent in lookups.pass_time(0.6)] == ["200 INVITE"]
    assert lookups.send(ack) == []
    assert not lookups.pass_time(5.0)


@pytest.mark.parametrize("source", [STRANGER, NEIGHBOUR, OTHER])
def test_only_its_caller_cancels(source: Peer) -> None:
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups)
    client.invite()
    branch = client.first.partition(b";branch=")[2].partition(b"\r\n")[0].decode()
    to, client.to = client.to, "<sip:ocschat@contoso.com>"
    target, client.target = client.target, "sip:ocschat@contoso.com"
    cancel = client.write("CANCEL", number=1, branch=f";branch={branch}")
    client.to, client.target = to, target
    assert from_(lookups, source, cancel) == ["481 CANCEL"]
    assert [each.kind for each in lookups.send(cancel)] == ["200 CANCEL"]


def test_strangers_learn_nothing_of_a_dialog() -> None:
    """The same answer whether there is such a dialog or not, and none of it moves."""
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups).begin()
    known = client.write("BYE")
    unknown = known.replace(client.call_id.encode(), b"another")
    assert from_(lookups, STRANGER, known) == from_(lookups, STRANGER, unknown) == ["403 BYE"]
    assert lookups.core.dialogs


@pytest.mark.parametrize("gone", [False, True])
def test_another_peer_does_not_take_the_flow(gone: bool) -> None:
    """It is answered, being trusted; our own requests are the caller's, and nobody else's."""
    lookups = InMemoryLookups(transport="tcp")
    client = Client(lookups).begin()
    lookups.flow.gone = gone
    assert from_(lookups, OTHER, client.write("INFO", body=REQURI)) == ["200 INFO"]
    assert sum(data.startswith(b"INFO ") for data in lookups.flow.raw) == (not gone)
    assert lookups.core.counters.ended == ({"lost": 1} if gone else {})


@pytest.mark.parametrize("source", [STRANGER, OTHER])
def test_a_response_from_elsewhere(source: Peer) -> None:
    """Our INFO is answered from where it was sent to."""
    lookups = InMemoryLookups(transport="udp")
    client = Client(lookups).begin()
    _, info = client.ask("INFO", body=REQURI)
    assert from_(lookups, source, client.accept(info, "481 Gone")) == []
    assert lookups.counters.drops["response_elsewhere"] == 1
    assert lookups.core.dialogs


def test_a_response_on_the_next_connection() -> None:
    """RFC 3261 §18.2.2: the connection is closed, and the same peer answers on another one."""
    lookups = InMemoryLookups(transport="tcp")
    client = Client(lookups).begin()
    _, info = client.ask("INFO", body=REQURI)
    ok = client.accept(info)
    other = replace(FRONT_END, port=50_000)
    assert from_(lookups, other, ok) == []
    assert lookups.counters.drops["response_elsewhere"] == 1
    lookups.flow.gone = True
    assert from_(lookups, other, ok) == []
    assert lookups.counters.drops["response_elsewhere"] == 1
