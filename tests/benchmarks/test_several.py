"""What `python -m benchmarks.several` says of a failure: its row, and which promise was broken."""

import pytest

from benchmarks.several import costs, row
from tests.several.accounts import Accounts, Dialog, Request, Search
from tests.several.cases import Fault, Result, broken
from tests.several.deployment import FrontEnd, Transport


def result(
    front_end: FrontEnd = "dispatcher",
    transport: Transport = "tls",
    fault: Fault = "kill",
    *,
    status: int | None = 302,
    ended: float = 11.5,
    failed: str = "",
    found: str = "sip:gc-channel@contoso.com",
    invites: int = 2,
) -> Result:
    """One redirect, one dialog that was open at the fault, one search."""
    redirect = Request("redirect", "1", began=10.0, wanted=302, ended=ended, status=status, sent=2)
    dialog = Dialog("call", "2", opened=9.0, ended=13.0, failed=failed)
    search = Search(began=10.0, ended=12.0, invites=invites, found=found)
    accounts = Accounts([redirect], [dialog], [search])
    return Result(front_end, transport, fault, 11.0, 11.1, accounts)


def refused(began: float, fault: Fault = "kill") -> Result:
    """A call that got 408, with the fault at 11.0 done at 11.1."""
    made = result(fault=fault)
    made.accounts.requests.append(Request("call INVITE", "3", began, 200, began + 30, 408))
    return made


def test_a_row() -> None:
    shown = row(result())
    assert shown[1:] == ("TLS", "kill", "1", "0", "0", "2.0", "1", "1 of 1")
    shown = row(result(status=None, failed="pool INFO 430"))
    assert shown[4:6] == ("1", "1")
    assert row(result(fault="versions"))[2] == "old and new version"
    assert shown[-1] == "0 of 1"


def test_the_rows_of_two_machines() -> None:
    """A front end each, and a cell for each failure; other failures have none."""
    lost = result(fault="cut", status=None, failed="pool INFO 430")
    assert costs([result(), lost, result("a"), result(fault="versions")]) == [
        (
            "Kamailio's dispatcher",
            "TLS",
            "none, 2.0 s",
            "",
            "**1** of 1, 2.0 s, dialogs 0 of 1",
            "",
        ),
        ("Kamailio, two addresses", "TLS", "none, 2.0 s", "", "", ""),
    ]


def test_nothing_broken() -> None:
    assert not broken(result())


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (result(status=408), "1 redirects were not answered"),
        (result(ended=44.0), "1 redirects took longer than a client waits"),
        (result(failed="client INFO 481"), "1 of 1 dialogs did not go on"),
        (result("direct", "tcp", failed="client INFO 481"), "1 of 1 dialogs did not go on"),
        (result("direct", "udp", failed="pool INFO 430"), "1 of 1 dialogs did not go on"),
        (result("keepalived", "tls", status=477), "1 redirects were not answered"),
        (result("keepalived", "tls", found=""), "1 clients never had their channel service"),
        (result(invites=3), "1 clients were not served at their next INVITE"),
        (result(fault="versions"), "check --live doesn't tell the versions apart"),
        (refused(12.0), "1 calls that did not die with an instance were refused"),
        (refused(10.9, "drain"), "1 calls that did not die with an instance were refused"),
    ],
)
def test_what_is_broken(case: Result, why: str) -> None:
    (found,) = broken(case)
    assert found.startswith(why)


def test_a_call_that_dies_with_its_instance() -> None:
    """It had its 100 when the instance died; the client calls anew."""
    assert not broken(refused(10.9))


def test_a_client_that_lost_its_connection() -> None:
    """docs/two-machines.md says that it must call anew."""
    assert not broken(result("direct", "tcp", failed="pool INFO 430"))
