"""Who may touch a request that is under way: its sender, and whom it was sent to. Nobody else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from chatredirect.sip.response import Peer
from tests.proxy.in_memory_proxy import (
    FRONT_END,
    STRANGER,
    Caller,
    InMemoryProxy,
    response,
    targets,
)
from tests.recording_flow import RecordingFlow

OTHER = Peer(b"192.0.2.77", 5060, trusted=True)
"""Another trusted peer."""
NAMED = Peer(b"127.0.0.1", 45154, trusted=True, names=("fe01.contoso.com",))
ELSEWHERE = replace(NAMED, host=b"192.0.2.78")
"""The same peer by its certificate, at another address."""
NEIGHBOUR = replace(FRONT_END, port=50_001, trusted=False)
"""A stranger at the address of a trusted peer, whose certificate has made it one."""


def flow_of(source: Peer, transport: str = "udp") -> RecordingFlow:
    return RecordingFlow(transport, peer_host=source.host.decode(), peer_port=source.port)


def ringing(proxy: InMemoryProxy, source: Peer = FRONT_END, transport: str = "UDP") -> Caller:
    """An INVITE that rings at the pool."""
    caller = Caller(proxy, transport)
    proxy.send(caller.write("INVITE"), source=source)
    invite = proxy.target().one()
    proxy.answer(0, invite, 180)
    return caller


@pytest.mark.parametrize(("source", "status"), [(STRANGER, 403), (NEIGHBOUR, 403), (OTHER, 482)])
@pytest.mark.parametrize("finished", [False, True])
def test_who_repeats_another_ones_request(source: Peer, status: int, finished: bool) -> None:
    """Branch, Call-ID and CSeq are known to whoever sees a message: the answer is its sender's."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    first = caller.write("INVITE")
    proxy.send(first)
    invite = proxy.target().one()
    if finished:
        assert [sent.status for sent in proxy.answer(0, invite, 404)] == [404]
    flow = flow_of(source)
    assert [sent.status for sent in proxy.send(first, flow, source)] == [status]
    assert not [sent for sent in proxy.target().take() if sent.kind == "INVITE"]
    if not finished:
        assert [sent.status for sent in proxy.answer(0, invite, 200)] == [200]
    assert not flow.take()
    assert [sent.status for sent in proxy.send(first)] == ([404] if finished else [])


def test_a_flow_moves_for_the_same_peer() -> None:
    """RFC 3261 §18.2.2: its new connection gets the answer; the name of a certificate counts."""
    for source in (replace(NAMED, port=50_000), ELSEWHERE):
        proxy = InMemoryProxy(transport="tls")
        caller = Caller(proxy, "TLS")
        first = caller.write("INVITE")
        proxy.send(first, source=NAMED)
        invite = proxy.target().one()
        proxy.client.gone = True
        flow = flow_of(source, "tls")
        assert [sent.status for sent in proxy.send(first, flow, source)] == [100]
        proxy.deliver(response(invite, 200), proxy.target())
        assert [sent.status for sent in flow.take()] == [200]


@pytest.mark.parametrize("source", [STRANGER, NEIGHBOUR, OTHER])
def test_only_its_sender_cancels(source: Peer) -> None:
    """RFC 3261 §9.2, and no trusted peer cancels another one's INVITE."""
    proxy = InMemoryProxy()
    caller = ringing(proxy)
    cancel = caller.write("CANCEL", number=1, branch=caller.last_branch)
    assert [sent.status for sent in proxy.send(cancel, flow_of(source), source)] == [481]
    assert not proxy.target().raw
    assert [sent.status for sent in proxy.send(cancel)] == [200]
    assert [sent.kind for sent in proxy.target().take()] == ["CANCEL"]


@pytest.mark.parametrize("source", [replace(NAMED, port=50_000), ELSEWHERE])
def test_a_cancel_on_the_next_connection(source: Peer) -> None:
    """The INVITE's connection is closed; its peer cancels on a new one."""
    proxy = InMemoryProxy(transport="tls")
    caller = ringing(proxy, NAMED, "TLS")
    proxy.client.gone = True
    cancel = caller.write("CANCEL", number=1, branch=caller.last_branch)
    flow = flow_of(source, "tls")
    assert [sent.status for sent in proxy.send(cancel, flow, source)] == [200]
    assert [sent.kind for sent in proxy.target().take()] == ["CANCEL"]


