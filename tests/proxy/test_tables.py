"""The proxy does what its tables say: every state of a branch and every event, every response."""

from itertools import product

import pytest

from chatredirect.proxy.branches import TABLE, BranchAction, BranchEvent, BranchState
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.response_context import Branch, ResponseContext
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Response
from chatredirect.sip.transaction.state_machines import (
    CLIENT,
    INVITE_CLIENT,
    TransactionAction,
    TransactionEvent,
    TransactionState,
)
from tests.proxy.in_memory_proxy import Caller, InMemoryProxy, response

#: The method that does what an action says; QUIT is a 487.
METHODS = {
    "send": BranchAction.SEND,
    "_forward_provisional": BranchAction.FORWARD,
    "_take": BranchAction.TAKE,
    "_take_late": BranchAction.TAKE_LATE,
    "_fail": BranchAction.FAIL,
    "_send_cancel": BranchAction.CANCEL,
    "send_final_response": BranchAction.QUIT,
}
STATUSES = {100: "PROVISIONAL", 183: "PROVISIONAL", 200: "SUCCESS", 302: "FAILURE", 603: "FAILURE"}


def sent(method: str = "INVITE") -> tuple[InMemoryProxy, Branch, bytes]:
    """A proxy that has sent a request, its branch, and a 200 that the target may give."""
    proxy = InMemoryProxy()
    proxy.send(Caller(proxy).write(method))
    (context,) = proxy.core.open
    assert context.active is not None
    return proxy, context.active, response(proxy.target().one(), 200)


def read(data: bytes) -> Response:
    message = parse_datagram(data, DEFAULT)
    assert isinstance(message, Response)
    return message


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("state", BranchState)
def test_every_state_and_event_of_a_branch(
    state: BranchState, finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§16.7: the next state, and what is done, in the order of the table."""
    done: list[BranchAction] = []
    for name, action in METHODS.items():
        where = ProxyCore if name == "send" else ResponseContext
        if action is not BranchAction.SEND:
            monkeypatch.setattr(where, name, lambda *_, action=action: done.append(action))
    for event in BranchEvent:
        proxy, branch, answer = sent()
        monkeypatch.setattr(proxy.core, "send", lambda *_: done.append(BranchAction.SEND))
        branch.state, branch.context.finished = state, finished
        done.clear()

        branch.context.handle_event(branch, event, proxy.now, read(answer))

        following, actions = TABLE.get((state, event), (state, ()))
        assert branch.state is following
        # no second response of our own
        assert done == [each for each in actions if not finished or each is not BranchAction.QUIT]


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE"])
def test_every_response_in_every_state(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3261 §17.1: what the table of the client transaction says, the branch is told."""
    told: list[BranchEvent] = []
    monkeypatch.setattr(ResponseContext, "handle_event", lambda *given: told.append(given[2]))
    states = (state for state in TransactionState if state is not TransactionState.TERMINATED)
    for state, (status, name) in product(states, STATUSES.items()):
        monkeypatch.undo()
        proxy, branch, answer = sent(method)
        monkeypatch.setattr(ResponseContext, "handle_event", lambda *given: told.append(given[2]))
        transaction = branch.transaction
        assert transaction is not None
        transaction.state = state
        if state is TransactionState.COMPLETED:
            transaction.message = b"ACK " + transaction.message
        told.clear()
        message = read(answer.replace(b" 200 ", b" %d " % status))

        proxy.core.respond(message, transaction, proxy.now)

        table = INVITE_CLIENT if method == "INVITE" else CLIENT
        row = table.get((state, TransactionEvent[name]))
        following, actions = (state, ()) if row is None else row
        assert transaction.state is following
        if name == "PROVISIONAL":  # it says that the target lives, whatever the table says
            assert told == [BranchEvent.PROVISIONAL]
        else:
            assert told == [BranchEvent.FINAL] * (TransactionAction.NOTIFY in actions)
        acks = [send.data[:4] for send in proxy.core.sends]
        assert acks == [b"ACK "] * (method == "INVITE" and TransactionAction.SEND in actions)
        if told == [BranchEvent.FINAL] and not acks:  # it won't be sent again
            assert not transaction.message
