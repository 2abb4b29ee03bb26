"""Where answers go and come from: received, rport, sent-by, wildcard listeners, IPv6.

Loopback gives many addresses to answer from: every 127.x.y.z is one.
"""

import socket

import pytest

from tests.ports import free_port
from tests.service.client import Udp, ask, read_answer, request, talk
from tests.service.daemon import PATIENCE, Daemon, endpoint
from tests.service.fixtures import Run


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="IPv6 isn't on here")


@pytest.fixture(scope="module")
def ipv4(run_shared_daemon: Run) -> Daemon:
    """Listens on all of IPv4."""
    return run_shared_daemon(listen=["udp://0.0.0.0:0", "tcp://0.0.0.0:0"])


@pytest.fixture(scope="module")
def dual(run_shared_daemon: Run) -> Daemon:
    """Listens on all addresses, IPv4 and IPv6, with IPv6 sockets."""
    return run_shared_daemon(listen=["udp://[::]:0", "tcp://[::]:0"])


@pytest.fixture(scope="module")
def ipv6(run_shared_daemon: Run) -> Daemon:
    """Listens on one IPv6 address."""
    return run_shared_daemon(
        listen=["udp://[::1]:0", "tcp://[::1]:0"],
        endpoints=[endpoint(), endpoint("sip:ocschat@[2001:db8:0::1]")],
    )


def port(daemon: Daemon, transport: str) -> int:
    return daemon.address(transport)[1]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("sent_by", "params", "stamped"),
    [
        ("127.0.0.1:{port}", "", ""),
        ("127.0.0.1:{port}", ";rport", ";rport={port};received=127.0.0.1"),
        ("192.0.2.1:{port}", "", ";received=127.0.0.1"),
        ("client.contoso.com:{port}", "", ";received=127.0.0.1"),
        ("192.0.2.1:9", ";rport", ";rport={port};received=127.0.0.1"),
        ("192.0.2.1:9", ";RPort", ";rport={port};received=127.0.0.1"),
        # what a client claims there itself is replaced
        ("192.0.2.1:{port}", ";received=192.0.2.66", ";received=127.0.0.1"),
        ("127.0.0.1:{port}", ";received=192.0.2.66", ";received=127.0.0.1"),
        ("192.0.2.1:9", ";rport=9;received=192.0.2.66", ";rport={port};received=127.0.0.1"),
        # maddr never steers an answer
        ("192.0.2.1:{port}", ";maddr=192.0.2.66", ";maddr=192.0.2.66;received=127.0.0.1"),
    ],
)
def test_top_via(ipv4: Daemon, transport: str, sent_by: str, params: str, stamped: str) -> None:
    """RFC 3261 §18.2.1 and §18.2.2, RFC 3581 §4."""
    with talk(transport, ("127.0.0.1", port(ipv4, transport))) as client:
        top = "SIP/2.0/UDP " + sent_by.format(port=client.port)
        via = f"{top};branch=z9hG4bK1{params}, SIP/2.0/UDP 192.0.2.2;rport"
        client.send(request(via=via))
        answer = client.receive()
        vias = ", ".join(answer.all("Via"))
        expected = stamped.format(port=client.port)
    assert vias == f"{top};branch=z9hG4bK1{expected}, SIP/2.0/UDP 192.0.2.2;rport"


