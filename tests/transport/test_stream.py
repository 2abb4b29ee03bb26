"""TCP against the process: framing over any split, and patience with limits.

Timeouts are short ones of the configuration; a test waits for what happens, and never measures.
"""

import contextlib
import os
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.client import Client, Tcp, ask, read_answer, request, talk
from tests.service.daemon import Daemon, eventually
from tests.service.fixtures import Run


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    return str(request.param)


@pytest.fixture(scope="module")
def daemon(loop: str, run_shared_daemon: Run) -> Daemon:
    """Has all the patience that is configured by default."""
    return run_shared_daemon(loop=loop)


@pytest.fixture(scope="module")
def hasty(loop: str, run_shared_daemon: Run) -> Daemon:
    """Has little."""
    limits = {"idle_timeout": 1.5, "message_timeout": 0.7, "write_timeout": 1.0}
    return run_shared_daemon(loop=loop, limits=limits)


@pytest.fixture(scope="module")
def measured(loop: str, run_shared_daemon: Run) -> Daemon:
    """Has little, but enough for a client that a busy machine holds up for a second."""
    return run_shared_daemon(loop=loop, limits={"idle_timeout": 2.0, "message_timeout": 1.5})


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Tcp]:
    with connect(daemon) as client:
        yield client


def connect(daemon: Daemon, bind: str | None = None) -> AbstractContextManager[Tcp]:
    return talk("tcp", daemon.address("tcp"), bind)


def serves(daemon: Daemon, bind: str | None = None) -> None:
    """A newcomer is served."""
    with connect(daemon, bind) as client:
        client.send(request())
        assert client.receive().status == 302


def descriptors(daemon: Daemon) -> list[str]:
    """What the daemon's file descriptors stand for."""
    found = []
    for each in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(each))
    return found


@dataclass
class Connection:
    """A connection as the kernel sees it from the daemon's side; the queues are in octets."""

    peer: int
    unsent: int
    unread: int


def connections(daemon: Daemon) -> list[Connection]:
    """Those that the daemon itself holds: what the kernel alone still winds up doesn't count."""
    held = set(descriptors(daemon))
    ours = f":{daemon.address('tcp')[1]:04X}"
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, _, _, _, _, inode, *_ = line.split()
        listening = state == "0A"
        if local.endswith(ours) and not listening and f"socket:[{inode}]" in held:
            unsent, _, unread = queues.partition(":")
            peer = int(remote.partition(":")[2], 16)
            found.append(Connection(peer, int(unsent, 16), int(unread, 16)))
    return found


def all_end(daemon: Daemon) -> None:
    """Every connection is given back."""
    eventually(lambda: not connections(daemon), "all connections to end")


def memory(daemon: Daemon) -> int:
    """Resident memory in octets."""
    pages = Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


# -- framing (RFC 3261 §18.3, §7.5; RFC 5626 §3.5.1, §4.4.1) ------------------------------------


def stream_of_messages() -> tuple[bytes, list[int]]:
    """Messages of many kinds in one stream, and the status codes that they get."""
    body = "v=0\r\n\r\nINVITE sip:ocschat@contoso.com SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    parts = [
        (request(), 302),
        (request(body=body), 302),
        (b"\r\n" + request("SUBSCRIBE"), 302),
        (request("ACK", body=body), None),
        (request("OPTIONS", "sip:nobody@contoso.com"), 404),
        (request(more="Subject: a\r\n folded\r\n\tline\r\n"), 302),
        (request().replace(b"Content-Length: 0", b"l:\r\n  00"), 302),
        (request("BYE", to="<sip:a@b>;tag=1", body="x" * 3000), 481),
        (request(), 302),
    ]
    return b"".join(data for data, _ in parts), [status for _, status in parts if status]


def test_octet_by_octet(client: Tcp) -> None:
    data, statuses = stream_of_messages()
    for octet in data:
        client.send(bytes((octet,)))
    assert [client.receive().status for _ in statuses] == statuses


