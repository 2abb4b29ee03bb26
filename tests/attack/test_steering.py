"""Steering from outside: an open relay, and tokens that somebody has changed (docs/proxy.md)."""

import random
import socket
from collections.abc import Callable

from tests.attack.extent import extent
from tests.lookup.peer import Peer
from tests.proxy.real.dialog import answer, branch, hosts, pool, proxied, within
from tests.service.fixtures import Run

Record = Callable[[str, object], None]


def test_no_open_relay_by_route(run_daemon: Run, record_property: Record) -> None:
    """A next Route that the dialog didn't begin with leads nowhere: 430 (RFC 3261 §16.4, §16.6)."""
    with pool() as made, socket.create_server(("127.0.0.1", 0)) as victim:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.1"]
        )
        with Peer("tcp", daemon.address("tcp")) as caller:
            caller.send(invite(caller))
            member = made.accept()
            got = member.receive()
            member.send(answer(got))
            assert [caller.receive().kind for _ in range(2)] == ["100 INVITE", "200 INVITE"]
            caller.socket.shutdown(socket.SHUT_WR)
            while caller.socket.recv(65536):
                pass
        host, port = victim.getsockname()
        start, _, rest = within(got, "INFO", 2, "127.0.0.1:5060").partition(b"\r\nMax-Forwards")
        lure = f"\r\nRoute: <sip:{host}:{port};transport=tcp;lr>\r\nMax-Forwards".encode()
        member.send(start + lure + rest)
        status = member.receive().status
        victim.settimeout(0.5)
        reached = True
        try:
            victim.accept()[0].close()
        except TimeoutError:
            reached = False
        record_property("figure victim reached, answer", f"{reached}, {status}")
        assert not reached
        assert status == 430


def test_a_changed_token_leads_nowhere(run_daemon: Run, record_property: Record) -> None:
    """Each changed token gets 481, no request gets through, and no exception is in the log."""
    chance = random.Random(14)
    with pool() as made:
        daemon = run_daemon(
            endpoints=[proxied(made.port)], dns=hosts(), trusted_peers=["127.0.0.1"]
        )
        with Peer("tcp", daemon.address("tcp")) as caller:
            caller.send(invite(caller))
            member = made.accept()
            got = member.receive()
            member.send(answer(got))
            assert [caller.receive().kind for _ in range(2)] == ["100 INVITE", "200 INVITE"]
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