@pytest.mark.parametrize("source", [STRANGER, NEIGHBOUR, OTHER])
def test_only_its_sender_acknowledges(source: Peer) -> None:
    """RFC 3261 §17.2.1: a final response is repeated until its own peer's ACK comes."""
    proxy = InMemoryProxy()
    caller = Caller(proxy)
    invite = caller.invite()
    proxy.answer(0, invite, 486)
    ack = caller.write("ACK", number=1, branch=caller.last_branch)
    ack = ack.replace(b"To: " + caller.to.encode(), b"To: " + response_to(invite))
    proxy.send(ack, flow_of(source), source)
    again = [sent.status for _, sent in proxy.pass_time(0.6)]
    assert again == [486]
    proxy.send(ack)
    assert not proxy.pass_time(10.0)


def response_to(invite: object) -> bytes:
    """The To of the responses that the tests give to a request."""
    data = response(invite, 486)  # type: ignore[arg-type]
    return data.partition(b"\r\nTo: ")[2].partition(b"\r\n")[0]


# -- responses --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [STRANGER, OTHER, FRONT_END])
@pytest.mark.parametrize("status", [180, 200, 486])
def test_a_response_from_elsewhere(source: Peer, status: int) -> None:
    """Over UDP it comes from the address that the request went to, else it isn't one."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    for _ in range(3):
        proxy.deliver(response(invite, status), flow_of(source), source)
    assert not proxy.client.take()
    assert proxy.counters.drops == {"response_elsewhere": 3}
    assert [sent.status for sent in proxy.answer(0, invite, 200)] == [200]


def test_it_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line at level info for each request, whatever comes: no peer fills the log."""
    told: list[object] = []
    log = SimpleNamespace(
        info=lambda event, **fields: told.append((event, fields["why"])),
        debug=lambda event, **fields: None,
    )
    monkeypatch.setattr("chatredirect.responses.explain.log", log)
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    for _ in range(5):
        proxy.deliver(response(invite, 200), flow_of(STRANGER), STRANGER)
    assert told == [("response_dropped", "response_elsewhere")]


def test_a_response_over_another_connection() -> None:
    """§18.2.2: only when the connection that the request went over is closed, from its peer."""
    proxy = InMemoryProxy(*targets(transport="tcp"))
    invite = Caller(proxy).invite()
    member = Peer(proxy.targets[0].address.encode(), 41_000)
    second = flow_of(member, "tcp")
    proxy.deliver(response(invite, 200), second, member)
    assert not proxy.client.take()
    proxy.target().gone = True
    proxy.deliver(response(invite, 200), flow_of(STRANGER, "tcp"), STRANGER)
    assert not proxy.client.take()
    proxy.deliver(response(invite, 200), second, member)
    assert [sent.status for sent in proxy.client.take()] == [200]
    assert proxy.counters.drops == {"response_elsewhere": 2}


def test_over_tls_its_name_speaks_for_a_peer() -> None:
    proxy = InMemoryProxy(*targets(transport="tls"))
    caller = Caller(proxy)
    proxy.send(caller.write("INVITE"))
    proxy.target().peer_names = ("pc0.contoso.com",)
    invite = proxy.target().one()
    proxy.target().gone = True
    member = Peer(b"192.0.2.99", 41_000, names=("pc0.contoso.com",))
    flow = replace(flow_of(member, "tls"), peer_names=member.names)
    proxy.deliver(response(invite, 200), flow, member)
    assert [sent.status for sent in proxy.client.take()] == [200]


def test_branches_are_random() -> None:
    """64 bits of its own for each: who has seen one can't guess the next (§8.1.1.7)."""
    proxy = InMemoryProxy()
    numbers = iter((0x0123456789ABCDEF, 1))
    proxy.core._random64 = lambda: next(numbers)
    branches = [
        Caller(proxy).invite().all("Via")[0].partition(";branch=")[2].partition(";")[0]
        for _ in range(2)
    ]
    assert branches[0].endswith("0123456789abcdef")
    assert branches[1].endswith("0000000000000001")
