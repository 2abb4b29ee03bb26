"""The table of refusals: bounded, and no flood of strangers pushes out what an operator needs."""

import pytest

from chatredirect.net.refusals import (
    LATELY,
    ROWS,
    RefusalReason,
    Refusals,
    RefusedPeer,
    Standing,
    standing_of,
)
from chatredirect.sip.response import Peer
from tests.held_clock import HeldClock

NOT_ALLOWED, NOT_TRUSTED = RefusalReason.NAME_NOT_ALLOWED, RefusalReason.NOT_TRUSTED
FRONT_END = Peer(b"192.0.2.10", 5061, names=("fe02.contoso.com",))


def stranger(number: int) -> Peer:
    return Peer(f"198.51.{number // 256}.{number % 256}".encode(), 5060)


def row_of(refusals: Refusals, host: str) -> RefusedPeer | None:
    return next((row for row in refusals.rows() if row.host == host), None)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_flood_of_strangers_leaves_a_front_end_where_it_is(transport: str) -> None:
    """It has proved its names; strangers have places of their own, so many and no more."""
    refusals = Refusals()
    refusals.note(NOT_ALLOWED, FRONT_END, "tls", "its certificate names fe02.contoso.com")
    for number in range(20_000):
        refusals.note(NOT_TRUSTED, stranger(number), transport)
    rows = list(refusals.rows())
    assert (rows[0].host, rows[0].names) == ("192.0.2.10", ("fe02.contoso.com",)), "known first"
    assert len(rows) == 1 + ROWS
    assert refusals.others + sum(row.count for row in rows) == 20_001


def test_who_is_refused_again_and_again_outlives_those_who_come_once() -> None:
    """A front end over UDP that isn't in trusted_peers: only that tells it from a stranger."""
    refusals = Refusals()
    unlisted = Peer(b"192.0.2.10", 5060)
    for number in range(20_000):
        refusals.note(NOT_TRUSTED, stranger(number), "udp")
        if number % 20 == 0:  # 64 rows go by in the time of three of its requests
            refusals.note(NOT_TRUSTED, unlisted, "udp")
    row = row_of(refusals, "192.0.2.10")
    assert row is not None
    assert row.count > 900


def test_forged_addresses_dont_push_out_connections() -> None:
    """Over TCP and TLS an address is proved; over UDP anybody can forge one."""
    refusals = Refusals()
    refusals.note(RefusalReason.NO_CERTIFICATE, Peer(b"192.0.2.10", 40312), "tls")
    for number in range(1000):
        refusals.note(NOT_TRUSTED, stranger(number), "udp")
    assert row_of(refusals, "192.0.2.10") is not None


@pytest.mark.parametrize(
    ("peer", "transport", "standing"),
    [
        (Peer(b"192.0.2.1", 1, trusted=True), "udp", Standing.KNOWN),
        (FRONT_END, "tls", Standing.KNOWN),
        (Peer(b"192.0.2.1", 1), "tls", Standing.CONNECTED),
        (Peer(b"192.0.2.1", 1), "tcp", Standing.CONNECTED),
        (Peer(b"192.0.2.1", 1), "udp", Standing.UNPROVED),
    ],
)
def test_what_is_known_of_a_peer(peer: Peer, transport: str, standing: Standing) -> None:
    assert standing_of(peer, transport) is standing


def test_a_row_counts_and_has_its_first_and_its_last_time() -> None:
    clock = HeldClock(1_700_000_000.0)
    refusals = Refusals(clock)
    refusals.note(NOT_ALLOWED, FRONT_END, "tls", "first")
    clock.now += 60
    refusals.note(NOT_ALLOWED, Peer(b"192.0.2.10", 40000, names=FRONT_END.names), "tls", "last")
    (row,) = refusals.rows()
    assert (row.count, row.last - row.first, row.detail) == (2, 60.0, "last")
    total = refusals.totals[NOT_ALLOWED]
    assert (total.count, total.last - total.first, total.host) == (2, 60.0, "192.0.2.10")


def test_after_a_day_a_row_is_gone_and_the_sum_stays() -> None:
    clock = HeldClock(1_700_000_000.0)
    refusals = Refusals(clock)
    refusals.note(NOT_ALLOWED, FRONT_END, "tls")
    clock.now += LATELY + 1
    assert not list(refusals.rows())
    assert refusals.totals[NOT_ALLOWED].count == 1


def test_what_a_certificate_and_a_message_say_is_cut() -> None:
    """A certificate may have thousands of names, each as long as it likes."""
    refusals = Refusals()
    refusals.note(NOT_ALLOWED, Peer(b"192.0.2.1", 1, names=("x" * 9999,) * 999), "tls", "y" * 9999)
    (row,) = refusals.rows()
    assert len(row.names) == 8
    assert max(map(len, row.names)) == 253
    assert len(row.detail) == 256
