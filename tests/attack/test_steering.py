"""Steering by a pool's member: an open relay, changed tokens, identities (docs/proxy.md)."""

import random
import socket
from collections.abc import Callable

import pytest

from tests.attack.extent import extent
from tests.lookup.peer import Peer
from tests.proxy.real.dialog import Pool, answer, branch, hosts, pool, proxied, within
from tests.sent_message import SentMessage
from tests.service.fixtures import Run

Record = Callable[[str, object], None]


VICTIM = "127.0.0.8"
LURES = {
    "Route": "<sip:{host}:{port};transport=tcp;lr>",
    "Route with maddr": "<sip:127.0.0.1:{port};maddr={host};transport=tcp;lr>",
}


@pytest.mark.parametrize("lure", [*LURES, "target with maddr"])
def test_no_open_relay(run_daemon: Run, record_property: Record, lure: str) -> None:
    """A next hop that the dialog didn't begin with leads nowhere: 430 (RFC 3261 §16.4, §16.6)."""
    with pool() as made, socket.create_server((VICTIM, 0)) as victim:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.1"]
        )
        with Peer("tcp", daemon.address("tcp")) as caller:
            member, got = begin(caller, made)
            caller.socket.shutdown(socket.SHUT_WR)
            while caller.socket.recv(65536):
                pass
        host, port = victim.getsockname()
        data = within(got, "INFO", 2, "127.0.0.1:5060")
        if lure in LURES:
            start, _, rest = data.partition(b"\r\nMax-Forwards")
            route = LURES[lure].format(host=host, port=port).encode()
            data = b"%b\r\nRoute: %b\r\nMax-Forwards%b" % (start, route, rest)
        else:
            target = f"INFO sip:a@127.0.0.1:{port};maddr={host};transport=tcp SIP/2.0"
            data = target.encode() + data[data.index(b"\r\n") :]
        member.send(data)
        status = member.receive().status
        reached = knocked(victim)
        record_property("figure victim reached, answer", f"{reached}, {status}")
        assert not reached
        assert status == 430


def test_maddr_in_a_first_request(run_daemon: Run) -> None:
    """Where a request for an endpoint goes, its pool decides and not its `maddr`."""
    with pool() as made, socket.create_server((VICTIM, 0)) as victim:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.1"]
        )
        with Peer("tcp", daemon.address("tcp")) as caller:
            lure = b"sip:ocschat@contoso.com;maddr=%b;transport=tcp SIP/2.0" % VICTIM.encode()
            caller.send(invite(caller).replace(b"sip:ocschat@contoso.com SIP/2.0", lure, 1))
            statuses = [caller.receive().status]
            if statuses == [100]:
                member = made.accept()
                member.send(answer(member.receive()))
                statuses.append(caller.receive().status)
        assert statuses[-1] in (200, 403, 404), statuses
        assert not knocked(victim)


def knocked(victim: socket.socket) -> bool:
    """Whether somebody has connected to it."""
    victim.settimeout(0.5)
    try:
        victim.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("who", ["a pool's member", "a stranger"])
def test_whose_identities_pass(run_daemon: Run, who: str) -> None:
    """RFC 3325 §5: whom only his address speaks for asserts nobody's identity to the caller."""
    with pool() as made:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.3"]
        )
        at = daemon.address("tcp")
        accepted = socket.create_connection(at, source_address=("127.0.0.3", 0))
        with Peer("tcp", at, accepted=accepted) as caller:
            member, got = begin(caller, made)
            source = "127.0.0.1" if who == "a pool's member" else "127.0.0.9"
            other = socket.create_connection(at, source_address=(source, 0))
            with Peer("tcp", at, accepted=other) as sender:
                claim = b"\r\nP-Asserted-Identity: <sip:boss@contoso.com>\r\nX-Other: kept\r\nCSeq"
                data = within(got, "INFO", 2, "127.0.0.1:5060").replace(b"\r\nCSeq", claim)
                sender.send(data)
                if who == "a stranger":
                    assert sender.receive().status == 403
                    member.send(data.replace(b"branch=", b"branch=z9hG4bKmember"))
                info = caller.receive()
                assert info.kind == "INFO"
                assert info["X-Other"] == "kept"
                assert bool(info.all("P-Asserted-Identity")) == (who == "a stranger")


def test_a_changed_token_leads_nowhere(run_daemon: Run, record_property: Record) -> None:
    """Each changed token gets 481, no request gets through, and no exception is in the log."""
    chance = random.Random(14)
    with pool() as made:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.1"]
        )
        with Peer("tcp", daemon.address("tcp")) as caller:
            member, got = begin(caller, made)
            statuses = []
            for number in range(extent(100, 5000)):
                data = within(got, "INFO", number + 2, "127.0.0.1:5060")
                member.send(changed(data, chance))
                statuses.append(member.receive().status)
            record_property("figure answers", str({s: statuses.count(s) for s in set(statuses)}))
            assert set(statuses) == {481}
            caller.socket.settimeout(0.3)
            try:
                got_through = bool(caller.socket.recv(1))
            except TimeoutError:
                got_through = False
            assert not got_through


def begin(caller: Peer, made: Pool) -> tuple[Peer, SentMessage]:
    """A call that the pool takes: the pool's end of it, and the INVITE that came there."""
    caller.send(invite(caller))
    member = made.accept()
    got = member.receive()
    member.send(answer(got))
    assert [caller.receive().kind for _ in range(2)] == ["100 INVITE", "200 INVITE"]
    return member, got


def invite(caller: Peer) -> bytes:
    """A first request for the endpoint."""
    return (
        f"INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {caller.local};branch={branch()}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>\r\n"
        f"Call-ID: {branch()}\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:a@{caller.local};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def changed(data: bytes, chance: random.Random) -> bytes:
    """With another character at some place of the token, one more, or one less."""
    begin = data.index(b"cr-flow=") + len(b"cr-flow=")
    end = begin
    while data[end] not in b";>":
        end += 1
    at = chance.randrange(begin, end)
    other = bytes([chance.choice([c for c in b"AZaz09-_.!~*" if c != data[at]])])
    return chance.choice(
        [
            data[:at] + other + data[at + 1 :],
            data[:at] + b"~" + data[at:],
            data[: end - chance.randrange(1, end - begin)] + data[end:],
        ]
    )
