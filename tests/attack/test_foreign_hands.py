"""Steering by who has seen a request: a stranger, or another trusted peer (docs/answers.md)."""

from collections.abc import Iterator

import pytest

from tests.lookup.in_memory_lookups import REQURI
from tests.proxy.real.dialog import Pool, answer, branch, hosts, pool, proxied, route_of, routed
from tests.sent_message import SentMessage, read
from tests.service.client import Udp
from tests.service.daemon import Daemon, endpoint
from tests.service.fixtures import Run

CALLER = "127.0.0.3"
FOREIGN = {"stranger": "127.0.0.9", "another trusted peer": "127.0.0.4"}
TRUSTED = [CALLER, FOREIGN["another trusted peer"]]
QUIET = 0.5
ANYBODY = pytest.mark.parametrize("who", list(FOREIGN))


@pytest.fixture
def made() -> Iterator[Pool]:
    with pool(stream=False, datagrams=True) as made:
        yield made


@pytest.fixture
def proxy(run_daemon: Run, made: Pool) -> Daemon:
    return run_daemon(endpoints=[proxied(made.port, "udp")], dns=hosts(), trusted_peers=TRUSTED)


@pytest.fixture
def lookups(run_daemon: Run) -> Daemon:
    return run_daemon(
        endpoints=[endpoint(mode="lookup")], trusted_peers=TRUSTED, advertise="127.0.0.1"
    )


@pytest.fixture
def caller(request: pytest.FixtureRequest) -> Iterator[Udp]:
    daemon = request.getfixturevalue("proxy" if "proxy" in request.fixturenames else "lookups")
    client = Udp(daemon.address("udp"), CALLER)
    yield client
    client.close()


@pytest.fixture
def other(caller: Udp, who: str) -> Iterator[Udp]:
    client = Udp(caller.to, FOREIGN[who])
    yield client
    client.close()


def write(
    caller: Udp,
    method: str,
    number: int,
    call_id: str,
    *,
    to: str = "",
    more: str = "",
    body: str = "",
) -> bytes:
    """A request of the caller's; the first transaction's branch is the Call-ID."""
    own = call_id if number == 1 else branch()
    return (
        f"{method} sip:ocschat@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {caller.host}:{caller.port};branch={own}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@contoso.com>;tag=1\r\nTo: {to or '<sip:ocschat@contoso.com>'}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {number} {method}\r\n"
        f"Contact: <sip:a@{caller.host}:{caller.port}>\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def heard(client: Udp, kind: str) -> SentMessage:
    """The next message of a kind (`200 INVITE`, `INFO`); others before it are passed over."""
    while True:
        got = read(client.socket.recv(65536))
        if got.kind == kind:
            return got


def everything(client: Udp) -> list[str]:
    """What came, and comes in a moment."""
    client.socket.settimeout(QUIET)
    kinds = []
    try:
        while True:
            kinds.append(read(client.socket.recv(65536)).kind)
    except TimeoutError:
        return kinds


def received(made: Pool) -> tuple[SentMessage, tuple[str, int]]:
    """What the pool's member gets next, and from where."""
    assert made.datagrams is not None
    data, source = made.datagrams.socket.recvfrom(65536)
    return read(data), source


def respond(made: Pool, request: SentMessage, status: str, to: tuple[str, int]) -> None:
    assert made.datagrams is not None
    made.datagrams.socket.sendto(answer(request, status), to)


@ANYBODY
def test_an_invite_repeated(proxy: Daemon, made: Pool, caller: Udp, other: Udp) -> None:
    """RFC 3261 §17.2.3: the answer is its sender's, whoever repeats the request."""
    first = write(caller, "INVITE", 1, branch())
    caller.send(first)
    got, source = received(made)
    other.send(first)
    respond(made, got, "200 OK", source)
    heard(caller, "200 INVITE")
    assert set(everything(other)) <= {"403 INVITE", "482 INVITE"}


@ANYBODY
def test_an_invite_cancelled(proxy: Daemon, made: Pool, caller: Udp, other: Udp) -> None:
    """RFC 3261 §9.1: only its sender cancels a request."""
    call_id = branch()
    caller.send(write(caller, "INVITE", 1, call_id))
    got, source = received(made)
    respond(made, got, "180 Ringing", source)
    heard(caller, "180 INVITE")
    other.send(write(caller, "CANCEL", 1, call_id))
    assert set(everything(other)) <= {"403 CANCEL", "481 CANCEL"}
    caller.send(write(caller, "INVITE", 1, branch()))
    assert received(made)[0].kind == "INVITE"  # and no CANCEL before it
    respond(made, got, "200 OK", source)
    heard(caller, "200 INVITE")


@ANYBODY
@pytest.mark.parametrize("status", ["180 Ringing", "200 OK", "603 Decline"])
def test_a_response_injected(
    proxy: Daemon, made: Pool, caller: Udp, other: Udp, status: str
) -> None:
    """RFC 3261 §18.1.2: with the branch known, a response counts only from the request's target."""
    caller.send(write(caller, "INVITE", 1, branch()))
    got, source = received(made)
    other.send(answer(got, status, tag="injected"))
    respond(made, got, "486 Busy Here", source)
    kinds = [read(caller.socket.recv(65536)).kind for _ in range(2)]
    assert kinds == ["100 INVITE", "486 INVITE"]
    assert set(everything(caller)) <= {"486 INVITE"}


@ANYBODY
def test_a_lookup_repeated(lookups: Daemon, caller: Udp, other: Udp) -> None:
    """RFC 3261 §13.3.1.4: the 200 goes on to its caller, and to nobody else."""
    first = write(caller, "INVITE", 1, branch())
    caller.send(first)
    heard(caller, "200 INVITE")
    other.send(first)
    heard(caller, "200 INVITE")
    assert set(everything(other)) <= {"403 INVITE", "482 INVITE"}


@ANYBODY
def test_a_lookup_cancelled(lookups: Daemon, caller: Udp, other: Udp) -> None:
    """Another one's CANCEL ends no lookup."""
    call_id = branch()
    caller.send(write(caller, "INVITE", 1, call_id))
    ok = heard(caller, "200 INVITE")
    other.send(write(caller, "CANCEL", 1, call_id))
    assert set(everything(other)) <= {"403 CANCEL", "481 CANCEL"}
    look_up(caller, ok, 2)


@ANYBODY
def test_a_response_to_a_lookup_injected(lookups: Daemon, caller: Udp, other: Udp) -> None:
    """Our INFO is answered by whom it was sent to: another one's 481 ends no dialog."""
    caller.send(write(caller, "INVITE", 1, branch()))
    ok = heard(caller, "200 INVITE")
    reply = look_up(caller, ok, 2)
    other.send(answer(reply, "481 Gone"))
    caller.send(answer(reply))
    look_up(caller, ok, 3)


def look_up(caller: Udp, ok: SentMessage, number: int) -> SentMessage:
    """INFO with cmd:requri: its 200, and the server's INFO with the reply."""
    kind = "Content-Type: text/plain\r\n"
    call_id = ok["Call-ID"]
    data = write(caller, "INFO", number, call_id, to=ok["To"], more=kind, body=REQURI)
    caller.send(routed(data, route_of(ok)))
    heard(caller, "200 INFO")
    return heard(caller, "INFO")
