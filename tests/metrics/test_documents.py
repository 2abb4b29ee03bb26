"""What docs/ and deploy/ say of metrics is what there is."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from chatredirect.metrics.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
RULES = yaml.safe_load((ROOT / "deploy/prometheus/chatredirect.rules.yml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/grafana/chatredirect.json").read_text())

PROCESS = set(re.findall(r"`(process_\w+)`", PAGE))
SERIES = {
    name + suffix
    for name, family in CATALOGUE.items()
    for suffix in (("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",))
}
#: What Prometheus itself says of what it scrapes.
OF_PROMETHEUS = {"up"}


def alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """Every query of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def named(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:chatredirect_\w+|process_\w+|up(?=\{))", query))


def test_the_page_has_every_metric() -> None:
    """In the order of the code, with kind, labels and meaning."""
    rows = re.findall(r"^\| `(chatredirect_\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert rows == [
        (
            name,
            f"{each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help}.",
        )
        for name, each in CATALOGUE.items()
    ]


def test_the_page_has_every_alert() -> None:
    rows = re.findall(r"^\| `(Chatredirect\w+)` \|", PAGE, flags=re.MULTILINE)
    assert rows == [rule["alert"] for rule in alerts()]


def test_alerts_name_metrics_that_there_are() -> None:
    for rule in alerts():
        assert named(rule["expr"])
        assert named(rule["expr"]) <= SERIES | OF_PROMETHEUS, rule["alert"]


def test_the_dashboard_names_metrics_that_there_are() -> None:
    assert len(queries()) > 30
    for query in queries():
        assert named(query)
        assert named(query) <= SERIES | PROCESS, query


def test_the_dashboard_shows_every_metric() -> None:
    """But for those that only say what another one says, or are there to be looked at singly."""
    shown = set().union(*map(named, queries()))
    missing = {
        name for name in CATALOGUE if not {name, f"{name}_bucket"} & shown and name not in NOT_SHOWN
    }
    assert not missing


NOT_SHOWN = {
    "chatredirect_usage_store_failing",
    "chatredirect_usage_written_time_seconds",
    "chatredirect_draining",
    "chatredirect_configuration_time_seconds",
    "chatredirect_endpoints",
    "chatredirect_dns_ignored_total",
    "chatredirect_dns_cache_hits_total",
    "chatredirect_dns_joined_total",
    "chatredirect_pool_refused_targets_total",
    "chatredirect_pool_stale",
    "chatredirect_pool_targets",
    "chatredirect_pool_live_targets",
    "chatredirect_target_up",
    "chatredirect_target_changes_total",
    "chatredirect_pings_total",
}


def test_labels_in_queries_are_the_metrics_own() -> None:
    """Besides those that Prometheus adds, job and instance, and a histogram's le."""
    for query in (*queries(), *(rule["expr"] for rule in alerts())):
        for name, selector in re.findall(r"(chatredirect_\w+)\{([^}]*)\}", query):
            family = CATALOGUE[re.sub(r"_(bucket|count|sum)$", "", name)]
            used = set(re.findall(r"(\w+)\s*[=!]", selector))
            assert used <= {*family.labels, "job", "instance", "le"}, query
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            (name,) = named(query) if len(named(query)) == 1 else ("",)
            if name:
                family = CATALOGUE[re.sub(r"_(bucket|count|sum)$", "", name)]
                by = {label.strip() for label in grouped.split(",")}
                assert by <= {*family.labels, "job", "instance", "le"}, query


def test_panels_dont_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
