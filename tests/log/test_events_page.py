"""docs/log-events.md lists what the code logs: every event, its levels and its fields."""

import re

import pytest

from chatredirect.pools.pool import PoolEvent
from tests.installed.readme import ROOT
from tests.log.logged_events import LoggedEvent, logged_events

_ROW = re.compile(r"(?m)^\| `([a-z_]+)` \| ([a-z, ]+) \| ([^|]*)\| [^|]+ \|$")
#: One statement logs all of these, so the source doesn't tell whose a field is.
_OF_A_POOL = {event.value for event in PoolEvent}


def _listed() -> dict[str, tuple[set[str], set[str]]]:
    """What the page says: levels and fields by event."""
    text = (ROOT / "docs/log-events.md").read_text(encoding="utf-8")
    rows = _ROW.findall(text)
    names = [name for name, _, _ in rows]
    assert len(names) == len(set(names)), "an event stands there twice"
    return {
        name: (set(levels.split(", ")), set(re.findall(r"`([a-z_]+)`", fields)))
        for name, levels, fields in rows
    }


LISTED, LOGGED = _listed(), logged_events()


def test_the_page_lists_just_the_events_that_are_logged() -> None:
    assert sorted(LISTED) == sorted(LOGGED)


@pytest.mark.parametrize("name", sorted(LISTED.keys() & LOGGED.keys()))
def test_levels_and_fields(name: str) -> None:
    levels, fields = LISTED[name]
    logged: LoggedEvent = LOGGED[name]
    assert levels == logged.levels, logged.places
    if name in _OF_A_POOL:
        assert fields <= logged.fields
    else:
        assert fields == logged.fields, logged.places


def test_fields_of_what_happens_to_a_pool() -> None:
    together = set().union(*(LISTED[name][1] for name in _OF_A_POOL))
    assert together == set().union(*(LOGGED[name].fields for name in _OF_A_POOL))


def test_an_event_is_read_where_it_is_logged() -> None:
    """What this test stands on: literals, dictionaries that are filled, and callers' keywords."""
    assert LOGGED["stopped"].fields == {"answers", "drops"}
    assert "seconds" in LOGGED["log_level_changed"].fields
    assert {"pool", "transport"} <= LOGGED["pool_up"].fields
    assert LOGGED["connection_closed"].levels == {"info", "warning"}
    assert "thread" in LOGGED["unhandled_exception"].fields


def test_other_pages_name_no_event_that_is_gone() -> None:
    """operations.md names events in its text."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)*_(?:failed|lost|stored|not_kept|told))`", text))
    assert named
    assert named <= set(LOGGED)