def test_in_one_piece(client: Tcp) -> None:
    data, statuses = stream_of_messages()
    client.send(data)
    assert [client.receive().status for _ in statuses] == statuses


@pytest.mark.parametrize("seed", range(20))
def test_any_split(client: Tcp, seed: int) -> None:
    data, statuses = stream_of_messages()
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(1, len(data)), rng.randint(1, 12)))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.send(data[start:end])
        time.sleep(0.001)  # mostly enough for a segment of its own
    assert [client.receive().status for _ in statuses] == statuses


def test_order_of_pipelined_requests(client: Tcp) -> None:
    many = 2000
    data = b"".join(request(call_id=str(i)) for i in range(many))
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    assert [client.receive()["Call-ID"] for _ in range(many)] == list(map(str, range(many)))
    sender.join()


@pytest.mark.parametrize(
    ("sent", "pongs"),
    [
        ([b"\r\n\r\n"], 1),
        ([b"\r\n", b"\r\n"], 1),
        ([b"\r", b"\n\r", b"\n"], 1),
        ([b"\r\n\r\n\r\n\r\n"], 2),
        ([b"\r\n"], 0),
    ],
)
def test_keep_alive(client: Tcp, sent: list[bytes], pongs: int) -> None:
    """CRLFCRLF gets CRLF, a single CRLF before a message is skipped."""
    for piece in sent:
        client.send(piece)
        time.sleep(0.002)
    client.send(request())
    expected = b"\r\n" * pongs + b"SIP/2.0 302 "
    got = b""
    while len(got) < len(expected):
        got += client.socket.recv(len(expected) - len(got))
    assert got == expected


def with_length(length: bytes) -> bytes:
    """A request without a body that has something else as its Content-Length line."""
    return request().replace(b"Content-Length: 0\r\n", length)


SMUGGLED = request("MESSAGE", call_id="smuggled")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(with_length(b""), 400, id="no length"),
        pytest.param(with_length(b"Content-Length: x\r\n"), 400, id="no number"),
        pytest.param(with_length(b"Content-Length: -1\r\n"), 400, id="negative"),
        pytest.param(request(more="Content-Length: 7\r\n"), 400, id="two lengths"),
        pytest.param(request(more="broken line\r\n"), 400, id="no header line"),
        pytest.param(request(more="X: a\nContent-Length: 0\r\n"), 400, id="bare LF"),
        pytest.param(request(more="X: a\rContent-Length: 0\r\n"), 400, id="bare CR"),
        pytest.param(
            with_length(b"Content-Length: 99999999999\r\n"), 513, id="too large"
        ),
        pytest.param(request(more="X: y\r\n" * 20_000), 513, id="a head too large"),
        pytest.param(request("ACK").replace(b"Content-Length: 0\r\n", b""), None, id="ACK"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: contoso.com\r\n\r\n", None, id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", None, id="TLS"),
        pytest.param(bytes(range(256)) * 300, None, id="garbage"),
    ],
)  # fmt: skip
def test_nothing_is_answered_after_a_framing_fault(
    daemon: Daemon, data: bytes, status: int | None
) -> None:
    """Where the next message begins isn't known then; guessing is how requests get smuggled."""
    with connect(daemon) as client:
        first = request("OPTIONS", call_id="first")
        try:
            client.send(first + data + SMUGGLED)
            client.send(SMUGGLED)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed that soon
        rest = client.rest().removesuffix(b"<reset>")
    answers = [read_answer(part + b"\r\n\r\n") for part in rest.split(b"\r\n\r\n")[:-1]]
    assert [each.status for each in answers] == ([200] if status is None else [200, status])
    assert answers[0]["Call-ID"] == "first"


