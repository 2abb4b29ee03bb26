"""Which targets are this daemon's own listeners."""

import pytest

from chatredirect.config import HostPort, ListenUrl
from chatredirect.net.own_names import own_names
from chatredirect.net.target import Target
from chatredirect.sip.uri import parse_uri


@pytest.mark.parametrize(
    ("listener", "address", "own"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("127.0.0.1", "127.0.0.9", False),
        ("0.0.0.0", "192.0.2.1", True),
        ("0.0.0.0", "192.0.2.2", False),
        ("0.0.0.0", "127.0.0.9", True),  # takes all of 127.0.0.0/8, though only 127.0.0.1 is listed
        ("::", "127.0.0.9", True),
        ("::", "2001:db8::1", True),
        ("::", "2001:db8::2", False),
    ],
)
def test_a_wildcard_listens_on_what_reaches_it(listener: str, address: str, own: bool) -> None:
    local = ["127.0.0.1", "192.0.2.1", "2001:db8::1"]
    names = own_names([ListenUrl("tcp", listener, 5060)], [], local)
    assert names.listens_on(Target("tcp", address, 5060, "pcpool.contoso.com")) is own
    assert not names.listens_on(Target("tcp", address, 5061, "pcpool.contoso.com"))
    assert not names.listens_on(Target("udp", address, 5060, "pcpool.contoso.com"))


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        (b"sip:cr.contoso.com", True),
        (b"sip:CR.contoso.com:5080;lr", True),
        (b"sip:cr.contoso.com:5060", True),
        (b"sip:cr.contoso.com:5090", False),
        (b"sip:192.0.2.1:5080", False),
    ],
)
def test_the_advertised_port_is_ours_as_well(uri: bytes, ours: bool) -> None:
    """It stands in what we write, though behind it there may be another one."""
    listen = [ListenUrl("udp", "192.0.2.1", 5060)]
    names = own_names(listen, [HostPort("cr.contoso.com", 5080)], ["192.0.2.1"])
    assert names.names(parse_uri(uri)) is ours


def test_each_configured_name_is_ours_with_its_own_port() -> None:
    """An instance's own name, and the one that all instances have in common."""
    configured = [HostPort("cr1.contoso.com", 5081), HostPort("cr.contoso.com", 5082)]
    names = own_names([ListenUrl("udp", "192.0.2.1", 5060)], configured, [])
    ours = [b"sip:cr1.contoso.com", b"sip:cr.contoso.com:5082;lr", b"sip:cr1.contoso.com:5081"]
    assert all(names.names(parse_uri(uri)) for uri in ours)
    assert not names.names(parse_uri(b"sip:cr.contoso.com:5081"))
