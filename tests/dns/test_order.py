"""RFC 2782's weighted order, the same for the same caller."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.dns.order import Order
from chatredirect.net.target import Target


def target(name: str, priority: int = 0, weight: int = 0, address: str | None = None) -> Target:
    address = address or f"192.0.2.{sum(name.encode()) % 250 + 1}"
    return Target("tcp", address, 5060, name, priority, weight)


def callers(count: int) -> list[bytes]:
    return [b"sip:user%d@contoso.com" % number for number in range(count)]


def test_lower_priority_first() -> None:
    """RFC 2782: hosts are tried in the order of their priority, whatever their weight."""
    order = Order([target("b", 20, 65535), target("a", 10, 1), target("c", 15, 9)], "ipv4")
    for caller in callers(50):
        assert [each.host for each in order.for_caller(caller)] == ["a", "c", "b"]


@pytest.mark.parametrize("weights", [(60, 20, 20), (1, 1), (0, 0, 0), (1, 2, 3, 4), (65535, 1)])
def test_share_by_weight(weights: tuple[int, ...]) -> None:
    """RFC 2782: over many callers each host is first as often as its weight says."""
    order = Order([target(f"h{n}", 0, weight) for n, weight in enumerate(weights)], "ipv4")
    count = 20_000
    first = Counter(order.for_caller(caller)[0].host for caller in callers(count))
    whole = sum(weights) or len(weights)
    for number, weight in enumerate(weights):
        share = (weight or (1 if sum(weights) == 0 else 0)) / whole
        assert first[f"h{number}"] / count == pytest.approx(share, abs=0.015)


def test_second_place_is_drawn_by_weight_too() -> None:
    """RFC 2782: the draw is repeated among those that are left."""
    order = Order([target("a", 0, 98), target("b", 0, 1), target("c", 0, 1)], "ipv4")
    second = Counter(
        ordered[1].host
        for ordered in map(order.for_caller, callers(20_000))
        if ordered[0].host == "a"
    )
    assert second["b"] / second.total() == pytest.approx(0.5, abs=0.02)


def test_weight_zero_beside_others_is_rare() -> None:
    """RFC 2782: a weight of 0 has a very small chance beside others, but it has one."""
    order = Order([target("a", 0, 10), target("z", 0, 0)], "ipv4")
    first = Counter(order.for_caller(caller)[0].host for caller in callers(20_000))
    assert 0 < first["z"] < 600


@given(st.binary(max_size=64), st.randoms())
def test_same_caller_same_order(caller: bytes, shuffler: random.Random) -> None:
    """The order depends on the caller and the targets, and not on how DNS listed them."""
    targets = [target(f"h{n}", n % 2, n) for n in range(6)]
    expected = Order(targets, "ipv4").for_caller(caller)
    shuffler.shuffle(targets)
    assert Order(targets, "ipv4").for_caller(caller) == expected
    assert sorted(map(str, expected)) == sorted(map(str, targets))


def test_a_host_that_goes_moves_only_its_own_callers() -> None:
    """What is left keeps its order when a host is left out."""
    targets = [target(f"h{n}", 0, n + 1) for n in range(5)]
    for caller in callers(200):
        whole = Order(targets, "ipv4").for_caller(caller)
        without = Order([each for each in targets if each.host != "h4"], "ipv4").for_caller(caller)
        assert [each for each in whole if each.host != "h4"] == list(without)


def test_families_and_addresses_of_one_host() -> None:
    """One host's addresses stay together, the preferred family first, spread over callers."""
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
    targets = [target("a", 0, 1, address) for address in addresses] + [target("b", 1, 1)]
    first = Counter()
    for caller in callers(1000):
        ordered = [each.address for each in Order(targets, "ipv6").for_caller(caller)]
        assert {":" in address for address in ordered[:2]} == {True}
        assert not any(":" in address for address in ordered[2:])
        first[ordered[0]] += 1
    assert first["2001:db8::1"] == pytest.approx(500, abs=80)


def test_known_order() -> None:
    """The order is a promise between instances: it must not change from version to version."""
    order = Order([target(f"h{n}", 0, 10) for n in range(4)], "ipv4")
    ordered = order.for_caller(b"sip:anna@contoso.com")
    assert [each.host for each in ordered] == ["h3", "h1", "h0", "h2"]