def test_what_follows_a_framing_fault_resets_nothing(daemon: Daemon) -> None:
    """A peer that still sends gets its 400 and an orderly end: a reset might overtake the 400."""
    with connect(daemon) as client:
        client.send(request().replace(b"Content-Length: 0", b"Content-Length: -1"))
        assert client.socket.recv(12, socket.MSG_PEEK) == b"SIP/2.0 400 "
        for _ in range(3):
            client.send(SMUGGLED)
            time.sleep(0.02)  # for a reset to come back
        rest = client.rest()
    assert rest.startswith(b"SIP/2.0 400 Bad Content-Length\r\n"), rest
    assert not rest.endswith(b"<reset>")


def test_faults_that_leave_the_framing_whole_keep_the_connection(client: Tcp) -> None:
    for data, status in (
        (request(from_=None), 400),
        (request(cseq="1 BYE"), 400),
        (request(version="SIP/7.0"), 505),
    ):
        answer = ask(client, data)
        assert answer is not None
        assert answer.status == status


# -- the other side's ends -------------------------------------------------------------------


def test_half_closed_connection_gets_its_answers(daemon: Daemon) -> None:
    for count in (1, 3, 300):
        with connect(daemon) as client:
            client.send(b"".join(request() for _ in range(count)))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.rest().count(b"SIP/2.0 302 ") == count


def test_many_quick_connections_leave_nothing(daemon: Daemon) -> None:
    """Opened and closed in every way: the descriptors are given back."""
    data = request()
    for i in range(1500):
        with connect(daemon) as client:
            if i % 3:
                client.send(data[: i % len(data)])
            if i % 5 == 0:
                # a reset instead of an orderly end
                client.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
    all_end(daemon)
    serves(daemon)


def test_idle_and_half_sent_connections_are_closed(hasty: Daemon) -> None:
    with connect(hasty) as silent, connect(hasty) as once, connect(hasty) as half:
        once.send(request())
        assert once.receive().status == 302
        half.send(request()[:-20])
        assert half.rest() == b""
        assert silent.rest() == b""
        assert once.rest() == b""


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0", b"\r", b"GET / HTTP/1.1\r\n"]
)
def test_what_is_no_sip_does_not_stay(hasty: Daemon, data: bytes) -> None:
    with connect(hasty) as client:
        client.send(data)
        assert client.rest() == b""


def test_keep_alives_keep_a_connection(measured: Daemon) -> None:
    """For longer than the idle timeout."""
    with connect(measured) as client:
        for _ in range(9):
            time.sleep(0.3)
            client.send(b"\r\n\r\n")
            assert client.socket.recv(2, socket.MSG_WAITALL) == b"\r\n"
        client.send(request())
        assert client.receive().status == 302


