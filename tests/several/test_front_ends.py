"""An instance dies under load: a short case of each front end (`make several` runs them all).

Each runs two or three instances on machines of their own, redirects, lookups and proxied calls at
some 300 requests a second, and counts what becomes of each request.
"""

from pathlib import Path

import pytest

from tests.several.cases import Fault, Result, broken, run
from tests.several.deployment import FrontEnd, Transport
from tests.several.instance import ROOT
from tests.several.older_tree import of_this

_SHORT = {"duration": 2.5, "period": 0.6}


def short(
    folder: Path, front_end: FrontEnd, transport: Transport, fault: Fault, older: Path = ROOT
) -> Result:
    """Some seconds of load, with the fault in the middle."""
    times = {"before": 2.0, "after": 2.0}
    return run(folder, front_end, transport, fault, older=older, **times, **_SHORT)


@pytest.mark.parametrize(
    ("front_end", "transport", "fault"),
    [
        ("dispatcher", "udp", "kill two"),
        ("dispatcher", "tls", "kill"),
        ("srv", "tls", "drain"),
        ("a", "udp", "cut"),
        ("keepalived", "udp", "kill"),
        ("keepalived", "tls", "cut"),
    ],
)
def test_an_instance_dies(
    tmp_path: Path, front_end: FrontEnd, transport: Transport, fault: Fault
) -> None:
    """Redirects are answered, lookups served by the other one, dialogs go on through it."""
    result = short(tmp_path, front_end, transport, fault)
    told = result.accounts.told()
    assert not broken(result), told
    assert result.both_ways(), told


def test_an_old_and_a_new_version_together(tmp_path: Path) -> None:
    """The first instance is upgraded, and goes back; dialogs of either version go on at the other.

    Here they differ by their number alone; `make several` takes the last release out of git.
    """
    older = of_this(tmp_path)
    result = short(tmp_path, "dispatcher", "udp", "versions", older)
    told = result.accounts.told()
    assert not broken(result), told
    assert result.both_ways(), told
    assert not result.accounts.lost(), told
    assert result.told == ("cr2.contoso.com: another version",)


def test_a_second_instance_joins(tmp_path: Path) -> None:
    """From one machine to two without a pause: nothing is lost, and dialogs go on at either."""
    result = short(tmp_path, "dispatcher", "tls", "join")
    told = result.accounts.told()
    assert not broken(result), told
    assert result.both_ways(), told
    assert not result.accounts.lost(), told


def test_a_clients_own_connection_dies_with_the_instance(tmp_path: Path) -> None:
    """Without a front end the pool can't reach such a client: 430, and the client calls anew.

    What the client sends goes on: over a new connection, through the other instance.
    """
    result = short(tmp_path, "direct", "tcp", "kill")
    accounts, told = result.accounts, result.accounts.told()
    assert not broken(result), told
    went_on, all_of_them = result.dialogs()
    assert 0 < went_on < all_of_them, told
    assert not accounts.lost("client INFO", "client BYE"), told


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_two_machines_have_the_address(tmp_path: Path, transport: Transport) -> None:
    """Either serves what the other has begun, by the shared secret. Over UDP nothing is lost.

    Over TLS connections break each time: Kamailio sends what was on them again.
    """
    result = short(tmp_path, "keepalived", transport, "split")
    told = result.accounts.told()
    assert not broken(result), told
    assert result.both_ways(), told
    if transport == "udp":
        assert not result.calls_refused(), told
