"""Transactions by themselves: RFC 3261 §17 with RFC 6026, whoever uses them."""

from math import inf

import pytest

from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.headers import read_via
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request, Response, read_mandatory_headers
from chatredirect.sip.transaction import matching
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import (
    CLIENT,
    INVITE_SERVER,
    SERVER,
    TransactionEvent,
    TransactionState,
)
from tests.lookup.in_memory_lookups import FRONT_END
from tests.recording_flow import RecordingFlow


class Layer:
    """A layer, its heap and what it sent."""

    def __init__(self, transport: str) -> None:
        self.out: list[Send[str]] = []
        self.due: dict[Transaction[str], float] = {}
        self.flow = RecordingFlow(transport)
        self.layer: Transactions[str] = Transactions(self.out, self.changed)

    def changed(self, transaction: Transaction[str]) -> None:
        self.due[transaction] = transaction.due

    def run(self, until: float) -> list[tuple[float, bytes]]:
        """What is sent until then."""
        found = []
        while self.due and min(self.due.values()) <= until:
            transaction = min(self.due, key=self.due.__getitem__)
            now = self.due.pop(transaction)
            self.out.clear()
            if self.layer.handle_timers(transaction, now):
                found.append((now, b"timeout"))
            found += [(now, send.data) for send in self.out]
        self.due = {key: value for key, value in self.due.items() if value < inf}
        return found


@pytest.mark.parametrize("table", [INVITE_SERVER, SERVER, CLIENT])
def test_tables_lead_to_an_end(table: object) -> None:
    """Every state of a table has a way out, and TERMINATED none."""
    assert isinstance(table, dict)
    reached = {state for state, _ in table.values()}
    left = {state for state, _ in table}
    assert reached - left == {TransactionState.TERMINATED}
    for state in left - {TransactionState.TRYING, TransactionState.PROCEEDING}:
        assert table[state, TransactionEvent.END][0] is TransactionState.TERMINATED


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_invite_server_provisional_then_refused(transport: str) -> None:
    """Figure 7: 100 is repeated for a retransmission; 404 by timer G over UDP, until H."""
    made = Layer(transport)
    transaction = made.layer.serve(b"k", made.flow, "user", FRONT_END, invite=True)
    made.layer.respond(transaction, 100, b"100", 0.0)
    made.layer.repeated(transaction, made.flow, 0.1)
    made.layer.respond(transaction, 404, b"404", 1.0)
    assert [send.data for send in made.out] == [b"100", b"100", b"404"]
    out = made.run(40.0)
    if transport == "tcp":
        assert out == []
    else:
        assert [at for at, _ in out] == [1.5, 2.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.5]
    assert len(made.layer) == 0


def test_invite_server_accepted() -> None:
    """RFC 6026: retransmissions are absorbed, the user's 2xx pass, timer L ends it."""
    made = Layer("udp")
    transaction = made.layer.serve(b"k", made.flow, "user", FRONT_END, invite=True)
    made.layer.respond(transaction, 200, b"200", 0.0)
    made.layer.repeated(transaction, made.flow, 0.1)
    assert not made.layer.handle_event(transaction, TransactionEvent.ACK, 0.2)
    assert [send.data for send in made.out] == [b"200"]
    assert made.run(31.9) == []
    assert len(made.layer) == 1
    made.run(32.0)
    assert len(made.layer) == 0


def test_server_with_provisional_responses() -> None:
    """Figure 8: nothing before the first response, then the last one for every retransmission."""
    for status in (200, 404):
        made = Layer("udp")
        transaction = made.layer.serve(b"k", made.flow, "user", FRONT_END, invite=False)
        made.layer.repeated(transaction, made.flow, 0.1)
        assert made.out == []
        for data in (b"100", b"182"):
            made.layer.respond(transaction, int(data), data, 0.2)
        made.layer.repeated(transaction, made.flow, 0.3)
        made.layer.respond(transaction, status, b"final", 1.0)
        made.layer.repeated(transaction, made.flow, 2.0)
        sent = [send.data for send in made.out]
        assert sent == [b"100", b"182", b"182", b"final", b"final"]
        made.run(32.9)
        assert len(made.layer) == 1
        made.run(33.0)
        assert len(made.layer) == 0


@pytest.mark.parametrize(("event", "notified"), [(TransactionEvent.FAILURE, True), (None, False)])
def test_client_after_a_provisional_response(
    event: TransactionEvent | None, notified: bool
) -> None:
    """Figure 6: every T2 from then on; a final response or timer F ends it."""
    made = Layer("udp")
    transaction = made.layer.request(b"k", b"INFO", made.flow, "user", 0.0)
    made.layer.handle_event(transaction, TransactionEvent.PROVISIONAL, 0.1)
    assert [at for at, _ in made.run(9.0)] == [0.5, 4.5, 8.5]
    if event is not None:
        assert made.layer.handle_event(transaction, event, 9.0) == notified
        assert made.run(60.0) == []
    else:
        assert made.run(60.0)[-1] == (32.0, b"timeout")
    assert len(made.layer) == 0