def test_answer_goes_to_the_port_of_sent_by(ipv4: Daemon) -> None:
    """RFC 3261 §18.2.2: without rport, sent-by's port at the source address."""
    with (
        talk("udp", ("127.0.0.1", port(ipv4, "udp"))) as sender,
        talk("udp", ("127.0.0.1", port(ipv4, "udp"))) as named,
    ):
        sender.send(request(via=f"SIP/2.0/UDP 192.0.2.1:{named.port};branch=z9hG4bK2"))
        assert named.receive().status == 302


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.9.8.7"])
@pytest.mark.parametrize("which", ["ipv4", pytest.param("dual", marks=needs_ipv6)])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_wildcard_answers_from_where_it_was_asked(
    request_fixture: pytest.FixtureRequest, which: str, transport: str, address: str
) -> None:
    """RFC 3581 §4. IPv4 peers of an IPv6 socket appear as IPv4."""
    daemon: Daemon = request_fixture.getfixturevalue(which)
    with talk(transport, (address, port(daemon, transport)), "127.0.0.5") as client:
        answer = ask(client, request())  # the client checks the answer's source
    assert answer is not None
    assert answer["Via"].endswith(f";rport={client.port};received=127.0.0.5")
    daemon.event(
        "request", call_id=answer["Call-ID"], peer=f"{transport}://127.0.0.5:{client.port}"
    )


@pytest.fixture
def request_fixture(request: pytest.FixtureRequest) -> pytest.FixtureRequest:
    """`request` under a name that isn't taken."""
    return request


