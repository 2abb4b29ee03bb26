"""Fixtures: DNS servers that are stopped again, whatever the test did."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.dns.real_servers import Dnsmasq, DnsServer, Knot, Nsd, Unbound

S = TypeVar("S", bound=DnsServer)


class Servers:
    """Makes servers, and stops all it has made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[DnsServer] = []

    def nsd(self, records: str, *, negative: int = 1) -> Nsd:
        server = Nsd(self._next())
        server.write(records, negative=negative)
        return self._started(server)

    def knot(self, records: str, *, negative: int = 1) -> Knot:
        server = Knot(self._next())
        server.write(records, negative=negative)
        return self._started(server)

    def unbound(self, behind: DnsServer) -> Unbound:
        return self._started(Unbound(self._next(), behind))

    def dnsmasq(self, **hosts: str) -> Dnsmasq:
        return self._started(
            Dnsmasq(self._next(), {f"{name}.contoso.com": ips for name, ips in hosts.items()})
        )

    def stop(self) -> None:
        for server in reversed(self._made):
            server.stop()

    def _next(self) -> Path:
        return self._folder / str(len(self._made))

    def _started(self, server: S) -> S:
        self._made.append(server)
        server.start()
        return server


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Real DNS servers, by name."""
    made = Servers(tmp_path / "dns")
    yield made
    made.stop()
