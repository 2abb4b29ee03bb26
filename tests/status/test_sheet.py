"""A status drawn: whatever the daemon sends, another version's included, 80 columns hold it."""

import io
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from chatredirect.control.protocol import Json
from chatredirect.status.sheet import WIDTH, draw, endpoint_row, pool_row


def drawn(status: Mapping[str, Json]) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        draw(status, console)
    return captured.get()


def test_a_certificate_that_has_expired_or_soon_will() -> None:
    certificates = [
        {"file": "/etc/old.pem", "expires": 1e9, "days_left": -3},
        {"file": "/etc/soon.pem", "expires": 2e9, "days_left": 1},
    ]
    text = drawn({"certificates": certificates})
    assert "EXPIRED" in text
    assert "in 1 day" in text


def test_a_pool_whose_targets_are_down_says_why() -> None:
    target = {"target": "tls://192.0.2.20:5061", "state": "down", "last_ping": "no response"}
    pool = {
        "pool_fqdn": "pcpool.contoso.com",
        "usable": False,
        "why": "pcpool.contoso.com: its only target is down",
        "stale": "no name server answers",
        "targets": [target],
        "more_targets": 3,
    }
    text = drawn({"pools": {"count": 60, "usable": 59, "troubled": 1, "listed": [pool]}})
    for said in ("60 pools, 59 usable; 1 with a trouble", "down", "its only target", "STALE"):
        assert said in text
    assert "and 59 more: --all shows them" in text
    assert "STALE: no name server answers" in pool_row(pool)


NAMES = st.sampled_from(
    [
        *("certificates", "endpoints", "pools", "connections", "log", "configuration", "proxy"),
        *(
            "count",
            "listed",
            "by_peer",
            "answers",
            "drops",
            "targets",
            "uptime",
            "until",
            "expires",
        ),
        *("days_left", "usable", "state", "dns_age", "next_refresh", "last_reload", "listeners"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_whatever_comes_is_drawn(status: dict[str, Json]) -> None:
    for line in drawn(status).splitlines():
        assert line.isprintable()
    assert endpoint_row(status).isprintable()
    assert pool_row(status).replace("\n", "").isprintable()


def test_refusals_are_drawn_as_the_page_shows_them() -> None:
    """docs/commands.md, line by line."""
    now = 1_700_000_000.0
    named = {
        "peer": "192.0.2.10",
        "transport": "tls",
        "names": ["fe02.contoso.com"],
        "why": "no name of its certificate is allowed",
        "count": 12,
        "last": now - 120,
        "key": "tls.allowed_peers",
        "value": "fe02.contoso.com",
    }
    unnamed = {
        "peer": "192.0.2.77",
        "transport": "udp",
        "names": [],
        "why": "it isn't a trusted peer",
        "count": 4,
        "last": now - 3780,
        "key": "trusted_peers",
        "value": "192.0.2.77",
    }
    limit = {
        "key": "limits.connections",
        "limit": 10_000,
        "count": 31,
        "last": now - 300,
        "peer": "192.0.2.10",
    }
    refused = {"peers": [named, unnamed], "others": 7, "limits": [limit]}
    text = drawn({"now": now, "refused": refused})
    lines = [line.rstrip() for line in text.splitlines()]
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    section = page.partition("\n### Refused lately\n")[2]
    for line in filter(None, section.split("```")[1].splitlines()):
        assert line in lines
    assert "… and 7 refusals of others" in lines


def test_many_refusals_and_names_are_cut() -> None:
    row = {"peer": "192.0.2.1", "names": [f"fe{n}.contoso.com" for n in range(8)], "detail": "\x1b"}
    text = drawn({"refused": {"peers": [row] * 15}})
    assert "and 5 more" in text
    assert "… and 5 rows more: --json shows them" in text
    assert r"\x1b" in text
