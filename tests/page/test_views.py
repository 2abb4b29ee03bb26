"""The views as functions: whatever a text holds, it stays text; a long page is many pieces."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from chatredirect.page import views
from chatredirect.page.live_texts import MOST_ROWS

HOSTILE = "\"'><script>alert(1)</script>\u202e\u2066\x1b[2J\x00"
VERDICT: dict[str, Any] = {
    "endpoint": "sip:a@contoso.com",
    "state": "in use",
    "last": {
        "caller": "sip:b@contoso.com",
        "client": "c",
        "version": "1",
        "at": "2026-11-28T12:00Z",
    },
    "last_stranger": {"caller": "d", "client": "e", "version": "2", "at": "2026-11-28T12:00Z"},
    "callers_7_days": 1,
    "callers_30_days": 2,
    "clients_30_days": ["c 1"],
    "not_known": ["what came before"],
}
CALLER = {
    "caller": "sip:b@contoso.com",
    "endpoint": "sip:a@contoso.com",
    "client": "c 1",
    "trusted": True,
    "uses": 3,
    "first": "2026-11-01T00:00Z",
    "last": "2026-11-28T12:00Z",
}


def endpoint(number: int = 0) -> dict[str, Any]:
    return {
        "sip_address": f"sip:room{number}@contoso.com",
        "display_name": "Room",
        "mode": "redirect",
        "state": "active",
        "pool_fqdn": "pcpool.contoso.com",
        "port": 5061,
        "transport": "tls",
        "trouble": "no target works",
        "requests": 3,
        "answers": {"302": 3},
        "source": "chatredirect.yaml:3",
        "usage": {
            "uses_today": 1,
            "uses_30_days": 2,
            "strangers_30_days": 3,
            "last": "2026-11-28T12:00Z",
        },
        "verdict": VERDICT,
    }


def pool() -> dict[str, Any]:
    target = {"target": "tls 192.0.2.20:5061", "host": "a", "state": "down", "last_ping": "timeout"}
    return {
        "pool_fqdn": "pcpool.contoso.com",
        "port": 5061,
        "transport": "tls",
        "usable": False,
        "why": "no target works",
        "stale": "SERVFAIL",
        "dns_age": 3.5,
        "next_refresh": 20.0,
        "notes": [],
        "targets": [target],
        "more_targets": 2,
    }


def status(count: int = 1) -> dict[str, Any]:
    refused = {
        "peer": "192.0.2.9",
        "transport": "tls",
        "names": ["old.contoso.com"],
        "why": "it isn't a trusted peer",
        "detail": "more",
        "count": 3,
        "last": 1_790_000_000.5,
        "key": "trusted_peers",
        "value": "192.0.2.9",
    }
    return {
        "version": "1.0",
        "now": 1_790_000_000.5,
        "started": 1_780_000_000.5,
        "uptime": 99.0,
        "draining": True,
        "configuration": {
            "file": "/etc/chatredirect/chatredirect.yaml",
            "files": 2,
            "in_force_since": 1_780_000_000.5,
            "files_differ": True,
            "reloads": {
                "done": 1,
                "refused": 1,
                "history": [{"at": 1_780_000_000.5, "what": "refused: line 3"}],
            },
        },
        "listeners": [{"url": "udp://192.0.2.1:5060"}],
        "certificates": [{"file": "tls.pem", "expires": 1_790_000_000, "days_left": -1}],
        "answers": {"302": 3},
        "drops": {"busy": 2},
        "malformed": {"no_via": 2},
        "connections": {
            "open": 1,
            "most": 9,
            "sent_away": [{"peer": "192.0.2.8", "reason": "rate", "at": 1_780_000_000.5}],
        },
        "refused": {
            "peers": [refused],
            "others": 3,
            "limits": [
                {"key": "limits.a", "limit": None, "count": 2, "last": None, "peer": "192.0.2.7"}
            ],
        },
        "endpoints": {
            "count": count,
            "by_mode": {"redirect": count},
            "by_state": {"active": count},
            "troubled": count,
        },
        "pools": {"count": 1, "usable": 0, "troubled": 1},
    }


def usage(days: int = 3, clients: int = 2) -> dict[str, Any]:
    today = date(2026, 11, 28)
    rows = [
        {
            "day": (today - timedelta(ago)).isoformat(),
            "client": f"Client {client}",
            "uses": 1 + (ago * client) % 7,
            "strangers": client,
        }
        for ago in range(days - 1, -1, -1)
        for client in range(clients)
    ]
    found = {"fault": None, "since": "2025-11-29", "today": today.isoformat(), "by_day": rows}
    return {**found, "caller": "b", "callers": [CALLER], "more": True}


def made_hostile(value: Any, name: str = "") -> Any:
    """The same with markup, marks and controls at the end of each text; days must stay days."""
    if isinstance(value, str):
        return value if name in ("day", "since", "today") else value + HOSTILE
    if isinstance(value, dict):
        return {key: made_hostile(each, key) for key, each in value.items()}
    return [made_hostile(each, name) for each in value] if isinstance(value, list) else value


def all_views() -> Iterator[tuple[str, Any]]:
    def h(value: Any) -> Any:
        return made_hostile(value)

    yield "overview", views.overview(h(status()), [h(endpoint())], [h(pool())], h(usage()))
    yield "endpoint", views.endpoint_page(h(status()), h(endpoint()), h(usage()))
    yield "search", views.search_page(h(status()), h(usage()))
    yield "trace", views.trace_page(h(status()), {"from": HOSTILE, "call_id": HOSTILE})
    yield "login", views.login_page(HOSTILE, HOSTILE)
    yield "problem", views.problem_page(404, HOSTILE)
    fault = {**usage(0), "fault": "the ledger can't be read" + HOSTILE, "callers": []}
    yield "fault", views.endpoint_page(status(), endpoint(), fault)


@pytest.mark.parametrize(("name", "pieces"), list(all_views()))
def test_every_text_stays_text(name: str, pieces: Iterator[str]) -> None:
    html = "".join(pieces)
    assert "&lt;script&gt;alert(1)" in html
    assert re.findall(r"<script(?! src=\"/static/\w+\.js\" defer></script>)", html) == []
    assert all(each.isprintable() or each == "\n" for each in html)
    for tag in re.findall(r"<[^>]*>", html):
        assert "alert(" not in tag.replace("&gt;alert(", "").replace("%3Ealert(", ""), tag


def test_live_values_are_text_without_what_cant_be_seen() -> None:
    values = views.live_values(
        made_hostile(status()), [made_hostile(endpoint())], [made_hostile(pool())]
    )
    assert all(each.isprintable() or each == "\n" for text in values.values() for each in text)


def test_each_live_value_has_its_element_with_the_same_text() -> None:
    """So that nothing changes on the page when the first values come."""
    endpoints, pools = [endpoint(number) for number in range(3)], [pool()]
    html = "".join(views.overview(status(3), endpoints, pools, usage()))
    values = views.live_values(status(3), endpoints, pools)
    shown = dict(re.findall(r'id="([^"]+)"[^>]*>([^<]*)<', html))
    assert {name: shown.get(name) for name in values} == {
        name: text.replace("'", "&#39;") for name, text in values.items()
    }


def test_no_style_and_no_script_stands_in_the_html() -> None:
    """Content-Security-Policy forbids both."""
    for _, pieces in all_views():
        html = "".join(pieces)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:", html)


def test_a_stack_of_bars() -> None:
    """Strangers and the clients that are used least share a colour each; all have their place."""
    rows = [
        {"day": "2026-11-27", "client": f"Client {n}", "uses": 10 - n, "strangers": 0}
        for n in range(9)
    ]
    rows.append({"day": "2026-11-28", "client": "Client 0", "uses": 0, "strangers": 52})
    shown = {"fault": None, "since": "2025-11-29", "today": "2026-11-28", "by_day": rows}
    html = "".join(
        views.endpoint_page(status(), endpoint(), {**shown, "callers": [], "more": False})
    )
    bars = re.findall(r'<rect class="(c\d)" x="(\d+)" y="([\d.]+)" [^>]*height="([\d.]+)"><', html)
    assert [each[0] for each in bars] == ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]
    assert "2026-11-27, other clients: 9" in html
    first = [(float(y), float(height)) for _, x, y, height in bars if x == bars[0][1]]
    assert sum(height for _, height in first) == pytest.approx(100, abs=0.1)
    assert [y + height for y, height in first[1:]] == pytest.approx([y for y, _ in first[:-1]])
    assert float(bars[-1][3]) == pytest.approx(96.3, abs=0.1)


def test_without_uses_and_without_a_ledger() -> None:
    html = "".join(views.overview(status(), [], [], usage(0)))
    assert "No uses since 2025-11-29." in html
    html = "".join(views.overview(status(), [], [], {**usage(0), "fault": "no ledger is kept"}))
    assert "no ledger is kept" in html


def test_before_a_configuration_is_in_force() -> None:
    nothing = {**status(0), "pools": None, "connections": None}
    assert "No pools." in "".join(views.overview(nothing, [], [], usage()))


def test_more_endpoints_than_are_shown() -> None:
    endpoints = [endpoint(number) for number in range(MOST_ROWS + 5)]
    endpoints[: MOST_ROWS + 4] = [{**each, "trouble": ""} for each in endpoints[: MOST_ROWS + 4]]
    html = "".join(views.overview(status(9000), endpoints, [], usage()))
    assert html.count('scope="row"><a href="/endpoint?') == MOST_ROWS
    assert f"And {9000 - MOST_ROWS:,} more" in html
    assert f"sip:room{MOST_ROWS + 4}@contoso.com</bdi>" in html, "one with a trouble comes first"


def test_a_long_page_comes_in_small_pieces() -> None:
    """The server serves SIP between two of them."""
    endpoints = [endpoint(number) for number in range(MOST_ROWS)]
    pieces = list(views.overview(status(MOST_ROWS), endpoints, [pool()], usage(365, 4)))
    assert max(map(len, pieces)) < 16_384
    assert len(pieces) > 500
