"""Retransmission timers and the next hop of a request that we send."""

import math
from itertools import accumulate

import pytest

from chatredirect.client.next_hop import next_hop, parse_via
from chatredirect.client.own_requests import Resending
from chatredirect.net.target import PoolAddress
from chatredirect.sip.uri import parse_uri


def sent_at(resending: Resending, count: int) -> list[float]:
    """When the request goes out, the first time at 0."""
    pauses = []
    for _ in range(count):
        pauses.append(resending.pause)
        resending.sent()
    return [0.0, *accumulate(pauses)]


def test_timer_a() -> None:
    """RFC 3261 §17.1.1.2: an INVITE again after T1, 2·T1, 4·T1 …: seven times in 64·T1."""
    assert sent_at(Resending(invite=True, reliable=False), 6) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_timer_e() -> None:
    """RFC 3261 §17.1.2.2: others double up to T2."""
    assert sent_at(Resending(invite=False, reliable=False), 5) == [0, 0.5, 1.5, 3.5, 7.5, 11.5]


@pytest.mark.parametrize("invite", [True, False])
def test_reliable(invite: bool) -> None:
    """A stream never (§17.1.1.2), before a provisional answer and after."""
    resending = Resending(invite=invite, reliable=True)
    assert resending.pause == math.inf
    resending.provisional()
    assert resending.pause == math.inf


def test_provisional() -> None:
    """An INVITE has arrived (§17.1.1.2); the others go on every T2 (§17.1.2.2)."""
    for invite, pause in ((True, math.inf), (False, 4.0)):
        resending = Resending(invite=invite, reliable=False)
        resending.provisional()
        resending.sent()
        assert resending.pause == pause


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("udp://127.0.0.1:5060", PoolAddress("127.0.0.1", 5060, "udp")),
        ("UDP:127.0.0.1:5060", PoolAddress("127.0.0.1", 5060, "udp")),
        ("tcp://[::1]:5060", PoolAddress("::1", 5060, "tcp")),
        ("tcp:[::ffff:127.0.0.1]", PoolAddress("127.0.0.1", None, "tcp")),
        ("tls://Pool.Contoso.com./", PoolAddress("pool.contoso.com", None, "tls")),
    ],
)
def test_via(text: str, hop: PoolAddress) -> None:
    """--via as people write it."""
    assert parse_via(text) == hop


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        (b"sip:a@Contoso.com", PoolAddress("contoso.com")),
        (b"sip:a@contoso.com:5070;transport=TCP", PoolAddress("contoso.com", 5070, "tcp")),
        (b"sip:a@contoso.com;maddr=192.0.2.1", PoolAddress("192.0.2.1")),
        (b"sip:a@[2001:DB8::1]", PoolAddress("2001:db8::1")),
        (b"sips:a@contoso.com;transport=tcp", PoolAddress("contoso.com", None, "tls")),
    ],
)
def test_next_hop(uri: bytes, hop: PoolAddress) -> None:
    """RFC 3263 §4: maddr before the host, a SIPS URI over TLS."""
    assert next_hop(parse_uri(uri)) == hop