def test_client_times_out() -> None:
    """Figure 6: timer E doubles up to T2, timer F tells the user."""
    made = Layer("udp")
    made.layer.request(b"k", b"INFO", made.flow, "user", 0.0)
    out = made.run(100.0)
    assert [at for at, _ in out] == [0.5, 1.5, 3.5, *range_of(7.5, 31.5, 4.0), 32.0]
    assert out[-1][1] == b"timeout"
    assert len(made.layer) == 0


def range_of(first: float, last: float, step: float) -> list[float]:
    return [first + step * n for n in range(int((last - first) / step) + 1)]


@pytest.mark.parametrize(("transport", "left"), [("udp", 1), ("tls", 0)])
def test_client_is_answered_once(transport: str, left: int) -> None:
    """A second final response is absorbed for T4; over TLS there is none, and nothing lingers."""
    made = Layer(transport)
    transaction = made.layer.request(b"k", b"INFO", made.flow, "user", 0.0)
    assert made.layer.handle_event(transaction, TransactionEvent.SUCCESS, 0.1)
    assert not made.layer.handle_event(transaction, TransactionEvent.SUCCESS, 0.2)
    assert len(made.layer) == left
    assert made.run(5.2) == []
    assert len(made.layer) == 0


# -- what tells them apart ------------------------------------------------------------------------


def request(
    method: str = "INVITE",
    uri: str = "sip:ocschat@contoso.com",
    via: str = "SIP/2.0/TCP 192.0.2.1:5070",
    from_: str = "<sip:a@contoso.com>;tag=f",
    to: str = "<sip:ocschat@contoso.com>",
    call_id: str = "c",
    number: int = 1,
) -> bytes:
    data = (
        f"{method} {uri} SIP/2.0\r\nVia: {via}\r\nFrom: {from_}\r\nTo: {to}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
    )
    message = parse_datagram(data.encode(), DEFAULT)
    assert isinstance(message, Request)
    return matching.server_key(message, read_mandatory_headers(message, read_via(message.vias[0])))


BRANCH = "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKx"


def test_keys_by_branch() -> None:
    """§17.2.3: branch, sent-by and method decide, with an INVITE's method for its ACK.

    A client that uses a branch for two calls has two transactions all the same.
    """
    key = request(via=BRANCH)
    assert request(via=BRANCH.replace("TCP", "UDP") + ";rport", from_="<sip:b@contoso.com>") == key
    assert request(via=BRANCH, call_id="other") != key
    assert request(via=BRANCH, number=2) != key
    assert request("ACK", via=BRANCH, to="<sip:ocschat@contoso.com>;tag=t") == key
    assert request("CANCEL", via=BRANCH) != key
    assert request(via=BRANCH.replace("z9hG4bKx", "Z9HG4BKX")) == key  # §7.3.1
    assert request(via=BRANCH + "y") != key
    assert request(via=BRANCH.replace(":5070", ":5071")) != key
    assert request(via=BRANCH.replace(":5070", "")) == request(via=BRANCH.replace(":5070", ":5060"))


@pytest.mark.parametrize("branch", ["", ";branch=1", ";branch=z9hG4bK"])
def test_keys_of_older_clients(branch: str) -> None:
    """§17.2.3, for branches without the cookie: all of what identifies the request decides."""
    via = f"SIP/2.0/TCP 192.0.2.1:5070{branch}"
    key = request("INFO", via=via, to="<sip:o@contoso.com>;tag=t")
    assert request("INFO", via=via, to="<sip:o@contoso.com>;tag=t") == key
    others = [
        request("BYE", via=via, to="<sip:o@contoso.com>;tag=t"),
        request("INFO", via=via, to="<sip:o@contoso.com>;tag=u"),
        request("INFO", via=via, to="<sip:o@contoso.com>;tag=t", number=2),
        request("INFO", via=via, to="<sip:o@contoso.com>;tag=t", call_id="d"),
        request("INFO", via=via, to="<sip:o@contoso.com>;tag=t", from_="<sip:a@b>;tag=g"),
        request("INFO", via=via, to="<sip:o@contoso.com>;tag=t", uri="sip:x@contoso.com"),
        request("INFO", via=via + ";a=b", to="<sip:o@contoso.com>;tag=t"),
    ]
    assert key not in others
    assert len(set(others)) == len(others)
    # an ACK within the transaction has the To tag of the answer, which the INVITE hadn't
    assert request("ACK", via=via, to="<sip:o@b>;tag=t") == request(via=via, to="<sip:o@b>")


@pytest.mark.parametrize(
    "fields",
    [
        "CSeq: 1 INFO",
        "Via: SIP/2.0/TCP h\r\nCSeq: 1 INFO",
        "Via: nonsense;branch=x\r\nCSeq: 1 INFO",
        "Via: SIP/2.0/TCP h;branch=x\r\nCSeq: one INFO",
        "Via: SIP/2.0/TCP h;branch=x\r\nVia: SIP/2.0/TCP i;branch=x\r\nCSeq: 1 INFO",
    ],
)
def test_responses_that_are_nobodys(fields: str) -> None:
    """§8.1.3.3, §17.1.3: no branch, or not ours alone."""
    data = f"SIP/2.0 200 OK\r\n{fields}\r\nContent-Length: 0\r\n\r\n"
    message = parse_datagram(data.encode(), DEFAULT)
    assert isinstance(message, Response)
    assert matching.response_key(message) is None
