"""Messages that are big where it hurts: memory and time stay in proportion (docs/security.md)."""

import itertools
import time
from collections.abc import Callable

import pytest

from tests.attack.beside import RATIO, peak
from tests.attack.extent import extent
from tests.lookup.peer import Peer
from tests.proxy.real.dialog import branch, route_of, routed
from tests.sent_message import SentMessage
from tests.service.daemon import endpoint
from tests.service.fixtures import Run

GROWTH = 1.5
STALL = 1.0
TYPE = "text/plain"  # as the clients say of XCCOS


def long_namespaces(octets: int) -> str:
    """XCCOS whose elements have a name each, in a namespace of thousands of octets."""
    start = (
        '<xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos">'
        '<cmd id="cmd:requri" seqid="1"><data xmlns:p="' + "u" * (octets // 2) + '">'
    )
    end = "</data></cmd></xccos>"
    room = octets - len(start) - len(end)
    return start + "".join(f"<p:a{n:04}/>" for n in range(room // len("<p:a0000/>"))) + end


@pytest.mark.parametrize("octets", [16_000, 60_000])
def test_a_body_with_long_namespaces(
    run_daemon: Run, record_property: Callable[[str, object], None], octets: int
) -> None:
    """An INFO over 16,384 octets gets 413; a smaller one is read within bounds."""
    daemon = run_daemon(
        endpoints=[endpoint(mode="lookup")],
        trusted_peers=["127.0.0.1"],
        advertise="127.0.0.1",
    )
    with Peer("tcp", daemon.address("tcp")) as caller:
        call_id = branch()
        caller.send(message(caller, "INVITE", 1, call_id, "<sip:ocschat@contoso.com>"))
        ok = caller.receive()
        while ok.status < 200:
            ok = caller.receive()
        assert ok.status == 200
        numbers = itertools.count(2)

        def asked(body: str) -> tuple[int, float]:
            data = message(caller, "INFO", next(numbers), call_id, ok["To"], body)
            begun = time.monotonic()
            caller.send(routed(data, route_of(ok)))
            return final(caller).status, time.monotonic() - begun

        usual = max(asked("<x/>")[1] for _ in range(20))
        before = peak(daemon)
        longest = 0.0
        statuses = set()
        for _ in range(extent(5, 50)):
            status, seconds = asked(long_namespaces(octets))
            longest = max(longest, seconds)
            statuses.add(status)
    growth = peak(daemon) / before
    record_property("figure answers", str(statuses))
    record_property("figure longest wait", f"{longest * 1000:.0f} ms")
    record_property("figure memory", f"{growth:.2f} times")
    assert 415 not in statuses  # it was read
    assert (statuses == {413}) == (octets > 16_384)
    assert growth < GROWTH
    assert longest < max(STALL, RATIO * usual)


def final(caller: Peer) -> SentMessage:
    """The next response to an INFO; the daemon's own requests are passed over."""
    while True:
        got = caller.receive()
        if got.start.startswith("SIP/2.0 ") and got["CSeq"].endswith("INFO"):
            return got


def message(caller: Peer, method: str, number: int, call_id: str, to: str, body: str = "") -> bytes:
    """A request of the caller's."""
    kind = f"Content-Type: {TYPE}\r\n" if body else ""
    return (
        f"{method} sip:ocschat@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {caller.local};branch={branch()}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@contoso.com>;tag=1\r\nTo: {to}\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {number} {method}\r\nContact: <sip:a@{caller.local};transport=tcp>\r\n"
        f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
