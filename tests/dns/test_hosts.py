"""The hosts file."""

import os
from ipaddress import ip_address
from pathlib import Path

from chatredirect.dns.hosts import Hosts, parse_hosts


def test_parse() -> None:
    """hosts(5): comments, several names, both families, case, final dots, and nonsense."""
    text = """
127.0.0.1 localhost
192.0.2.1\tPcPool.contoso.com. pcpool  # a comment
2001:db8::1 pcpool.contoso.com
::ffff:192.0.2.9 mapped
not-an-address name
192.0.2.1
# 192.0.2.3 no
"""
    assert parse_hosts(text) == {
        "localhost": ("127.0.0.1",),
        "pcpool.contoso.com": ("192.0.2.1", "2001:db8::1"),
        "pcpool": ("192.0.2.1",),
        "mapped": ("192.0.2.9",),
    }


def test_configured_names_go_before_the_file(tmp_path: Path) -> None:
    """dns.hosts replaces what the file says of a name."""
    file = tmp_path / "hosts"
    file.write_text("192.0.2.1 a b\n")
    hosts = Hosts({"A": [ip_address("192.0.2.7")]}, str(file))
    assert hosts.get("a") == ("192.0.2.7",)
    assert hosts.get("b") == ("192.0.2.1",)
    assert hosts.get("c") is None


def test_changes_are_seen(tmp_path: Path) -> None:
    """The file is read again when it has changed, appeared or gone."""
    file = tmp_path / "hosts"
    hosts = Hosts({}, str(file))
    assert hosts.fault is None
    assert not hosts.reread()
    file.write_text("192.0.2.1 a\n")
    assert hosts.reread()
    assert hosts.get("a") == ("192.0.2.1",)
    os.utime(file, ns=(1, 1))
    assert not hosts.reread()  # touched, with the same names
    file.unlink()
    assert hosts.reread()
    assert hosts.get("a") is None


def test_unreadable_file_keeps_what_was_known(tmp_path: Path) -> None:
    """A file that can't be read any more has a fault, and its names serve on."""
    file = tmp_path / "hosts"
    file.write_bytes(b"192.0.2.1 a \xff\xfe\n")
    hosts = Hosts({}, str(file))
    file.unlink()
    file.mkdir()
    hosts.reread()
    assert hosts.fault
    assert hosts.get("a") == ("192.0.2.1",)
