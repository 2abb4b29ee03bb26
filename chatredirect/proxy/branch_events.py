"""What comes of a branch, and what the request gets for it (RFC 3261 §16.7 to §16.9)."""

from typing import TYPE_CHECKING

from chatredirect.proxy.branches import TABLE, Branch, BranchAction, BranchEvent
from chatredirect.proxy.events import ProxyFailed, ProxyFailedOver
from chatredirect.proxy.interfaces import ResolveRequest
from chatredirect.proxy.response_context import ResponseContext
from chatredirect.proxy.responses import done, finish_without_response, send_final_response
from chatredirect.sip.errors import SipError
from chatredirect.sip.forwarding import cancel_of, returned
from chatredirect.sip.message import Request, Response, values
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send
from chatredirect.sip.transaction.state_machines import TIMEOUT
from chatredirect.sip.transaction.state_machines import TransactionState as Being

if TYPE_CHECKING:
    from chatredirect.proxy.core import ProxyCore

#: Why an attempt failed: how it is counted, and what people are told.
_FAILURES = {
    BranchEvent.NO_WAY: ("no_connection", "no connection"),
    BranchEvent.LATE: ("attempt_timeout", "no response within proxy.attempt_timeout"),
    BranchEvent.SILENCE: ("no_response", "no response"),
    BranchEvent.LOST: ("connection_lost", "the connection is gone"),
    BranchEvent.UNREACHABLE: ("unreachable", "ICMP says that it can't be reached"),
    BranchEvent.TOO_LONG: ("timer_c", "no response within proxy.timer_c"),
}
_LONGEST_REASONS = 1000  # octets: they wait until the pool has shown that it lives


def handle_event(
    core: "ProxyCore",
    branch: Branch,
    event: BranchEvent,
    now: float,
    response: Response | None = None,
) -> None:
    """Look up what an event means in a branch's state, and do it.

    Args:
        core: the proxy.
        branch: the branch.
        event: what has happened to it.
        now: seconds on the clock of all calls.
        response: the response, where the event is one.
    """
    row = TABLE.get((branch.state, event))
    if row is None:
        return
    branch.state, acts = row
    for act in acts:
        match act:
            case BranchAction.SEND:
                core.send(branch, now)
            case BranchAction.FORWARD:
                assert response is not None
                _forward_provisional(core, branch.context, response, now)
            case BranchAction.TAKE:
                assert response is not None
                _take(core, branch, response, now)
            case BranchAction.TAKE_LATE:
                assert response is not None
                _take_late(core, branch, response, now)
            case BranchAction.FAIL:
                _fail(core, branch, event, now)
            case BranchAction.CANCEL:
                _send_cancel(core, branch, now)
            case BranchAction.QUIT:
                if not branch.context.finished:
                    send_final_response(core, branch.context, 487, now)


def reasons(cancel: Request) -> bytes:
    """Why a request is cancelled: each Reason field with its CRLF; none where they are too long."""
    fields = b"".join(b"Reason: %b\r\n" % value for value in values(cancel, b"reason"))
    return fields if len(fields) <= _LONGEST_REASONS else b""


def cancel(core: "ProxyCore", context: ResponseContext, why: bytes, now: float) -> None:
    """A request's sender doesn't want it any more (§16.10).

    Args:
        core: the proxy.
        context: the request's.
        why: the Reason fields of the CANCEL, which go on with it (RFC 3326 §2).
        now: seconds on the clock of all calls.
    """
    if context.cancelled or context.finished or not context.invite:
        return
    context.cancelled = True
    context.reasons = why
    context.attempt_at = context.c_at = float("inf")
    core.counters.cancelled += 1
    if context.active is None:  # its targets are still being looked for
        send_final_response(core, context, 487, now)
    else:
        handle_event(core, context.active, BranchEvent.CANCEL, now)


def give_up(core: "ProxyCore", context: ResponseContext, now: float) -> None:
    """The daemon ends: who still waits hears that, and a pool that still rings is cancelled."""
    if context.finished:
        return
    context.why = "the server stops"
    branch = context.active
    send_final_response(core, context, 500, now)
    if branch is not None:
        handle_event(core, branch, BranchEvent.CANCEL, now)


def _forward_provisional(
    core: "ProxyCore", context: ResponseContext, response: Response, now: float
) -> None:
    context.attempt_at = float("inf")
    # 100 is from one hop to the next, and others than INVITE get nothing else (RFC 4320 §4.1)
    if response.status == 100 or not context.invite or context.finished:
        return
    if not context.cancelled:
        context.c_at = now + core.rules.timer_c  # §16.7 step 2
    assert context.server is not None
    core.transactions.respond(context.server, response.status, returned(response), now)
    core.counters.responses += 1


