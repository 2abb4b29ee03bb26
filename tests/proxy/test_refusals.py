"""What the mode proxy refuses is noted: whom, why, and which limit; what it lets through isn't."""

from collections.abc import Callable

import pytest

from chatredirect.net.refusals import RefusalReason
from chatredirect.sip.response import Peer
from tests.proxy.in_memory_proxy import STRANGER, Caller, InMemoryProxy, response
from tests.recording_flow import RecordingFlow

OTHER = Peer(b"192.0.2.77", 5060, trusted=True)


def strangers_info(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.begin()
    proxy.send(caller.write("INFO"), source=STRANGER)


def strangers_ack(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.begin()
    proxy.send(caller.write("ACK", number=1), source=STRANGER)


def strangers_invite(proxy: InMemoryProxy, caller: Caller) -> None:
    proxy.send(caller.write("INVITE"), source=STRANGER)


def foreign_route(proxy: InMemoryProxy, caller: Caller) -> None:
    proxy.send(caller.write("INVITE", more="Route: <sip:192.0.2.99;lr>\r\n"))


def anothers_request(proxy: InMemoryProxy, caller: Caller) -> None:
    first = caller.write("INVITE")
    proxy.send(first)
    proxy.send(first, RecordingFlow("udp"), OTHER)


def forged_token(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.begin()
    caller.routes = [route + "A" for route in caller.routes]
    proxy.send(caller.write("INFO"))


def response_from_elsewhere(proxy: InMemoryProxy, caller: Caller) -> None:
    invite = caller.invite()
    proxy.deliver(response(invite, 200), RecordingFlow("udp"), OTHER)


def too_old(proxy: InMemoryProxy, caller: Caller) -> None:
    caller.begin()
    proxy.epoch += 10**9
    proxy.send(caller.write("INFO"))


def too_many(proxy: InMemoryProxy, caller: Caller) -> None:
    for _ in range(3):
        proxy.send(Caller(proxy).write("INVITE"))


@pytest.mark.parametrize(
    ("make", "reason", "host"),
    [
        (strangers_info, RefusalReason.NOT_TRUSTED, STRANGER.host),
        (strangers_ack, RefusalReason.NOT_TRUSTED, STRANGER.host),
        (strangers_invite, RefusalReason.NOT_TRUSTED, STRANGER.host),
        (foreign_route, RefusalReason.ROUTE, b"127.0.0.1"),
        (anothers_request, RefusalReason.OTHER_PEER, OTHER.host),
        (forged_token, RefusalReason.FORGED_ROUTE, b"127.0.0.1"),
        (response_from_elsewhere, RefusalReason.RESPONSE_ELSEWHERE, OTHER.host),
        (too_old, RefusalReason.DIALOG_AGE, b"127.0.0.1"),
        (too_many, RefusalReason.TRANSACTIONS_PER_PEER, b"127.0.0.1"),
    ],
)
def test_a_refusal_is_noted_once(
    make: Callable[[InMemoryProxy, Caller], None], reason: RefusalReason, host: bytes
) -> None:
    proxy = InMemoryProxy(dialog_age=86400.0, transactions_per_peer=2)
    make(proxy, Caller(proxy))
    (row,) = proxy.counters.refusals.rows()
    assert (row.reason, row.host.encode(), row.transport, row.count) == (reason, host, "udp", 1)


def test_all_transactions_together() -> None:
    proxy = InMemoryProxy(transactions=1)
    for _ in range(2):
        proxy.send(Caller(proxy).write("INVITE"))
    (row,) = proxy.counters.refusals.rows()
    assert row.reason is RefusalReason.TRANSACTIONS


def test_a_call_is_no_refusal() -> None:
    proxy = InMemoryProxy()
    Caller(proxy).begin()
    assert not list(proxy.counters.refusals.rows())
