"""Every alert fires when it should, by Prometheus' own `promtool test rules`, and not before."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/chatredirect.rules.yml"
PROMTOOL = shutil.which("promtool")
WHO = {"job": "chatredirect", "instance": "a:9464"}

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="no promtool (apt install prometheus)")

LAST_USE = "chatredirect_usage_last_use_time_seconds"
#: What is so while nothing is wrong. Values are promtool's: the first, and what comes each minute.
FINE = {
    "up": "1+0x60",
    f'{LAST_USE}{{endpoint="sip:ocschat@contoso.com"}}': "-2589000+60x60",
    "chatredirect_ready": "1+0x60",
    "chatredirect_draining": "0+0x60",
    'chatredirect_pools{state="usable"}': "3+0x60",
    'chatredirect_pools{state="stale"}': "0+0x60",
    'chatredirect_pools{state="down"}': "0+0x60",
    'chatredirect_pools{state="failed"}': "0+0x60",
    'chatredirect_pools{state="waiting"}': "0+0x60",
    'chatredirect_requests_total{status="302"}': "0+600x60",
    'chatredirect_requests_total{status="408"}': "0+0x60",
    'chatredirect_requests_total{status="480"}': "0+10x60",
    'chatredirect_requests_total{status="500"}': "0+0x60",
    'chatredirect_requests_total{status="503"}': "0+0x60",
    'chatredirect_targets{state="up"}': "3+0x60",
    'chatredirect_targets{state="down"}': "0+0x60",
    'chatredirect_certificate_expiry_time_seconds{file="a.pem"}': f"{90 * 86400}+0x60",
    'chatredirect_certificate_renewals_total{result="refused"}': "0+0x60",
    'chatredirect_reloads_total{result="refused"}': "1+0x60",
    'chatredirect_connections{listener="tcp://192.0.2.1:5060"}': "10+0x60",
    'chatredirect_connections{listener="tls://192.0.2.1:5061"}': "20+0x60",
    "chatredirect_connections_limit": "10000+0x60",
    'chatredirect_refusals_total{reason="name_not_allowed"}': "0+0x60",
    'chatredirect_refusals_total{reason="limits.dialogs"}': "0+0x60",
    'chatredirect_connections_refused_total{reason="handshakes"}': "7+0x60",
    'chatredirect_lookup_answers_total{result="found"}': "0+600x60",
    'chatredirect_lookup_answers_total{result="not_found"}': "0+10x60",
    "chatredirect_lookups": "3+0x60",
    "chatredirect_lookups_limit": "20000+0x60",
    "chatredirect_proxy_open_requests": "3+0x60",
    "chatredirect_proxy_open_requests_limit": "20000+0x60",
    'chatredirect_proxy_failures_total{reason="timeout"}': "4+0x60",
    'chatredirect_receive_buffer_drops_total{listener="udp://192.0.2.1:5060"}': "5+0x60",
    'chatredirect_event_loop_lag_seconds_bucket{le="0.05"}': "0+120x60",
    'chatredirect_event_loop_lag_seconds_bucket{le="0.25"}': "0+120x60",
    'chatredirect_event_loop_lag_seconds_bucket{le="+Inf"}': "0+120x60",
    'chatredirect_failures_total{listener="udp://192.0.2.1:5060"}': "0+0x60",
    "chatredirect_log_lines_dropped_total": "0+0x60",
    "chatredirect_usage_store_failing": "0+0x60",
}

#: Alert -> what must be different for it, and the labels that it fires with besides `WHO`.
FIRES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "ChatredirectGone": ({"up": "0+0x60"}, {}),
    "ChatredirectNotReady": ({"chatredirect_ready": "0+0x60"}, {}),
    "ChatredirectPoolWithoutTarget": ({'chatredirect_pools{state="down"}': "1+0x60"}, {}),
    "ChatredirectUnavailable": ({'chatredirect_requests_total{status="480"}': "0+60x60"}, {}),
    "ChatredirectLookupsFail": (
        {'chatredirect_lookup_answers_total{result="not_found"}': "0+60x60"},
        {},
    ),
    "ChatredirectDnsFails": ({'chatredirect_pools{state="stale"}': "1+0x60"}, {"state": "stale"}),
    "ChatredirectTargetDown": (
        {'chatredirect_targets{state="down"}': "1+0x60"},
        {"state": "down"},
    ),
    "ChatredirectCertificateExpires": (
        {'chatredirect_certificate_expiry_time_seconds{file="a.pem"}': f"{13 * 86400}+0x60"},
        {"file": "a.pem"},
    ),
    "ChatredirectCertificateExpiresSoon": (
        {'chatredirect_certificate_expiry_time_seconds{file="a.pem"}': "86400+0x60"},
        {"file": "a.pem"},
    ),
    "ChatredirectCertificateRefused": (
        {'chatredirect_certificate_renewals_total{result="refused"}': "0+0x29 1+0x30"},
        {"result": "refused"},
    ),
    "ChatredirectReloadRefused": (
        {'chatredirect_reloads_total{result="refused"}': "0+0x29 1+0x30"},
        {"result": "refused"},
    ),
    "ChatredirectConnectionsNearLimit": (
        {'chatredirect_connections{listener="tcp://192.0.2.1:5060"}': "7990+0x60"},
        {},
    ),
    "ChatredirectConnectionsRefused": (
        {'chatredirect_connections_refused_total{reason="handshakes"}': "0+10x60"},
        {"reason": "handshakes"},
    ),
    "ChatredirectNameNotAllowed": (
        {'chatredirect_refusals_total{reason="name_not_allowed"}': "0+1x60"},
        {},
    ),
    "ChatredirectOverLimit": (
        {'chatredirect_refusals_total{reason="limits.dialogs"}': "0+1x60"},
        {"reason": "limits.dialogs"},
    ),
    "ChatredirectLookupsNearLimit": ({"chatredirect_lookups": "16001+0x60"}, {}),
    "ChatredirectProxyNearLimit": ({"chatredirect_proxy_open_requests": "16001+0x60"}, {}),
    "ChatredirectTargetsFail": (
        {'chatredirect_proxy_failures_total{reason="timeout"}': "0+60x60"},
        {},
    ),
    "ChatredirectDatagramsLost": (
        {
            'chatredirect_receive_buffer_drops_total{listener="udp://192.0.2.1:5060"}': "0+1x60",
        },
        {},
    ),
    "ChatredirectLate": (
        {'chatredirect_event_loop_lag_seconds_bucket{le="0.05"}': "0+110x60"},
        {},
    ),
    "ChatredirectFault": (
        {'chatredirect_failures_total{listener="udp://192.0.2.1:5060"}': "0+0x29 1+0x30"},
        {},
    ),
    "ChatredirectLogLost": ({"chatredirect_log_lines_dropped_total": "0+0x29 9+0x30"}, {}),
    "ChatredirectUsageNotStored": ({"chatredirect_usage_store_failing": "1+0x60"}, {}),
    "ChatredirectEndpointQuiet": (
        # the time of promtool begins in 1970
        {f'{LAST_USE}{{endpoint="sip:ocschat@contoso.com"}}': "-2591000+0x60"},
        {"endpoint": "sip:ocschat@contoso.com", "instance": ""},
    ),
}
#: The other alerts that fire along with one.
ALONG = {"ChatredirectCertificateExpiresSoon": ["ChatredirectCertificateExpires"]}
FIRED_AT = "40m"


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def series(different: dict[str, str]) -> list[dict[str, str]]:
    """All series, with labels that say whose they are."""
    assert different.keys() <= FINE.keys()
    who = ",".join(f'{name}="{value}"' for name, value in WHO.items())
    return [
        {
            "series": f"{name[:-1]},{who}}}" if "{" in name else f"{name}{{{who}}}",
            "values": values,
        }
        for name, values in (FINE | different).items()
    ]


def expected(alert: str, labels: dict[str, str]) -> dict[str, Any]:
    """An alert that fires, with its sentences written out."""
    # a label that is empty isn't there
    rule, labels = rules()[alert], {k: v for k, v in (WHO | labels).items() if v}
    annotations = {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        for name, text in rule["annotations"].items()
    }
    return {"exp_labels": labels | rule["labels"], "exp_annotations": annotations}


def verdict(tmp_path: Path, different: dict[str, str], firing: dict[str, dict[str, str]]) -> str:
    """What promtool says if exactly these alerts are to fire, with these labels."""
    assert PROMTOOL is not None
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(different),
                "alert_rule_test": [
                    {
                        "eval_time": FIRED_AT,
                        "alertname": alert,
                        "exp_alerts": [expected(alert, firing[alert])] if alert in firing else [],
                    }
                    for alert in rules()
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_there_is_a_test_for_every_alert() -> None:
    assert list(rules()) == list(FIRES)


def test_none_fires_while_nothing_is_wrong(tmp_path: Path) -> None:
    assert verdict(tmp_path, {}, {}) == ""


def test_this_test_can_fail(tmp_path: Path) -> None:
    assert "ChatredirectGone" in verdict(tmp_path, {"up": "0+0x60"}, {})


@pytest.mark.parametrize("alert", FIRES)
def test_it_fires(tmp_path: Path, alert: str) -> None:
    """And no other does."""
    different, labels = FIRES[alert]
    also = {each: FIRES[each][1] for each in ALONG.get(alert, ())}
    assert verdict(tmp_path, different, {alert: labels} | also) == ""


@pytest.mark.parametrize("status", [408, 480, 500, 503])
def test_callers_are_turned_away_with_more_than_one_status(tmp_path: Path, status: int) -> None:
    """408 and 500 are what the proxy says for a pool that it can't reach; nothing else would."""
    different = {f'chatredirect_requests_total{{status="{status}"}}': "0+60x60"}
    assert verdict(tmp_path, different, {"ChatredirectUnavailable": {}}) == ""


def test_a_daemon_that_drains_is_no_alarm(tmp_path: Path) -> None:
    """It isn't ready then, and that is as it should be."""
    different = {"chatredirect_ready": "0+0x60", "chatredirect_draining": "1+0x60"}
    assert verdict(tmp_path, different, {}) == ""


@pytest.mark.parametrize("command", [["rules", RULES], ["config", RULES.parent / "scrape.yml"]])
def test_prometheus_can_read_them(command: list[Any]) -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
