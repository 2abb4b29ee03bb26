"""The mode proxy in the configuration: what it needs, and what makes sense only in it."""

from collections.abc import Callable

import pytest

from chatredirect.config import HostPort, Settings, warnings

Load = Callable[[str], Settings]
Faults = Callable[[str], list[tuple[int, str]]]

PROXY = """listen: [udp://0.0.0.0:5060]
endpoints:
  - sip_address: sip:ocschat@contoso.com
    pool_fqdn: pcpool.contoso.com
    port: 5061
    transport: tls
    mode: proxy
"""


def only(found: list[tuple[int, str]]) -> str:
    ((_, message),) = found
    return message


def test_defaults(settings: Load) -> None:
    """A wildcard listener will do: Via and Record-Route name the address that is used."""
    made = settings(PROXY)
    (endpoint,) = made.endpoints
    assert (endpoint.mode, endpoint.rewrite) == ("proxy", "keep")
    assert made.proxy.attempt_timeout == 4.0
    assert made.proxy.proxy_require == ("ms-benotify",)


def test_values(settings: Load) -> None:
    made = settings(PROXY + "    rewrite: pool\nproxy: {proxy_require: [], timer_c: 200}\n")
    assert made.endpoints[0].rewrite == "pool"
    assert made.proxy.proxy_require == ()
    assert made.proxy.timer_c == 200


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("", None),
        ("advertise: cr1.contoso.com\n", HostPort("cr1.contoso.com")),
        (
            "advertise: cr1.contoso.com\nproxy: {record_route_host: cr.contoso.com:5070}\n",
            HostPort("cr.contoso.com", 5070),
        ),
    ],
)
def test_the_name_in_record_route(settings: Load, text: str, recorded: HostPort | None) -> None:
    """docs/configuration.md: what instances have in common; else the instance's own name."""
    assert settings(PROXY + text).record_route_host == recorded


def test_the_common_name_leads_back_here(faults: Faults) -> None:
    """A pool that is this server itself would be a loop."""
    text = PROXY.replace("udp://0.0.0.0:5060", "tcp://0.0.0.0:5061")
    text = text.replace("transport: tls", "transport: tcp")
    message = only(faults(text + "proxy: {record_route_host: pcpool.contoso.com}\n"))
    assert "leads back to this server itself" in message


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("", 30 * 86400.0),
        ("proxy: {dialog_age: off}\n", None),
        ('proxy: {dialog_age: "off"}\n', None),
        ("proxy: {dialog_age: 3600}\n", 3600.0),
    ],
)
def test_the_age_of_dialogs(settings: Load, text: str, age: float | None) -> None:
    """docs/configuration.md: 30 days, or seconds, or off."""
    assert settings(PROXY + text).proxy.dialog_age == age
    assert settings(PROXY + text).proxy.target_grace == 3600.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PROXY + "    contact: targets\n", "gives out no Contact of its own"),
        (PROXY + "    rewrite: yes\n", "must be keep or pool"),
        (PROXY.replace("proxy", "redirect") + "    rewrite: pool\n", "only the mode proxy uses it"),
        (PROXY + "proxy: {attempt_timeout: 0}\n", "proxy.attempt_timeout: must be at least 0.1"),
        (PROXY + "proxy: {attempt_timeout: 33}\n", "proxy.attempt_timeout: must be at most 32"),
        (PROXY + "proxy: {proxy_require: [a b]}\n", "is no option tag"),
        (PROXY + "proxy: {transactions: 0}\n", "proxy.transactions: must be at least 1"),
        (PROXY + "proxy: {dialog_age: 0}\n", "number of seconds from 1 to 31536000, or off"),
        (PROXY + "proxy: {dialog_age: yes}\n", "number of seconds from 1 to 31536000, or off"),
        (PROXY + "proxy: {dialog_age: .inf}\n", "number of seconds from 1 to 31536000, or off"),
        (PROXY + "proxy: {dialog_age: never}\n", "number of seconds from 1 to 31536000, or off"),
        (PROXY + "proxy: {target_grace: 0}\n", "proxy.target_grace: must be more than 0"),
        (PROXY + "proxy: {target_grace: off}\n", "proxy.target_grace: must be"),
        (PROXY + "proxy: {forking: true}\n", "forking"),
        (
            PROXY.replace("pcpool.", "")
            .replace("    transport: tls\n    ", "    ")
            .replace("5061", "5060"),
            "from sip:ocschat@contoso.com to itself",
        ),
    ],
)
def test_faults(faults: Faults, text: str, says: str) -> None:
    """Each says what is allowed."""
    assert says in only(faults(text))


FRONT_END = "trusted_peers: [192.0.2.10]\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (FRONT_END, None),
        ("", "the mode proxy serves trusted peers only, and only this machine is one"),
        ("trusted_peers: []\n", "the mode proxy serves trusted peers only, and there are none"),
        (f"advertise: cr.contoso.com\n{FRONT_END}", None),
        (f"advertise: cr.contoso.com:5060\n{FRONT_END}", "and advertise names port 5060 for all"),
        (
            "advertise: cr.contoso.com:5060\nproxy: {record_route_host: cr.contoso.com}\n"
            + FRONT_END,
            None,
        ),
        (
            f"proxy: {{record_route_host: cr.contoso.com:5060}}\n{FRONT_END}",
            "and proxy.record_route_host names port 5060 for all",
        ),
    ],
)
def test_warnings(settings: Load, more: str, says: str | None) -> None:
    """What makes everybody get 403, and what leads the pool's requests astray."""
    text = PROXY.replace("udp://0.0.0.0:5060", "tcp://192.0.2.1:5060, tcp://192.0.2.1:5070")
    found = [fault.message for fault in warnings(settings(text + more))]
    if says is None:
        assert not found
    else:
        assert len(found) == 1
        assert says in found[0]
