"""resolv.conf(5): each line by itself."""

import pytest

from chatredirect.config import HostPort
from chatredirect.dns.servers import read_resolv_conf

GOOD = (HostPort("192.0.2.53", 53),)


@pytest.mark.parametrize(
    ("text", "faulty"),
    [
        (b"nameserver 192.0.2.53\n", False),
        (b"search .contoso.com\nnameserver 192.0.2.53\n", False),
        (b"search " + b"a" * 300 + b".com\nnameserver 192.0.2.53\n", False),
        (b"# caf\xe9\nnameserver 192.0.2.53\n", False),
        (b"nameserver 192.0.2.53 # caf\xe9\n", False),
        (b"nameserver ns.contoso.com\nnameserver 192.0.2.53\n", True),
        (b"nameserver 192.0.2.53\nnameserver localhost\n", True),
        (b"nameserver 192.0.2.54:53\nnameserver 192.0.2.53\n", True),
        (b"nameserver\nnameserver 192.0.2.53\n", True),
        (b";nameserver 192.0.2.1\noptions edns0\n\tnameserver\t192.0.2.53", False),
        (b"nameserver 192.0.2.53\r\nnameserver 192.0.2.53\r\n", False),
    ],
)
def test_a_bad_line_takes_only_itself_away(text: bytes, faulty: bool) -> None:
    servers, faults = read_resolv_conf(text)
    assert servers == GOOD
    assert bool(faults) == faulty


def test_what_is_wrong_is_told_with_its_line() -> None:
    _, faults = read_resolv_conf(b"# x\nnameserver ns.contoso.com\nnameserver\n")
    assert faults == (
        'line 2: nameserver "ns.contoso.com" is no IP address',
        "line 3: nameserver without an address",
    )


def test_it_is_bounded() -> None:
    servers, faults = read_resolv_conf(
        b"".join(b"nameserver 192.0.2.%d\n" % n for n in range(200)) + b"nameserver x\n" * 5000
    )
    assert len(servers) == 8
    assert len(faults) == 8
