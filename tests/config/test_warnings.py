"""What `check` warns of: allowed, and probably not what was meant."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import EndpointSettings, Settings, load, warnings

MAIN = """
    listen: [udp://127.0.0.1:5060]
    endpoints: [{{sip_address: sip:a@contoso.com, {}}}]
    dns: {{hosts: {{in-hosts.contoso.com: [192.0.2.9]}}}}
"""


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("pool_fqdn: in-hosts.contoso.com", "UDP port 5060"),
        ("pool_fqdn: 192.0.2.20", "UDP port 5060"),
        ("pool_fqdn: pc.contoso.com, port: 5070", "UDP port 5070"),
        ("pool_fqdn: 192.0.2.20, port: 5061, transport: tls", "certificates are issued to names"),
        ("pool_fqdn: pcpool, transport: tls", "no domain"),
        ("pool_fqdn: pc.contoso.com, port: 5061, transport: tls", None),
        ("pool_fqdn: pc.contoso.com, transport: udp", None),
        ("pool_fqdn: pc.contoso.com", None),
    ],
)
def test_pool(settings: Callable[[str], Settings], endpoint: str, says: str | None) -> None:
    """RFC 3263 §4.1: without port, transport and SRV records a name means UDP 5060.

    Whether there are SRV records is for DNS to say, which isn't asked here.
    """
    found = warnings(settings(MAIN.format(endpoint)))
    if says is None:
        assert not found
    else:
        assert len(found) == 1
        assert says in found[0].message
        assert found[0].line == 2


def test_one_for_each_pool(settings: Callable[[str], Settings]) -> None:
    found = settings("""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {sip_address: a@x.org, pool_fqdn: 192.0.2.20}
          - {sip_address: b@x.org, pool_fqdn: 192.0.2.20}
          - {sip_address: c@x.org, pool_fqdn: 192.0.2.21}
    """)
    assert [fault.line for fault in warnings(found)] == [3, 5]


def test_no_endpoints(settings: Callable[[str], Settings]) -> None:
    (found,) = warnings(settings("listen: [udp://127.0.0.1:5060]"))
    assert "no endpoints" in found.message


@pytest.mark.parametrize(
    ("usage", "warns"),
    [
        ("{keep: 29}", True),
        ("{keep: 30}", False),
        ("{store: off, keep: 29}", False),
    ],
)
def test_uses_that_are_kept_for_less_than_a_verdict_asks_for(
    settings: Callable[[str], Settings], usage: str, warns: bool
) -> None:
    found = warnings(settings(MAIN.format("pool_fqdn: pc.contoso.com") + f"    usage: {usage}\n"))
    assert [each.message.partition(" days")[0] for each in found] == ["usage.keep: 29"] * warns


def test_secret_in_a_file_for_all(write: Callable[..., Path]) -> None:
    path = write(MAIN.format("pool_fqdn: pc.x.org") + "    secret: correct horse battery\n")
    path.chmod(0o644)
    (found,) = warnings(load(path))
    assert "can be read or written by every user" in found.message
    path.chmod(0o640)
    assert not warnings(load(path))


def test_hosts_file_that_is_not_there(settings: Callable[[str], Settings]) -> None:
    (found,) = warnings(
        settings("""
            listen: [udp://127.0.0.1:5060]
            endpoints: [{sip_address: a@x.org, pool_fqdn: pc.x.org}]
            dns: {hosts_file: /nonexistent/hosts}
        """)
    )
    assert "/nonexistent/hosts" in found.message


@pytest.mark.parametrize(
    ("listen", "trusted", "mode", "warned"),
    [
        ("udp://0.0.0.0:5060", "192.0.2.0/24", "lookup", True),
        ("udp://0.0.0.0:5060", "192.0.2.0/24", "proxy", True),
        ("udp://0.0.0.0:5060", "192.0.2.0/24", "redirect", False),
        ("udp://0.0.0.0:5060", "127.0.0.0/8", "proxy", False),
        ("udp://127.0.0.1:5060", "192.0.2.0/24", "proxy", False),
        ("tcp://0.0.0.0:5060", "192.0.2.0/24", "proxy", False),
    ],
)
def test_modes_with_state_over_udp(listen: str, trusted: str, mode: str, warned: bool) -> None:
    """docs/lookup.md, docs/proxy.md: what isn't acknowledged is sent again."""
    endpoint = EndpointSettings(
        sip_address="sip:a@contoso.com", pool_fqdn="p.contoso.com", mode=mode, port=5061,
        transport="tls",
    )  # fmt: skip
    settings = Settings(listen=(listen,), trusted_peers=(trusted,), endpoints=(endpoint,))
    found = [each.message for each in warnings(settings) if "SIP's own timers" in each.message]
    assert len(found) == warned
