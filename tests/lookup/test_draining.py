"""The daemon is about to stop: lookups as long as there is time for them, then they get a BYE."""

import pytest

from chatredirect.lookup.core import LookupCore
from chatredirect.lookup.session import LookupSession, SessionEvent
from tests.lookup.in_memory_lookups import TRANSPORTS, Client, InMemoryLookups
from tests.sent_message import read


def test_an_invite_gets_503_with_retry_after() -> None:
    """RFC 3261 §21.5.4: it may come again, and elsewhere at once. Nothing is kept of it."""
    there = InMemoryLookups()
    there.core.begins_until = there.now - 0.1
    answer = Client(there).invite()
    assert answer.status == 503
    assert answer["Retry-After"] == "30"
    assert "about to stop" in answer["Warning"]
    assert there.empty


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_lookup_for_which_there_is_time_is_served(transport: str) -> None:
    """docs/answers.md: it takes milliseconds, and a client that is refused gives up."""
    there = InMemoryLookups(transport=transport)
    there.core.begins_until = there.now + 0.1
    client = Client(there).begin()
    there.pass_time(0.2)
    assert 'uri="' in client.look_up().body
    client.hang_up()
    assert Client(there).invite().status == 503


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_open_dialog_goes_on(transport: str) -> None:
    there = InMemoryLookups(transport=transport)
    client = Client(there).begin()
    there.core.begins_until = there.now - 0.1
    client.look_up()
    client.hang_up()
    assert not there.core.dialogs


def hang_up(there: InMemoryLookups) -> None:
    """As the daemon does at its end."""
    for lookup in list(there.core.dialogs.values()):
        there.driver.hang_up(lookup)


def test_what_is_left_gets_a_bye() -> None:
    there = InMemoryLookups()
    client = Client(there).begin()
    hang_up(there)
    (bye,) = there.flow.raw[-1:]
    assert bye.startswith(b"BYE ")
    assert there.core.dialogs, "its answer is waited for"
    there.send(client.accept(read(bye)))
    assert not there.core.dialogs
    assert there.core.counters.ended == {"stopping": 1}


def test_a_fault_with_one_dialog_keeps_no_other_from_its_bye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each dialog is ended by itself."""
    there = InMemoryLookups()
    first = Client(there, name="user1").begin()
    Client(there, name="user2").begin()
    handling = LookupCore.handle_event

    def hang_up_all_but_the_first(
        core: LookupCore, lookup: LookupSession, event: SessionEvent, now: float
    ) -> None:
        if lookup.dialog.call_id == first.call_id.encode():
            raise RuntimeError
        handling(core, lookup, event, now)

    monkeypatch.setattr(LookupCore, "handle_event", hang_up_all_but_the_first)
    there.flow.raw.clear()
    hang_up(there)
    (bye,) = there.flow.raw
    assert read(bye).kind == "BYE"


def test_no_bye_before_the_ack() -> None:
    """RFC 3261 §15: a callee must not send BYE before it has received the ACK."""
    there = InMemoryLookups()
    Client(there).invite()
    hang_up(there)
    assert not any(data.startswith(b"BYE ") for data in there.flow.raw)
    assert there.core.dialogs
