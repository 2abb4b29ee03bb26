"""What came, what it got, and who is connected."""

import heapq

from chatredirect.control.protocol import Json
from chatredirect.metrics.view import View
from chatredirect.transport.stream_listener import StreamListener

PEERS = 20
"""Peers that are named: those with the most connections."""


def traffic(view: View) -> dict[str, Json]:
    """Answers, drops, faults, connections, lookups, and what is under way.

    Args:
        view: the daemon.
    """
    counters = view.service.counters
    return {
        "answers": {str(status): number for status, number in sorted(counters.answers.items())},
        "drops": dict(sorted(counters.drops.items())),
        "malformed": dict(sorted(counters.faults.items())),
        "connections": _connections(view),
        "lookups": _lookups(view),
        "proxy": _proxy(view),
        "control": {
            "requests": dict(view.control.requests),
            "dropped": {
                "busy": view.control.busy,
                "garbage": view.control.garbage,
                "slow": view.control.slow,
                "unread": view.control.unread,
                "unknown": view.control.unknown,
            },
        },
    }


def _connections(view: View) -> Json:
    listeners, outward = view.service.listeners, view.service.outward
    if listeners is None:
        return None
    admission = listeners.admission
    closed: dict[str, int] = {}
    sent_away: list[tuple[str, str, float]] = []
    for each in listeners.open.values():
        if isinstance(each, StreamListener):
            sent_away += each.settings.sent_away
            for reason, number in each.settings.closed.items():
                closed[reason] = closed.get(reason, 0) + number
    peers = admission.by_peer
    most = heapq.nlargest(PEERS, peers.items(), key=lambda each: each[1])
    return {
        "open": admission.open,
        "most": admission.limits.connections,
        "peers": len(peers),
        "by_peer": [{"peer": peer, "connections": number} for peer, number in most],
        "refused": dict(admission.refused),
        "closed": closed,
        "sent_away": [{"peer": peer, "reason": reason, "at": at} for peer, reason, at in sent_away],
        "to_targets": 0 if outward is None else outward.outgoing.connections,
    }


def _proxy(view: View) -> Json:
    proxying = view.service.proxying
    driver = None if proxying is None else proxying.driver
    if driver is None:
        return None
    core = driver.core
    counters = core.counters
    return {
        "open": len(core.open),
        "most": core.rules.transactions,
        "transactions": len(core.transactions),
        "forwarded": dict(counters.forwarded),
        "responses": counters.responses,
        "failovers": counters.failovers,
        "failures": dict(counters.failures),
        "refused": dict(counters.refused),
        "retransmissions": counters.retransmissions,
        "cancelled": counters.cancelled,
    }


def _lookups(view: View) -> Json:
    lookups = view.service.lookups
    driver = None if lookups is None else lookups.driver
    if driver is None:
        return None
    core = driver.core
    counters = core.counters
    return {
        "dialogs": len(core.dialogs),
        "most": core.rules.dialogs,
        "transactions": len(core.transactions),
        "begun": counters.begun,
        "found": counters.found,
        "not_found": counters.not_found,
        "ended": dict(counters.ended),
        "retransmissions": counters.retransmissions,
    }
