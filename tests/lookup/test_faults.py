"""A fault in one place stops no other lookup: what is to be sent is sent once."""

import pytest

from chatredirect.lookup import uas
from chatredirect.lookup.core import LookupCore
from chatredirect.sip.transaction.layer import Transactions
from tests.lookup.in_memory_lookups import REQURI, TRANSPORTS, Client, InMemoryLookups
from tests.recording_flow import RecordingFlow
from tests.sent_message import read


class Fault(Exception):
    """What nobody reckons with."""


def raising(*args: object) -> bool:
    """In the place of any function."""
    raise Fault


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("step", ["invite", "begin", "look_up", "hang_up"])
def test_a_fault_at_any_send_stops_no_other_lookup(transport: str, step: str) -> None:
    """No exception leaves the work list, and nothing of it is sent again with the next call."""
    lookups = InMemoryLookups(transport=transport)
    flow = lookups.flow
    first = Client(lookups, name="user1")
    steps = {"invite": 0, "begin": 1, "look_up": 2, "hang_up": 3}[step]
    if steps > 1:
        first.begin()
    if steps > 2:
        first.look_up()
    flow.send = raising  # type: ignore[method-assign]
    with pytest.raises((IndexError, ValueError, AssertionError)):  # it gets nothing
        getattr(first, step)()
    assert not lookups.core.sends
    assert not lookups.core.events
    lookups.flow = RecordingFlow(transport, peer_port=45155)
    second = Client(lookups, name="user2").begin()
    second.look_up()
    second.hang_up()
    raws = lookups.flow.raw
    assert len(raws) == len(set(raws)), "sent twice"
    lookups.pass_time(400.0)
    assert not lookups.core.dialogs


@pytest.mark.parametrize("where", ["write", "with_body", "accepted", "describe_session"])
@pytest.mark.parametrize("again", [False, True])
def test_a_fault_before_the_answer_is_sent_leaves_nothing_held(
    monkeypatch: pytest.MonkeyPatch, where: str, again: bool
) -> None:
    """No transaction and no hold that nothing would end; the dialog goes on if there is one."""
    lookups = InMemoryLookups()
    client = Client(lookups)
    if again:
        client.begin()
    before = len(lookups.core.transactions), len(lookups.core.dialogs), lookups.flow.held
    with monkeypatch.context() as broken:
        broken.setattr(uas, where, raising)
        with pytest.raises(Fault):
            client.invite()
    core = lookups.core
    assert (len(core.transactions), len(core.dialogs), lookups.flow.held) == before
    assert client.invite().status == 200
    client.ack()
    client.hang_up()
    lookups.pass_time(400.0)
    assert lookups.empty
    assert lookups.flow.held == 0


@pytest.mark.parametrize("where", ["_answer", "write"])
def test_a_fault_while_a_command_is_read_leaves_nothing_held(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It is answered as ever when it is sent again, and so is the next one in the dialog."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    before = len(lookups.core.transactions), lookups.flow.held
    command = client.write("INFO", body=REQURI)
    with monkeypatch.context() as broken:
        broken.setattr(uas, where, raising)
        with pytest.raises(Fault):
            lookups.send(command)
    assert (len(lookups.core.transactions), lookups.flow.held) == before
    ok, reply = lookups.send(command)
    assert [ok.kind, reply.kind] == ["200 INFO", "INFO"]
    assert not lookups.send(client.accept(reply))
    client.look_up()
    client.hang_up()
    lookups.pass_time(400.0)
    assert lookups.empty
    assert lookups.flow.held == 0


def test_a_fault_in_a_reply_does_not_keep_the_200(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent at once, not with whatever comes next."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    monkeypatch.setattr(uas, "_reply", raising)
    with pytest.raises(Fault):
        client.look_up()
    assert read(lookups.flow.raw[-1]).kind == "200 INFO"
    assert not lookups.core.sends
    assert not lookups.core.events


@pytest.mark.parametrize("where", [(LookupCore, "handle_event"), (Transactions, "handle_timers")])
def test_a_fault_in_a_timer_ends_what_it_hits_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    """What has left the heap is waited for by nobody: it ends at once, the others at their time."""
    lookups = InMemoryLookups(transport="udp")
    Client(lookups, name="user1").begin()
    lookups.pass_time(1.0)
    second = Client(lookups, name="user2").begin()
    whole = getattr(*where)
    hits = 0

    def raising_once(*args: object) -> object:
        nonlocal hits
        hits += 1
        if hits == 1:
            raise Fault
        return whole(*args)

    monkeypatch.setattr(*where, raising_once)
    lookups.pass_time(29.5)  # the first one's idle time is over
    assert hits
    assert second.call_id.encode() in {
        each.dialog.call_id for each in lookups.core.dialogs.values()
    }
    lookups.pass_time(400.0)
    assert lookups.empty
    assert not lookups.core.dialogs
