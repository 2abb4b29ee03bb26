"""Names for flows, and sending over UDP, on real sockets."""

import asyncio
import socket

import pytest

from chatredirect.net.addresses import ListenUrl
from chatredirect.net.target import Target
from chatredirect.sip.flow import Flow
from chatredirect.transport.binding import bind
from chatredirect.transport.mmsg import DatagramSocket
from chatredirect.transport.socket_flows import DatagramFlow
from chatredirect.transport.udp_listener import UdpListener
from tests.service.daemon import PATIENCE
from tests.transport.outgoing import Dialler, dialler, server
from tests.waiting import wait_until

INFO = b"INFO sip:a@b SIP/2.0\r\n\r\n"


def listen(ours: Dialler, host: str) -> UdpListener:
    """A UDP listener of ours, which notes down what comes."""
    sock = bind(ListenUrl("udp", host, 0), only_ipv6=False, receive_buffer=65536)
    listener = UdpListener(
        DatagramSocket(sock),
        lambda data, source, return_path: ours.datagrams.append(
            (data, (source, return_path.flow(source.port)))
        ),
        ours.outgoing.group.settings.trust,
        asyncio.get_running_loop(),
    )
    ours.listeners.append(listener)
    return listener


def peer(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(PATIENCE)
    return sock


def target(sock: socket.socket) -> Target:
    host, port = sock.getsockname()[:2]
    return Target("udp", host, port, host, domain=host)


# -- names ---------------------------------------------------------------------------------------


async def test_a_connections_name_is_its_own_and_goes_with_it() -> None:
    """No two connections have one name, also where the numbers wrap."""
    async with server() as one, server() as two, server() as three, dialler() as ours:
        flows = [await ours.flow(each.target()) for each in (one, two, three)]
        names = [ours.flow_table.name(flow) for flow in flows]
        assert len(set(names)) == 3
        assert {len(name) for name in names} == {8}
        assert [ours.flow_table.find(name) for name in names] == flows
        assert [ours.flow_table.name(flow) for flow in flows] == names
        two.writers[0].transport.abort()
        await wait_until(lambda: ours.lost == [flows[1]])
        assert [ours.flow_table.find(name) for name in names] == [flows[0], None, flows[2]]
        again = await ours.flow(two.target())
        assert ours.flow_table.name(again) not in names


async def test_a_name_for_a_flow_that_is_gone_is_nobodys() -> None:
    """Who asks too late gets a name that finds nothing, and nothing stays in the table for it."""
    async with server() as pool, dialler() as ours:
        flow = await ours.flow(pool.target())
        del ours.flow_table._by_name[ours.flow_table.name(flow)]
        flow.name = b""  # type: ignore[attr-defined]
        pool.writers[0].transport.abort()
        await wait_until(lambda: ours.outgoing.connections == 0)
        assert ours.flow_table.find(ours.flow_table.name(flow)) is None
        assert len(ours.flow_table) == 0


@pytest.mark.parametrize("name", [b"", b"1234567", b"12345678", b"4" * 13, b"6" * 37, b"x" * 37])
async def test_names_that_nobody_gave(name: bytes) -> None:
    async with dialler() as ours:
        assert ours.flow_table.find(name) is None


@pytest.mark.parametrize(
    ("listening", "at"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.2"),
        ("::1", "::1"),
        ("::", "::1"),
        ("::", "127.0.0.2"),
    ],
)
async def test_the_name_of_a_datagrams_flow_leads_back(listening: str, at: str) -> None:
    """To the sender, from the address that it had sent to; whatever the socket is bound to."""
    async with dialler() as ours:
        listener = listen(ours, listening)
        with peer("::1" if ":" in at else "127.0.0.1") as client:
            client.connect((at, listener.socket.port))  # takes nothing from another address
            client.send(INFO)
            await wait_until(lambda: len(ours.datagrams) == 1)
            came_on: Flow = ours.datagrams[0][1][1]
            name = ours.flow_table.name(came_on)
            assert len(name) == (37 if ":" in at else 13)
            found = ours.flow_table.find(name)
            assert found is not None
            assert ours.flow_table.name(found) == name
            ends = (found.host, found.port, found.peer_host, found.peer_port)
            assert ends == (came_on.host, came_on.port, came_on.peer_host, came_on.peer_port)
            assert ends[0] == at
            assert found.send(b"back")
            assert client.recv(100) == b"back"
        listener.close()
        ours.listeners.clear()
        assert ours.flow_table.find(name) is None
        assert not found.send(b"too late")


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0", "::"])
async def test_the_flow_of_another_instance(listening: str) -> None:
    """Its address isn't this machine's: the datagram leaves from ours, at the same port."""
    async with dialler() as ours:
        listener = listen(ours, listening)
        with peer() as client:
            port, host = listener.socket.port, client.getsockname()
            another = DatagramFlow(listener.socket, "192.0.2.77", port, *host, b"", b"")
            found = ours.flow_table.find(ours.flow_table.name(another))
            assert found is not None
            assert (found.host, found.port) == ("127.0.0.1", port)
            assert found.send(INFO)
            assert client.recvfrom(100) == (INFO, ("127.0.0.1", port))


# -- sending over UDP -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listening", "at"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.5", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "::1"),
        ("::", "127.0.0.1"),
    ],
)
async def test_datagrams_leave_from_the_listener(listening: str, at: str) -> None:
    """And from the address that the flow says, so that Via names the place to answer to."""
    async with dialler() as ours:
        listener = listen(ours, listening)
        with peer(at) as pool:
            flow = ours.outgoing.reach(target(pool))
            assert flow is not None
            assert flow is ours.outgoing.reach(target(pool))
            assert flow is await ours.flow(target(pool))
            assert flow.send(INFO)
            _, sender = pool.recvfrom(100)
            assert sender[:2] == (flow.host, flow.port)
            assert flow.port == listener.socket.port
            assert (flow.transport, flow.peer_host) == ("udp", at)
            pool.sendto(b"answer", sender)
            await wait_until(lambda: [data for data, _ in ours.datagrams] == [b"answer"])


