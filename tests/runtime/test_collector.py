"""The garbage collector doesn't look at all open requests at the rate at which they come."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chatredirect.runtime import collector
from chatredirect.runtime.collector import (
    FEW,
    MIDDLE,
    YOUNG,
    IdleCollector,
    make_full_collections_rare,
)
from tests.proxy.in_memory_proxy import FRONT_END, Caller, InMemoryProxy

PYTHONS = gc.get_threshold()
OPEN = 12_000


@contextmanager
def full_collections() -> Iterator[list[int]]:
    """A list that gets an item for each full collection in the block."""
    found: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start" and about["generation"] == 2:
            found.append(1)

    gc.collect()
    gc.freeze()  # what the test's process has: Python's own rule compares with it
    gc.collect()
    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*PYTHONS)
        gc.unfreeze()


def _open_requests() -> None:
    proxy = InMemoryProxy(transactions=OPEN, transactions_per_peer=OPEN)
    for _ in range(OPEN):
        proxy.deliver(Caller(proxy).write("INVITE"), proxy.client, FRONT_END)
    assert len(proxy.core.open) == OPEN


def test_requests_that_stay_open_cause_no_full_collection() -> None:
    with full_collections() as found:
        make_full_collections_rare()
        _open_requests()
        assert not found


def test_they_would_by_pythons_own_rule() -> None:
    """That of Python 3.11; 3.13 lets more objects be new before it looks."""
    with full_collections() as found:
        gc.set_threshold(YOUNG, MIDDLE, 10)
        _open_requests()
        assert found


def test_where_very_much_stays_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory stays bounded, whatever should make cycles some day."""
    monkeypatch.setattr(collector, "MOST", 2)
    with full_collections() as found:
        make_full_collections_rare()
        _open_requests()
        assert found


class Loop:
    """An event loop whose only timer rings when it is told to."""

    def __init__(self) -> None:
        self.call: Callable[[], None] | None = None

    def call_later(self, _: float, call: Callable[[], None]) -> "Loop":
        self.call = call
        return self

    def cancel(self) -> None:
        self.call = None

    def ring(self) -> None:
        assert self.call is not None
        self.call()


def _let_objects_stay() -> list[list[int]]:
    stay: list[list[int]] = []
    while not gc.get_count()[2]:
        stay.append([])
    return stay


def test_a_full_one_when_little_is_open() -> None:
    """And the next one only when ten thousand times as long has gone by as it took."""
    loop, open_ = Loop(), [FEW + 1]
    times = iter((10.0, 20.0, 20.005, 69.0, 71.0, 71.0))
    idle = IdleCollector(loop, lambda: open_[0], lambda: next(times))  # type: ignore[arg-type]
    with full_collections() as found:
        make_full_collections_rare()
        stay = _let_objects_stay()
        loop.ring()
        assert not found
        open_[0] = FEW
        loop.ring()
        assert len(found) == 1
        stay += _let_objects_stay()
        loop.ring()  # 49 s later
        assert len(found) == 1
        loop.ring()
        assert len(found) == 2
    idle.close()
    assert loop.call is None


def test_none_where_nothing_has_stayed_or_a_configuration_is_made() -> None:
    loop = Loop()
    idle = IdleCollector(loop, lambda: 0)  # type: ignore[arg-type]
    with full_collections() as found:
        loop.ring()
        assert not found
        stay = _let_objects_stay()
        gc.disable()
        try:
            loop.ring()
        finally:
            gc.enable()
        assert stay
        assert not found
    idle.close()