def _take(core: "ProxyCore", branch: Branch, response: Response, now: float) -> None:
    """A final response of the branch that is waited for (§16.7 steps 4 to 6)."""
    context = branch.context
    status = response.status
    if context.finished:
        _take_late(core, branch, response, now)
    elif status < 300:
        _pass_back(core, context, response, now)
    elif status == 503:
        context.best = context.best or response
        context.why = f"{branch.target}: 503" if branch.target is not None else "503"
        core.counters.failed("503")
        _go_on(core, branch, "503 Service Unavailable", True, now)
    elif status == 408 and not context.invite:
        context.silent = True  # RFC 4320 §4.2: such a 408 is passed on to nobody
        _conclude(core, context, now)
    else:
        context.best = response
        _conclude(core, context, now)


def _take_late(core: "ProxyCore", branch: Branch, response: Response, now: float) -> None:
    """A final response that isn't waited for: a 2xx is passed on all the same (§16.7 step 5)."""
    context = branch.context
    status = response.status
    if not context.finished:
        if status < 300 or (not context.invite and status not in (408, 503)):
            active = context.active
            _pass_back(core, context, response, now)
            if active is not None and active is not branch:  # §16.7 step 10
                handle_event(core, active, BranchEvent.CANCEL, now)
        return
    server = context.server
    if status >= 300 or not context.invite or server is None:
        return
    core.counters.responses += 1
    if server.state is Being.ACCEPTED:
        core.transactions.respond(server, status, returned(response), now)
    else:
        core.counters.late += 1
        core.sends.append(Send(server.flow, returned(response), None))


def _fail(core: "ProxyCore", branch: Branch, event: BranchEvent, now: float) -> None:
    """As if it had been a 408 or 503 (§16.8, §16.9)."""
    context = branch.context
    counted, why = _FAILURES[event]
    core.counters.failed(counted)
    if context.finished or branch is not context.active:
        return
    gone = event in (BranchEvent.LOST, BranchEvent.UNREACHABLE)
    if gone and context.behind is not None and not context.cancelled:
        core.resolve_requests.append(ResolveRequest(context.behind, context))
        context.behind = context.active = None
        return
    unheard = event in (BranchEvent.LATE, BranchEvent.SILENCE, BranchEvent.TOO_LONG)
    if unheard:
        context.silent = True
    if event is not BranchEvent.NO_WAY or not context.why:  # who dials has said why
        context.why = why if branch.target is None else f"{branch.target}: {why}"
    # that nobody answers within a dialog says little of the target: the dialog may be gone there
    blamed = event is not BranchEvent.TOO_LONG and not (unheard and context.endpoint is None)
    _go_on(core, branch, context.why, blamed, now)


def _go_on(core: "ProxyCore", branch: Branch, why: str, blamed: bool, now: float) -> None:
    """To the next target (RFC 3263 §4.3), unless there is none or nobody waits any more."""
    context, target = branch.context, branch.target
    if context.cancelled:
        _conclude(core, context, now)
        return
    if target is not None and blamed:
        seconds = core.rules.target_penalty
        if core.blocklist.add(target, now + seconds):
            core.events.append(ProxyFailed(str(target), why, seconds))
    # whoever sent something else than an INVITE has stopped waiting by then
    in_time = context.invite or now < context.began + TIMEOUT
    failed = ProxyFailedOver(
        None if context.request is None else context.request.call_id, context.why
    )
    if in_time and core.next_target(context, now):
        core.counters.failovers += 1
        core.events.append(failed)
    else:
        _conclude(core, context, now)


def _conclude(core: "ProxyCore", context: ResponseContext, now: float) -> None:
    """No branch is waited for any more: give the best response that there is (§16.7 step 6)."""
    best = context.best
    if best is not None and best.status != 503:
        _pass_back(core, context, best, now)
    elif context.cancelled:
        send_final_response(core, context, 487, now)
    elif context.silent and context.invite:
        send_final_response(core, context, 408, now)
    elif context.silent and best is None:
        finish_without_response(core, context)
    elif context.to_caller and best is None:
        send_final_response(core, context, 430, now)  # RFC 5626 §5.3.1
    else:
        send_final_response(
            core, context, 500, now
        )  # a 503 would be taken for our own (§16.7 step 6)


def _pass_back(core: "ProxyCore", context: ResponseContext, response: Response, now: float) -> None:
    """Pass a final response on, and close the context."""
    server = context.server
    assert server is not None
    server.tag = _tag_of(response)
    core.counters.responses += 1
    core.transactions.respond(server, response.status, returned(response), now)
    done(core, context, response.status)


def _tag_of(response: Response) -> bytes:
    try:
        return matching.tag_of(response.to or b"", "To")
    except SipError:
        return b""


def _send_cancel(core: "ProxyCore", branch: Branch, now: float) -> None:
    """Cancel a branch that has shown that it lives (§9.1); others than INVITE can't be."""
    transaction, context = branch.transaction, branch.context
    context.c_at = float("inf")
    if branch is context.active:
        context.targets = []  # what has rung for so long isn't to begin elsewhere (§16.8)
    if transaction is None or branch.flow is None or not context.invite:
        return
    key = matching.client_key(transaction.key.partition(b" ")[2], b"CANCEL")
    core.transactions.request(
        key, cancel_of(transaction.message, context.reasons), branch.flow, None, now
    )
    core.transactions.give_up(transaction, now)