def trickle(client: Tcp) -> bool:
    """Send a little more, slowly; whether that works."""
    time.sleep(0.05)
    try:
        client.send(b"X-Header: something\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def test_trickling_octets_gain_no_time(hasty: Daemon) -> None:
    """A message must end in time, however busily it goes on."""
    with connect(hasty) as client:
        client.send(b"INVITE sip:ocschat@contoso.com SIP/2.0\r\n")
        eventually(lambda: not trickle(client), "the connection to be closed")


def test_completed_messages_are_no_half_sent_ones(measured: Daemon) -> None:
    """Each message has its own time, also when the next has always begun already."""
    data = request()
    with connect(measured) as client:
        client.send(data[:100])
        for _ in range(9):
            time.sleep(0.2)
            client.send(data[100:] + data[:100])
            assert client.receive().status == 302


def test_slow_readers_are_closed_and_others_served(run_daemon: Run, loop: str) -> None:
    """Who never reads costs a bounded amount of memory for a bounded time."""
    daemon = run_daemon(loop=loop, limits={"write_timeout": 1.0}, log={"requests": False})
    serves(daemon)
    began = memory(daemon)
    slow = [Tcp(daemon.address("tcp"), receive_buffer=4096) for _ in range(2)]
    ports = {client.port for client in slow}
    with contextlib.ExitStack() as stack:
        for client in slow:
            stack.enter_context(never_reading(client))
        eventually(lambda: ports <= {each.peer for each in connections(daemon)}, "both")

        def over() -> bool:
            serves(daemon)
            assert memory(daemon) - began < 30_000_000
            return not ports & {each.peer for each in connections(daemon)}

        eventually(over, "both to be closed")
    all_end(daemon)
    serves(daemon)


@contextlib.contextmanager
def never_reading(client: Client) -> Iterator[None]:
    """Meanwhile it sends requests and reads no answer, until the other side has closed."""
    data = request(more="X: y\r\n") * 100

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                client.send(data)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        client.close()


def soon(condition: Callable[[], bool]) -> bool:
    """Whether something comes true soon; what doesn't within half a second won't."""
    try:
        return bool(eventually(condition, "", patience=0.5))
    except AssertionError:
        return False


def test_a_half_closed_connection_that_never_reads_ends(run_daemon: Run, loop: str) -> None:
    """Little enough waits in the daemon for it to go on reading, and so to see the end."""
    # for all that is sent before the end, on a busy machine, too
    daemon = run_daemon(loop=loop, limits={"write_timeout": 4.0}, log={"requests": False})
    with contextlib.closing(Tcp(daemon.address("tcp"), receive_buffer=4096)) as client:
        client.send(request())
        once = 130 * len(client.receive().raw)
        taken = 0

        def grew() -> bool:
            return connections(daemon)[0].unsent > taken + once / 2

        # as long as the kernel takes more
        while taken <= once or soon(grew):
            taken = connections(daemon)[0].unsent
            client.send(request() * 130)
            eventually(lambda: connections(daemon)[0].unread == 0, "the requests to be read")
        client.socket.shutdown(socket.SHUT_WR)
        all_end(daemon)


# -- limits ----------------------------------------------------------------------------------


def is_closed(client: Tcp) -> bool:
    """Whether the other side ends the connection without a word."""
    return client.rest().removeprefix(b"<reset>") == b""


def test_connection_limits(run_daemon: Run, loop: str) -> None:
    daemon = run_daemon(loop=loop, limits={"connections": 12, "connections_per_peer": 5})
    peers = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    open_ones: list[Tcp] = []

    def open_one(peer: str) -> Tcp:
        client = Tcp(daemon.address("tcp"), peer)
        open_ones.append(client)
        return client

    try:
        for peer in peers[:2]:
            for _ in range(5):
                client = open_one(peer)
                client.send(request())
                assert client.receive().status == 302
            assert is_closed(open_one(peer))
        for _ in range(2):
            client = open_one(peers[2])
            client.send(request())
            assert client.receive().status == 302
        assert is_closed(open_one(peers[2]))  # of all together
        # those that are in are still served, and a place that is given back can be taken
        open_ones[0].send(request())
        assert open_ones[0].receive().status == 302
        open_ones[0].close()
        eventually(lambda: _served(daemon, peers[2]), "a place for another")
    finally:
        for client in open_ones:
            client.close()


def _served(daemon: Daemon, peer: str) -> bool:
    with connect(daemon, peer) as client:
        try:
            client.send(request())
            return b" 302 " in client.socket.recv(4096)
        except OSError:
            return False


def test_no_file_descriptors_left(run_daemon: Run, loop: str) -> None:
    """It refuses, says so, and goes on when there are some again."""
    daemon = run_daemon(loop=loop)
    serves(daemon)
    limit = len(descriptors(daemon)) + 20
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    clients = [Tcp(daemon.address("tcp")) for _ in range(60)]
    try:
        daemon.event("no_file_descriptors")
        with talk("udp", daemon.address()) as udp:
            udp.send(request())
            assert udp.receive().status == 302
    finally:
        for client in clients:
            client.close()
    eventually(lambda: _served(daemon, "127.0.0.1"), "a connection to be served again")