async def test_without_a_fitting_listener_a_socket_of_our_own_does() -> None:
    """One for each family, which is closed in the end; what comes back to it is taken as well."""
    async with dialler() as ours:
        listen(ours, "127.0.0.1")
        with peer("::1") as pool, peer("::1") as other:
            flow = ours.outgoing.reach(target(pool))
            second = ours.outgoing.reach(target(other))
            assert flow is not None
            assert second is not None
            assert flow.port == second.port
            assert flow.send(INFO)
            _, sender = pool.recvfrom(100)
            assert sender[:2] == (flow.host, flow.port) == ("::1", flow.port)
            pool.sendto(b"answer", sender)
            await wait_until(lambda: [data for data, _ in ours.datagrams] == [b"answer"])
            assert ours.flow_table.find(ours.flow_table.name(flow)) is not None
    assert not flow.send(INFO)


async def test_the_listener_on_the_right_address_is_preferred() -> None:
    async with dialler() as ours:
        for host in ("127.0.0.9", "127.0.0.1"):
            listen(ours, host)
        with peer() as pool:
            flow = ours.outgoing.reach(target(pool))
            assert flow is not None
            assert flow.host == "127.0.0.1"


async def test_where_no_way_leads() -> None:
    """An address that no route leads to: the reason comes at once, and is counted."""
    nowhere = Target("udp", "fe80::1", 5060, "x", domain="x")  # on which link isn't said
    async with dialler() as ours:
        assert ours.outgoing.reach(nowhere) is None
        assert await ours.dial(nowhere) == "no socket of ours gets there"
        assert ours.outgoing.failed == {"no_route": 1}


async def test_listeners_that_change_are_forgotten() -> None:
    """After a reload nothing goes out of a socket that is closed."""
    async with dialler() as ours:
        first = listen(ours, "127.0.0.1")
        with peer() as pool:
            before = ours.outgoing.reach(target(pool))
            ours.listeners.remove(first)
            first.close()
            second = listen(ours, "127.0.0.1")
            ours.udp_sender.serve(lambda *_: None, lambda *_: None)  # type: ignore[arg-type, return-value]
            after = ours.outgoing.reach(target(pool))
            assert before is not None
            assert after is not None
            assert not before.send(INFO)
            assert after.send(INFO)
            assert pool.recvfrom(100)[1][1] == second.socket.port
