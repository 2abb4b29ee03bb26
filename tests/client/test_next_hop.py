"""The parts of the client's side that need no socket."""

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.client.next_hop import next_hop, parse_via
from chatredirect.client.timing import Resending
from chatredirect.net.target import PoolAddress, Target
from chatredirect.probe.exchange import ExchangeStep
from chatredirect.probe.ladder import WIDTH, heading, rung, whole
from chatredirect.sip.uri import parse_uri

TARGET = Target("udp", "192.0.2.20", 5060, "pcpool.contoso.com")
FAR = Target("tls", "2001:db8:1111:2222:3333:4444:5555:6666", 50610, "x")


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


@given(
    seconds=st.floats(0, 3600),
    sent=st.booleans(),
    summary=st.binary(max_size=300),
    remark=st.text(max_size=100),
    message=st.binary(max_size=300),
)
def test_ladder(seconds: float, sent: bool, summary: bytes, remark: str, message: bytes) -> None:
    """Whatever a message holds: one printable line of 80 columns; all of it in printable lines."""
    step = ExchangeStep(seconds, sent, FAR, summary, remark, message)
    line = rung(step, TARGET)
    assert line.isprintable()
    assert len(line) <= WIDTH + len("1000000")
    if seconds < 100:
        assert len(line) == WIDTH
    assert all(shown.isprintable() for shown in whole(step))


@pytest.mark.parametrize("local", ["192.0.2.1:5060", "[2001:db8:1:2:3:4:5:6]:65535"])
def test_heading(local: str) -> None:
    """Both ends stand above their uprights, on two lines where one is too short."""
    for target in (TARGET, FAR):
        lines = heading(local, target)
        assert lines[0].startswith(" " * 12 + local)
        assert lines[-1].endswith(str(target))
        assert len(lines[-1]) == WIDTH
