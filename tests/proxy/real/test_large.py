"""Requests that are too large for a datagram (RFC 3261 §18.1.1), and responses to them."""

import pytest

from tests.lookup.peer import Peer
from tests.proxy.real.dialog import answer, branch, hosts, pool, proxied, route_of, within
from tests.sent_message import read
from tests.service.daemon import Daemon
from tests.service.fixtures import Run


def invite(peer: Peer, size: int) -> bytes:
    """An INVITE with a body of this many octets."""
    return (
        "INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {peer.local};branch={branch()};rport\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:user1@contoso.com>;tag=1\r\n"
        "To: <sip:ocschat@contoso.com>\r\n"
        f"Call-ID: {branch()}\r\nCSeq: 1 INVITE\r\nContact: <sip:user1@{peer.local}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {size}\r\n\r\n{'x' * size}"
    ).encode()


def final(peer: Peer) -> str:
    """The method and status of what comes after the provisional responses."""
    received = peer.receive()
    while received.status < 200:
        received = peer.receive()
    return received.kind


@pytest.fixture
def listen() -> list[str]:
    return ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]


@pytest.mark.parametrize("size", [900, 2000, 40_000])
def test_large_requests_go_over_tcp(run_daemon: Run, listen: list[str], size: int) -> None:
    """To a pool that DNS gives as UDP; what fits into a datagram goes as one."""
    with pool(datagrams=True) as contoso:
        daemon = run_daemon(listen=listen, endpoints=[proxied(contoso.port, "udp")], dns=hosts())
        with Peer("udp", daemon.address("udp")) as client:
            client.send(invite(client, size))
            assert contoso.datagrams is not None
            if size > 1300:
                server = contoso.accept()
                arrived = server.receive()
                server.send(answer(arrived))
            else:
                data, source = contoso.datagrams.socket.recvfrom(65536)
                arrived = read(data)
                contoso.datagrams.socket.sendto(answer(arrived), source)
            via = "TCP" if size > 1300 else "UDP"
            assert arrived.all("Via")[0].startswith(f"SIP/2.0/{via} 127.0.0.1:")
            assert len(arrived.body) == size
            assert final(client) == "200 INVITE"


def test_a_pool_without_tcp_gets_them_by_udp(run_daemon: Run, listen: list[str]) -> None:
    """§18.1.1: if TCP can't be had, the request is tried over UDP all the same."""
    with pool(stream=False, datagrams=True) as contoso:
        daemon = run_daemon(listen=listen, endpoints=[proxied(contoso.port, "udp")], dns=hosts())
        with Peer("udp", daemon.address("udp")) as client:
            client.send(invite(client, 3000))
            assert contoso.datagrams is not None
            data, source = contoso.datagrams.socket.recvfrom(65536)
            arrived = read(data)
            assert arrived.all("Via")[0].startswith("SIP/2.0/UDP 127.0.0.1:")
            contoso.datagrams.socket.sendto(answer(arrived), source)
            assert final(client) == "200 INVITE"


def test_the_pools_large_requests_reach_a_client_on_udp(run_daemon: Run, listen: list[str]) -> None:
    """The flow is all that there is: behind a client's Contact there may be no TCP."""
    with pool() as contoso:
        daemon: Daemon = run_daemon(
            listen=listen, endpoints=[proxied(contoso.port, "tcp")], dns=hosts()
        )
        with Peer("udp", daemon.address("udp")) as client:
            client.send(invite(client, 100))
            server = contoso.accept()
            arrived = server.receive()
            server.send(answer(arrived, more="Contact: <sip:room@127.0.0.1:1>\r\n"))
            taken = client.receive()
            while taken.status < 200:
                taken = client.receive()
            # two Record-Routes, for each side its own (RFC 5658): the client's comes first
            ours, theirs = route_of(taken)
            assert "transport=tcp" not in ours
            assert "transport=tcp" in theirs
            server.send(within(arrived, "INFO", 1, server.local, body="y" * 5000))
            asked = client.receive()
            while asked.start.startswith("SIP/2.0 "):
                asked = client.receive()
            assert asked.body == "y" * 5000
            client.send(answer(asked))
            assert final(server) == "200 INFO"
