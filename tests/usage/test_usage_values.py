"""The ledger's values: one caller, one client, and a bounded number of both a day."""

import pytest

from chatredirect.sip.caller import user_agent
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request
from chatredirect.usage.identity import (
    MAX_READ,
    OTHER_CLIENTS,
    OTHERS,
    UNREADABLE,
    ClientProduct,
    KnownNames,
    canonical_caller,
    read_client,
)
from chatredirect.usage.tally import TallyBounds, UsageTally
from tests.fuzz.twins import CAPTURES

OC = ClientProduct("Office Communicator 2007 R2", "3.5.6907.196")


@pytest.mark.parametrize(
    "uri",
    [b"sip:Ann@Contoso.com", b"SIP:%61nn@contoso.com;x=1", b"sip:ann@contoso.com:5060?a=b"],
)
def test_one_person_has_one_spelling(uri: bytes) -> None:
    assert canonical_caller(uri) == "sip:ann@contoso.com"


@pytest.mark.parametrize("uri", [b"tel:+1", b"", b"sip:" + b"a" * 300 + b"@contoso.com"])
def test_a_caller_that_is_no_sip_address(uri: bytes) -> None:
    assert canonical_caller(uri) == UNREADABLE


@pytest.mark.parametrize(
    ("text", "client"),
    [
        (b"UCCAPI/3.5.6907.196 OC/3.5.6907.196 (Microsoft Office Communicator 2007 R2)", OC),
        (b"UCCAPI/4.0.7577.0 OC/4.0.7577.0 (Microsoft Lync 2010)", ("Lync 2010", "4.0.7577.0")),
        (
            b"UCCAPI/4.0.7577.0 (Microsoft Lync 2010 Group Chat)",
            ("Lync 2010 Group Chat", "4.0.7577.0"),
        ),
        (b"UCCAPI/3.5.6907.196 GC/3.5.6907.0 (Group Chat)", ("Group Chat", "3.5.6907.0")),
        (b"sipgo/1.2 (x)", ("sipgo", "1.2")),
        (b"(only a comment)", ("(only a comment)", "")),
        (b"", ("unknown", "")),
        (
            b"OC/4.0 (Microsoft Office Communicator 2007 R2)" * 9,
            ("Office Communicator 2007 R2", "4.0"),
        ),
        (b" ", ("unknown", "")),
        (b'\x1b[31m"\xff', ('\\x1b[31m"\\xff', "")),
        (b"a" * 8192, ("a" * 64, "")),
    ],
)
def test_clients(text: bytes, client: tuple[str, str]) -> None:
    assert read_client(text) == client


def tally_of(callers: int, clients: int, rows: int) -> UsageTally:
    return UsageTally(*2 * (TallyBounds(callers, clients, rows),))


def add(tally: UsageTally, now: float, caller: str, *, trusted: bool = True) -> None:
    tally.add(now, "sip:chat@contoso.com", caller, OC, trusted=trusted, outcome="redirected")


def test_a_clock_that_jumps_over_midnight_and_back() -> None:
    tally = tally_of(10, 10, 10)
    for now in (86390.0, 86410.0, 86380.0):
        add(tally, now, "sip:ann@contoso.com")
    rows = {key.day: (row.count, row.first, row.last) for key, row in tally.take().items()}
    assert rows == {0: (2, 86380.0, 86390.0), 1: (1, 86410.0, 86410.0)}
    assert tally.take() == {}


def test_strangers_push_no_trusted_peer_into_others() -> None:
    tally = tally_of(2, 2, 100)
    for number in range(50):
        add(tally, 0.0, f"sip:{number}@x", trusted=False)
    add(tally, 0.0, "sip:ann@contoso.com")
    tallied = {(key.caller, key.trusted): row.count for key, row in tally.take().items()}
    assert tallied == {
        ("sip:0@x", False): 1,
        ("sip:1@x", False): 1,
        (OTHERS, False): 48,
        ("sip:ann@contoso.com", True): 1,
    }


def test_rows_that_wait_are_bounded_and_no_use_is_lost() -> None:
    tally = tally_of(100, 10, 5)
    for number in range(50):
        add(tally, 0.0, f"sip:{number}@x")
    rows = tally.take()
    assert len(rows) == 6
    assert sum(row.count for row in rows.values()) == 50


def test_a_day_s_bound_outlives_its_batches() -> None:
    tally = tally_of(1, 1, 10)
    add(tally, 0.0, "sip:ann@x")
    tally.take()
    add(tally, 1.0, "sip:bob@x")
    assert [key.caller for key in tally.take()] == [OTHERS]


HOSTILE = [
    b"\x01" * 8192,
    b"\xff" * 8192,
    b"(" * 8192,
    b"a/" * 4096,
    b"office communicator 2007 r" * 300,
    b"oc/" * 2700,
    "\u202e".encode() * 2730,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_hostile_client_costs_is_that_of_its_first_octets(text: bytes) -> None:
    """Nothing behind `MAX_READ` is looked at: the result is the same without it."""
    client = read_client(text)
    assert client == read_client(text[:MAX_READ])
    assert len(client.family) <= 64 >= len(client.version)
    assert (client.family + client.version).isprintable()


def test_only_so_many_new_clients_a_second_are_worked_out() -> None:
    """A million different ones from one peer: the rest is `others`, known ones stay known."""
    worked_out: list[bytes] = []

    def work_out(octets: bytes) -> ClientProduct:
        worked_out.append(octets)
        return read_client(octets)

    clients = KnownNames(work_out, OTHER_CLIENTS, most=100, per_second=50)
    names = [clients.find(b"x/%d" % number, 10.0) for number in range(10_000)]
    assert len(worked_out) == 50
    assert names[49] == ("x", "49")
    assert names[50:] == [OTHER_CLIENTS] * 9950
    assert clients.find(b"x/7", 10.0) == ("x", "7")
    assert clients.find(b"x/new", 11.0) == ("x", "new")
    assert clients.find(b"x/newer", 5.0) == ("x", "newer")  # a clock that was set back


def test_what_is_remembered_of_clients_is_bounded_and_the_latest() -> None:
    worked_out: list[bytes] = []
    clients = KnownNames(lambda octets: worked_out.append(octets) or 1, 0, most=10, per_second=1e9)
    for number in range(1000):
        clients.find(b"%d" % number, float(number))
        clients.find(b"real", float(number))
    assert worked_out.count(b"real") == 1


def test_what_was_captured_of_a_client() -> None:
    """Office Communicator's Group Chat dialogs have its own User-Agent (tests/captures)."""
    found = set()
    for path in sorted(CAPTURES.glob("*.sip")):
        message = parse_datagram(path.read_bytes(), Limits())
        if isinstance(message, Request):
            found.add(read_client(user_agent(message)))
    assert found == {("Office Communicator 2007 R2", "3.5.6907.196")}
