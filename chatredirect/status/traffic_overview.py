"""What came, what it got, and who is connected."""

import heapq

from chatredirect.control.protocol import Json
from chatredirect.metrics.view import View
from chatredirect.service.read_model import LookupFigures, ProxyFigures, ReadModel

PEERS = 20
"""Peers that are named: those with the most connections."""


def traffic(view: View, model: ReadModel) -> dict[str, Json]:
    """Answers, drops, faults, connections, lookups, and what is under way.

    Args:
        view: the daemon.
        model: its service.
    """
    counters = model.counters
    return {
        "answers": {str(status): number for status, number in sorted(counters.answers.items())},
        "drops": dict(sorted(counters.drops.items())),
        "malformed": dict(sorted(counters.faults.items())),
        "connections": _connections(model),
        "lookups": _lookups(model.lookups),
        "proxy": _proxy(model.proxy),
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


def _connections(model: ReadModel) -> Json:
    connections = model.connections
    if connections is None:
        return None
    closed: dict[str, int] = {}
    for each in model.streams:
        for reason, number in each.closed.items():
            closed[reason] = closed.get(reason, 0) + number
    peers = connections.by_peer
    most = heapq.nlargest(PEERS, peers.items(), key=lambda each: each[1])
    return {
        "open": connections.open,
        "most": connections.most,
        "peers": len(peers),
        "by_peer": [{"peer": peer, "connections": number} for peer, number in most],
        "refused": dict(connections.refused),
        "closed": closed,
        "sent_away": [
            {"peer": peer, "reason": reason, "at": at}
            for each in model.streams
            for peer, reason, at in each.sent_away
        ],
        "to_targets": 0 if model.outgoing is None else model.outgoing.connections,
    }


def _proxy(proxy: ProxyFigures | None) -> Json:
    if proxy is None:
        return None
    counters = proxy.counters
    return {
        "open": proxy.open,
        "most": proxy.most,
        "transactions": proxy.transactions,
        "forwarded": dict(counters.forwarded),
        "responses": counters.responses,
        "failovers": counters.failovers,
        "failures": dict(counters.failures),
        "refused": dict(counters.refused),
        "retransmissions": counters.retransmissions,
        "cancelled": counters.cancelled,
    }


def _lookups(lookups: LookupFigures | None) -> Json:
    if lookups is None:
        return None
    counters = lookups.counters
    return {
        "dialogs": lookups.dialogs,
        "most": lookups.most,
        "transactions": lookups.transactions,
        "begun": counters.begun,
        "found": counters.found,
        "not_found": counters.not_found,
        "ended": dict(counters.ended),
        "retransmissions": counters.retransmissions,
    }
