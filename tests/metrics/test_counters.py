"""What is counted, under which names, and that it stays bounded."""

import pytest

from chatredirect.endpoints.response_counts import OTHER
from chatredirect.responses.counters import Counters
from tests.sip.in_memory_server import request, serve

SALES, CHAT = "sip:sales@contoso.com", "sip:ocschat@contoso.com"


def test_an_answer_is_counted_by_endpoint_method_transport_and_status() -> None:
    counters = Counters()
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.answered(302, b"INVITE", "tls", CHAT)
    counters.answered(404, b"OPTIONS", "tcp", None)
    assert counters.endpoints[CHAT].counts == {
        (b"INVITE", "udp", 302): 2,
        (b"INVITE", "tls", 302): 1,
    }
    assert counters.endpoints[CHAT].requests == 3
    assert counters.nobody.counts == {(b"OPTIONS", "tcp", 404): 1}
    assert counters.answers == {302: 3, 404: 1}


@pytest.mark.parametrize("method", [b"invite", b"FOO", b"\xff" * 100, b"other"])
def test_no_name_comes_from_a_peer(method: bytes) -> None:
    """Methods are told apart by case (RFC 3261 §7.1); whatever isn't known is `other`."""
    counters = Counters()
    counters.answered(302, method, "udp", CHAT)
    assert list(counters.endpoints[CHAT].counts) == [(OTHER, "udp", 302)]


def test_a_thousand_methods_take_one_place() -> None:
    counters = Counters()
    for number in range(1000):
        counters.answered(302, b"M%d" % number, "udp", CHAT)
    assert counters.endpoints[CHAT].counts == {(OTHER, "udp", 302): 1000}


def test_endpoints_that_are_gone_leave_only_sums() -> None:
    counters = Counters()
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.answered(302, b"INVITE", "udp", SALES)
    counters.keep({CHAT})
    assert list(counters.endpoints) == [CHAT]
    assert counters.answers == {302: 2}


def test_with_many_endpoints_all_are_counted_together() -> None:
    """What each had so far goes into the common count; how many each has is still known."""
    counters = Counters()
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.keep({CHAT, SALES}, labelled=1)
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.answered(480, b"INVITE", "udp", SALES)
    assert counters.together == {(b"INVITE", "udp", 302): 2, (b"INVITE", "udp", 480): 1}
    assert counters.endpoints[CHAT].requests == 2
    assert counters.endpoints[SALES].requests == 1
    assert counters.answers == {302: 2, 480: 1}


def test_with_few_again_each_begins_anew() -> None:
    counters = Counters()
    counters.keep({CHAT, SALES}, labelled=1)
    counters.answered(302, b"INVITE", "udp", CHAT)
    counters.keep({CHAT}, labelled=1)
    assert counters.together is None
    counters.answered(302, b"INVITE", "udp", CHAT)
    assert counters.endpoints[CHAT].counts == {(b"INVITE", "udp", 302): 1}
    assert counters.answers == {302: 2}


def test_one_that_goes_while_all_are_counted_together_takes_nothing_away() -> None:
    counters = Counters()
    counters.keep({CHAT, SALES}, labelled=1)
    counters.answered(302, b"INVITE", "udp", SALES)
    counters.keep({CHAT, "sip:a@contoso.com"}, labelled=1)
    assert counters.answers == {302: 1}


def test_the_tally_that_an_endpoint_keeps_is_the_one_that_is_shown() -> None:
    """It is looked up once per directory, and stays right when all are counted together."""
    served = serve()
    data, counters = request(), served.counters
    served.ask(data)
    (address,) = counters.endpoints
    kept = counters.endpoints[address]
    served.ask(data)
    assert kept.requests == 2
    counters.keep({address}, labelled=0)
    served.ask(data)
    assert counters.endpoints[address] is kept
    assert counters.together == {(b"INVITE", "udp", 302): 3}
