"""Times of the cache, played on a clock of numbers."""

import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.dns.answer import Answer, AnswerKind
from chatredirect.dns.cache import Key, RecordCache
from tests.dns.fake_dns import dns_settings

KEY: Key = ("pcpool.contoso.com", dns.rdatatype.A)


def answer(ttl: float, *records: str) -> Answer:
    kind = AnswerKind.RECORDS if records else AnswerKind.NODATA
    return Answer(kind, records, ttl, KEY[0])


def cache(capacity: int = 100, **settings: object) -> RecordCache:
    return RecordCache(dns_settings(**settings), capacity)


@given(st.floats(0, 1e9), st.floats(0.05, 0.95))
def test_refresh_before_the_end_of_the_ttl(ttl: float, fraction: float) -> None:
    """A refresh is due before the TTL ends, between the floor and the ceiling."""
    known = cache(ttl_floor=1, ttl_ceiling=3600)
    entry = known.answered(KEY, answer(ttl, "192.0.2.1"), 1000.0, fraction)
    assert 1001.0 <= entry.refresh_at <= 1000.0 + max(1.0, 0.95 * 3600)
    if 2 / fraction < ttl <= 3600:
        assert entry.refresh_at == pytest.approx(1000 + fraction * ttl)
        assert entry.refresh_at < 1000 + ttl


def test_current_until_the_refresh_is_due() -> None:
    """Until then nobody is asked; then the answer is asked for again while it still serves."""
    known = cache()
    known.answered(KEY, answer(100, "192.0.2.1"), 0.0, 0.9)
    assert known.current(KEY, 70.0) is not None
    assert known.current(KEY, 90.0) is None


def test_negative_answers_are_kept_for_the_soa_minimum() -> None:
    """RFC 2308 §5: a no has a TTL as well."""
    known = cache()
    known.answered(KEY, answer(100), 0.0, 0.9)
    entry = known.current(KEY, 70.0)
    assert entry is not None
    assert entry.answer is not None
    assert entry.answer.kind is AnswerKind.NODATA
    assert known.current(KEY, 90.0) is None


def test_failures_are_retried_within_ten_seconds() -> None:
    """RFC 8767 §5: the pause after failures grows, but never over `retry`."""
    known = cache(retry=10)
    pauses = []
    now = 0.0
    for _ in range(20):
        entry = known.failed(KEY, "no answer", now, now, 0.95)
        pauses.append(entry.refresh_at - now)
        now = entry.refresh_at
    assert pauses[0] < 2
    assert pauses == sorted(pauses)
    assert max(pauses) <= 10


def test_time_spent_waiting_counts_as_pause() -> None:
    """A question that took 6 s to fail is put again 10 s after it was put, not 16."""
    known = cache(retry=10)
    for _ in range(10):
        entry = known.failed(KEY, "no answer", 100.0, 106.0, 0.95)
    assert 106.5 <= entry.refresh_at <= 110.0


def test_stale_answer_serves_up_to_its_limit() -> None:
    """RFC 8767 §4: the last good answer serves past its TTL, up to the limit."""
    known = cache(stale=100)
    known.answered(KEY, answer(10, "192.0.2.1"), 0.0, 0.9)
    entry = known.failed(KEY, "no answer", 9.0, 9.0, 0.9)
    assert known.usable(entry, 9.0)
    assert not entry.is_stale(9.5)
    assert entry.is_stale(10.0)
    assert known.usable(entry, 109.0)
    assert not known.usable(entry, 110.0)
    assert known.failed(KEY, "no answer", 111.0, 111.0, 0.9).answer is None


def test_success_ends_the_failures() -> None:
    """After a good answer the next failure is the first again."""
    known = cache()
    for now in range(5):
        known.failed(KEY, "no answer", float(now), float(now), 0.9)
    entry = known.answered(KEY, answer(60, "192.0.2.1"), 10.0, 0.9)
    assert entry.failure is None
    assert known.failed(KEY, "no answer", 60.0, 60.0, 0.9).refresh_at < 62


def test_leftover_ttl_of_a_caching_server_is_waited_out() -> None:
    """A caching server that says "3 s left" doesn't cause a flurry of questions."""
    known = cache()
    now, ends = 0.0, 300.0
    asked = 0
    while now < 3000.0:
        if now >= ends:
            ends += 300.0 * (1 + (now - ends) // 300.0)
        entry = known.answered(KEY, answer(ends - now, "192.0.2.1"), now, 0.9)
        asked += 1
        now = entry.refresh_at
    assert asked <= 2 * 3000 / 300 + 2


def test_capacity_is_kept() -> None:
    """The least recently used go first; nothing grows without bound."""
    known = cache(capacity=10)
    for number in range(100):
        known.answered((f"h{number}", dns.rdatatype.A), answer(60, "192.0.2.1"), 0.0, 0.9)
        assert known.current(("h0", dns.rdatatype.A), 1.0) is not None
    assert len(known) == 10


def test_orphans_are_swept() -> None:
    """What nobody asks for any more is forgotten some minutes after it was due."""
    known = cache()
    known.answered(KEY, answer(60, "192.0.2.1"), 0.0, 0.9)
    _sweep(known, 100.0)
    assert len(known) == 1
    _sweep(known, 1000.0)
    assert len(known) == 0


def test_sweeping_many_gives_way() -> None:
    """No request waits until a hundred thousand entries have been looked at."""
    known = cache(capacity=10_000)
    for number in range(10_000):
        known.answered((f"h{number}", dns.rdatatype.A), answer(60, "192.0.2.1"), 0.0, 0.9)
    assert _sweep(known, 1000.0) >= 10
    assert len(known) == 0


def _sweep(known: RecordCache, now: float) -> int:
    """Do all of it; in how many steps."""
    return len(list(known.sweep(now)))