@needs_ipv6
@pytest.mark.parametrize("which", ["ipv6", "dual"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ipv6(request_fixture: pytest.FixtureRequest, which: str, transport: str) -> None:
    daemon: Daemon = request_fixture.getfixturevalue(which)
    with talk(transport, ("::1", port(daemon, transport))) as client:
        for sent_by, received in (
            ("[2001:db8::1]:5060", ";received=::1"),
            ("[0:0::1]:5060", ";received=::1"),  # asked for with rport, so it is there
        ):
            via = f"SIP/2.0/UDP {sent_by};branch=z9hG4bK3;rport"
            answer = ask(client, request(via=via))
            assert answer is not None
            assert answer.status == 302
            assert answer["Via"].endswith(f";rport={client.port}{received}")
        via = f"SIP/2.0/UDP [0:0::1]:{client.port};branch=z9hG4bK4"
        answer = ask(client, request(via=via))
        assert answer is not None
        assert answer["Via"] == via  # the same address, however it is written
        daemon.event("request", peer=f"{transport}://[::1]:{client.port}")


@needs_ipv6
def test_ipv6_address_of_record(ipv6: Daemon) -> None:
    with talk("udp", ipv6.address()) as client:
        answer = ask(client, request(uri="sip:ocschat@[2001:DB8::1]"))
    assert answer is not None
    assert answer.status == 302


@needs_ipv6
def test_both_families_on_one_port(run_daemon: Run) -> None:
    """An IPv6 wildcard leaves IPv4 to an IPv4 listener of the same port."""
    free = free_port()
    listen = [
        f"udp://0.0.0.0:{free}",
        f"udp://[::]:{free}",
        f"tcp://[::]:{free}",
        f"tcp://0.0.0.0:{free}",
    ]
    daemon = run_daemon(listen=listen)
    assert [number for _, _, number in daemon.listening] == [free] * 4
    for transport in ("udp", "tcp"):
        for address in ("127.0.0.1", "127.0.0.3", "::1"):
            with talk(transport, (address, free)) as client:
                answer = ask(client, request())
                assert answer is not None
                assert answer.status == 302


@pytest.mark.parametrize("which", ["ipv4", pytest.param("dual", marks=needs_ipv6)])
def test_own_names_of_a_wildcard(request_fixture: pytest.FixtureRequest, which: str) -> None:
    """Every address of the machine is the server's; then the To URI decides."""
    daemon: Daemon = request_fixture.getfixturevalue(which)
    hosts = ["127.0.0.1", f"127.0.0.1:{port(daemon, 'udp')}"]
    if which == "dual":
        hosts += ["[::1]", "[0:0:0::1]", "[::ffff:127.0.0.1]"]
    with talk("udp", ("127.0.0.1", port(daemon, "udp"))) as client:
        for host in hosts:
            answer = ask(client, request(uri=f"sip:x@{host}", to="<sip:ocschat@contoso.com>"))
            assert answer is not None
            assert answer.status == 302, host
            answer = ask(client, request("OPTIONS", f"sip:{host}"))
            assert answer is not None
            assert answer.status == 200, host
        answer = ask(client, request(uri="sip:x@192.0.2.1", to="<sip:ocschat@contoso.com>"))
        assert answer is not None
        assert answer.status == 404


@pytest.mark.parametrize("which", ["ipv4", pytest.param("dual", marks=needs_ipv6)])
def test_many_datagrams_at_once_from_many_addresses(
    request_fixture: pytest.FixtureRequest, which: str
) -> None:
    """Batches mix peers and targets; each answer goes its own way."""
    daemon: Daemon = request_fixture.getfixturevalue(which)
    clients = [
        Udp((f"127.0.1.{i % 7 + 1}", port(daemon, "udp")), f"127.0.2.{i % 5 + 1}")
        for i in range(24)
    ]
    try:
        for turn in range(20):
            for i, client in enumerate(clients):
                client.send(request(call_id=f"{i}.{turn}", more=f"X: {'x' * (turn * 100)}\r\n"))
        for i, client in enumerate(clients):
            found = [client.receive() for _ in range(20)]
            assert [answer["Call-ID"] for answer in found] == [f"{i}.{turn}" for turn in range(20)]
            for answer in found:
                assert answer["Via"].endswith(f";rport={client.port};received={client.host}")
    finally:
        for client in clients:
            client.close()


def test_an_answer_nobody_hears_stops_nothing(ipv4: Daemon) -> None:
    """Closed ports (ICMP errors), port 0 and the longest datagram: the next request is answered."""
    with talk("udp", ("127.0.0.1", port(ipv4, "udp"))) as client:
        for number in (9, 0, 65535):
            client.send(request(via=f"SIP/2.0/UDP 192.0.2.1:{number};branch=z9hG4bK5"))
        client.send(b"")
        client.send(b"\0" * 65507)
        client.send(b"\r\n\r\n")
        for _ in range(100):
            answer = ask(client, request())
            assert answer is not None
            assert answer.status == 302


def test_a_large_request_over_udp(ipv4: Daemon) -> None:
    """64 KB in one datagram, and an answer that isn't larger than what asked for it."""
    with talk("udp", ("127.0.0.1", port(ipv4, "udp"))) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        data = request(body="x" * 64_000)
        client.send(data)
        raw = client.socket.recv(65536)
    answer = read_answer(raw)
    assert answer.status == 302
    assert len(raw) < 1300


def test_an_answer_is_no_amplification(run_daemon: Run) -> None:
    """Over UDP it stays under 1,300 octets or twice the request: a forged source gains nothing.

    The last Contacts are left out then; a connection's peer has shown that it is there.
    """
    addresses = [f"2001:db8:1111:2222:3333:4444:5555:{i:x}" for i in range(16)]
    daemon = run_daemon(
        endpoints=[endpoint(contact="addresses", transport="tcp")],
        dns={"hosts": {"pcpool.contoso.com": addresses}},
    )
    for more in ("", "X: y\r\n" * 20, f"X: {'y' * 600}\r\n"):
        data = request(more=more)
        with talk("udp", daemon.address()) as client:
            answer = ask(client, data)
        assert answer is not None
        assert answer.status == 302
        assert 1 < len(answer.all("Contact")) < len(addresses)
        assert len(answer.raw) <= max(1300, 2 * len(data))
    with talk("tcp", daemon.address("tcp")) as client:
        answer = ask(client, request())
        assert answer is not None
        assert len(answer.all("Contact")) == len(addresses)


def test_answers_leave_while_the_socket_is_flooded(ipv4: Daemon) -> None:
    """TCP is served while UDP never pauses."""
    flood = Udp(("127.0.0.1", port(ipv4, "udp")))
    data = request("ACK")
    with talk("tcp", ("127.0.0.1", port(ipv4, "tcp"))) as client:
        client.socket.settimeout(PATIENCE)
        for _ in range(20):
            for _ in range(200):
                flood.send(data)
            client.send(request())
            assert client.receive().status == 302
    flood.close()
