"""Sockets that somebody else keeps: the daemon serves on them, and leaves them to who follows."""

import contextlib
import fcntl
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.service.daemon import ROOT, Daemon, command, configuration, eventually
from tests.tls.authority import Authority

# What systemd does: descriptors from 3 on, and variables that name the process.
_ACTIVATE = """\
import os, sys
numbers = sys.argv[1].split(",")
for i, number in enumerate(numbers):
    os.dup2(int(number), 3 + i)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(numbers))}
os.environ["LISTEN_FDNAMES"] = ":".join(["my.socket"] * len(numbers))
os.execv(sys.argv[2], sys.argv[2:])
"""
_OPTIONS = (
    "OPTIONS sip:chatredirect.contoso.com SIP/2.0\r\n"
    "Via: SIP/2.0/{} 192.0.2.1;rport;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:chatredirect.contoso.com>\r\n"
    "Call-ID: 1@here\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@dataclass
class Manager:
    """Keeps a UDP and a TCP socket, and starts daemons on them."""

    folder: Path
    sockets: list[socket.socket] = field(default_factory=list)
    daemons: list[Daemon] = field(default_factory=list)

    def port(self, index: int) -> int:
        return int(self.sockets[index].getsockname()[1])

    def start(self, **keys: object) -> Daemon:
        """Start a daemon with all of the sockets."""
        config = self.folder / "chatredirect.yaml"
        config.write_text(
            yaml.safe_dump(
                configuration(advertise="chatredirect.contoso.com", control={"socket": "off"})
                | keys
            )
        )
        log = self.folder / f"{len(self.daemons)}.log"
        numbers = [sock.fileno() for sock in self.sockets]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _ACTIVATE, ",".join(map(str, numbers))),
                    *command("run", "-c", config),
                ],
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
                stderr=file,
                cwd=ROOT,
            )
        daemon = Daemon(process, config, log)
        self.daemons.append(daemon)
        return daemon


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with contextlib.ExitStack() as stack:
        manager = Manager(tmp_path)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as low:
                # well above the numbers where the daemon will have them
                sock = stack.enter_context(socket.socket(fileno=_high(low.fileno())))
            sock.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            manager.sockets.append(sock)
        try:
            yield manager
        finally:
            for daemon in manager.daemons:
                daemon.process.kill()
                daemon.process.wait()


def _high(number: int) -> int:
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100)


def _listen(manager: Manager, stream: str = "tcp") -> list[str]:
    return [f"udp://127.0.0.1:{manager.port(0)}", f"{stream}://127.0.0.1:{manager.port(1)}"]


def test_what_comes_in_meanwhile_waits(manager: Manager) -> None:
    """Between two daemons nobody is refused and no datagram is lost: the second answers all."""
    manager.start(listen=_listen(manager)).event("started")
    assert manager.daemons[0].stop() == 0
    with (
        socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        tcp.sendall(_OPTIONS.format("TCP").encode())
        udp.settimeout(30)
        udp.sendto(_OPTIONS.format("UDP").encode(), ("127.0.0.1", manager.port(0)))
        manager.start(listen=_listen(manager))
        assert udp.recv(4096).startswith(b"SIP/2.0 200 ")
        assert tcp.recv(4096).startswith(b"SIP/2.0 200 ")
    assert manager.daemons[1].stop() == 0


def test_a_mismatch_is_exit_status_78(manager: Manager) -> None:
    """Sockets and entries that differ: nothing is served, and both sides are named."""
    daemon = manager.start(listen=["udp://127.0.0.1:5", f"tcp://127.0.0.1:{manager.port(1)}"])
    assert daemon.process.wait(30) == 78
    assert "udp://127.0.0.1:5 has no socket" in daemon.log_text
    assert (
        f"ListenDatagram=127.0.0.1:{manager.port(0)} in my.socket has no entry" in daemon.log_text
    )


def test_a_reload_keeps_them(manager: Manager) -> None:
    """Another address can't be had by a reload; TLS instead of TCP on a socket can."""
    daemon = manager.start(listen=_listen(manager))
    daemon.event("started")
    settings = yaml.safe_load(daemon.config.read_text())
    daemon.config.write_text(yaml.safe_dump(settings | {"listen": ["udp://127.0.0.1:5"]}))
    daemon.send_signal(signal.SIGHUP)
    assert "has no socket" in daemon.event("reload_refused")["why"]
    leaf = Authority(manager.folder).issue("chatredirect.contoso.com")
    tls = leaf.files | {"verify_peer": "none"}
    daemon.config.write_text(
        yaml.safe_dump(settings | {"listen": _listen(manager, "tls"), "tls": tls})
    )
    daemon.send_signal(signal.SIGHUP)
    daemon.event("configuration_changed")
    context = ssl.create_default_context(cafile=str(manager.folder / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30) as tcp,
        context.wrap_socket(tcp, server_hostname="chatredirect.contoso.com") as secure,
    ):
        secure.sendall(_OPTIONS.format("TLS").encode())
        assert secure.recv(4096).startswith(b"SIP/2.0 200 ")


def test_a_handshake_under_way_is_finished(manager: Manager) -> None:
    """Whoever has just come is not reset at a stop: the handshake ends, and then goodbye."""
    leaf = Authority(manager.folder).issue("chatredirect.contoso.com")
    tls = leaf.files | {"verify_peer": "none"}
    daemon = manager.start(listen=_listen(manager, "tls"), tls=tls)
    daemon.event("started")
    context = ssl.create_default_context(cafile=str(manager.folder / "ca.pem"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="chatredirect.contoso.com")
    with socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30) as tcp:
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        tcp.sendall(outgoing.read())
        incoming.write(tcp.recv(65536))  # the server has begun
        daemon.send_signal(signal.SIGTERM)
        daemon.event("stopping")
        time.sleep(0.5)  # longer than everybody gets at the end
        _until_done(client.do_handshake, tcp, incoming)
        tcp.sendall(outgoing.read())
        # its close_notify; a reset would raise
        assert _until_done(client.read, tcp, incoming) == b""
        client.unwrap()
        tcp.sendall(outgoing.read())
        assert tcp.recv(65536) == b""
    assert daemon.process.wait(30) == 0


def _until_done(
    step: Callable[[], bytes | None], tcp: socket.socket, incoming: ssl.MemoryBIO
) -> bytes | None:
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            data = tcp.recv(65536)
            assert data, "the connection has ended"
            incoming.write(data)


def test_what_crosses_the_end_resets_nothing(manager: Manager) -> None:
    """Requests that arrive while the daemon ends don't make a reset of its goodbye."""
    daemon = manager.start(listen=_listen(manager))
    daemon.event("started")
    with socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30) as tcp:
        options = _OPTIONS.format("TCP").encode()
        tcp.sendall(options)
        assert tcp.recv(65536).startswith(b"SIP/2.0 200 ")
        daemon.send_signal(signal.SIGTERM)
        tcp.settimeout(0.002)
        answered = 1
        while answered:  # a reset would raise
            tcp.sendall(options)
            with contextlib.suppress(TimeoutError):
                answered = len(tcp.recv(65536))
    assert daemon.process.wait(30) == 0


# -- several daemons on the same sockets (docs/decisions/workers.md) -------------------------------

_INVITE = (
    "INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
    "Via: SIP/2.0/{0} 192.0.2.1;rport;branch=z9hG4bK{1}\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@contoso.com>;tag={1}\r\nTo: <sip:ocschat@contoso.com>\r\n"
    "Call-ID: {1}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)
_CALL_ID = re.compile(rb"Call-ID: (\d+)\r\n")
_AHEAD = 32  # datagrams without an answer: the sockets' buffers hold them


def _answered(daemon: Daemon) -> int:
    """The redirects that a daemon has given, by its last log line."""
    counts = daemon.event("stopped")["answers"]
    return sum(count for status, count in counts.items() if status.startswith("3"))


def test_several_readers_of_one_udp_socket(manager: Manager) -> None:
    """Each datagram is answered once, whoever reads it; one reader is stopped on the way.

    A request that comes twice gets the same answer twice, To tag included, since they share the
    secret.
    """
    for _ in range(3):
        manager.start(listen=_listen(manager)).event("started")
    answers: Counter[bytes] = Counter()
    tags: dict[bytes, set[bytes]] = {}
    total = 3000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", manager.port(0)))
        client.settimeout(30)

        def take() -> None:
            answer = client.recv(4096)
            assert answer.startswith(b"SIP/2.0 302 ")
            call_id = _CALL_ID.findall(answer)[0]
            answers[call_id] += 1
            tags.setdefault(call_id, set()).add(re.findall(rb"\nTo: [^\r]*", answer)[0])

        for number in range(total):
            client.send(_INVITE.format("UDP", number % (total - 500)).encode())
            if number >= _AHEAD:
                take()
            if number == total // 2:
                manager.daemons[0].send_signal(signal.SIGTERM)
        for _ in range(_AHEAD):
            take()
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):  # nothing is answered twice
            client.recv(4096)
    assert answers == Counter(str(n % (total - 500)).encode() for n in range(total))
    assert {len(each) for each in tags.values()} == {1}
    assert [daemon.stop() for daemon in manager.daemons] == [0, 0, 0]
    counts = [_answered(daemon) for daemon in manager.daemons]
    assert sum(counts) == total
    assert sum(count > 0 for count in counts) > 1, f"one has read all: {counts}"


def test_several_accepters_of_one_tcp_socket(manager: Manager) -> None:
    """Each connection is accepted once and answered, also while one of them stops."""
    for _ in range(3):
        manager.start(listen=_listen(manager)).event("started")
    total = 300
    for number in range(total):
        with socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30) as client:
            client.sendall(_INVITE.format("TCP", number).encode())
            answer = client.recv(4096)
            assert answer.startswith(b"SIP/2.0 302 ")
            assert _CALL_ID.findall(answer) == [str(number).encode()]
        if number == total // 2:
            manager.daemons[1].send_signal(signal.SIGTERM)
    assert [daemon.stop() for daemon in manager.daemons] == [0, 0, 0]
    assert sum(map(_answered, manager.daemons)) == total


def test_a_killed_reader_loses_what_it_had_read(manager: Manager) -> None:
    """kill -9 amid a flood: what it had read comes again, as clients do, and the others answer it.

    Nothing else is lost. A client can't tell: the To tag is the same, whoever answers.
    """
    for _ in range(3):
        manager.start(listen=_listen(manager)).event("started")
    total, answered, again = 3000, set[int](), set[int]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", manager.port(0)))
        waiting: set[int] = set()

        def take() -> None:
            client.settimeout(5.0)
            try:
                answer = client.recv(4096)
            except TimeoutError:  # Timer A (RFC 3261 §17.1.1.2)
                again.update(waiting)
                for each in waiting:
                    client.send(_INVITE.format("UDP", each).encode())
                return
            assert answer.startswith(b"SIP/2.0 302 ")
            number = int(_CALL_ID.findall(answer)[0])
            waiting.discard(number)
            answered.add(number)

        for number in range(total):
            client.send(_INVITE.format("UDP", number).encode())
            waiting.add(number)
            while len(waiting) >= _AHEAD:
                take()
            if number == total // 2:
                manager.daemons[0].process.kill()
        ends = time.monotonic() + 30
        while waiting and time.monotonic() < ends:
            take()
    assert answered == set(range(total))
    assert len(again) <= _AHEAD


def test_what_waits_is_not_lost_with_a_killed_reader(manager: Manager) -> None:
    """Datagrams and connections that nobody has taken yet are the sockets', not a process's."""
    for _ in range(3):
        manager.start(listen=_listen(manager)).event("started")
    for each in manager.daemons:
        each.send_signal(signal.SIGSTOP)
        _stopped(each)
    numbers = range(_AHEAD)
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.connect(("127.0.0.1", manager.port(0)))
        streams = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30)
            )
            for _ in numbers
        ]
        for number, stream in zip(numbers, streams, strict=True):
            udp.send(_INVITE.format("UDP", number).encode())
            stream.sendall(_INVITE.format("TCP", number).encode())
        manager.daemons[0].process.kill()
        for each in manager.daemons[1:]:
            each.send_signal(signal.SIGCONT)
        udp.settimeout(30)
        assert {int(_CALL_ID.findall(udp.recv(4096))[0]) for _ in numbers} == set(numbers)
        assert [int(_CALL_ID.findall(each.recv(4096))[0]) for each in streams] == list(numbers)


def _stopped(daemon: Daemon) -> None:
    state = Path(f"/proc/{daemon.process.pid}/stat")
    eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "its stop")


def test_connections_end_with_a_killed_accepter(manager: Manager) -> None:
    """Its own, and no others; whoever had one opens a new one, and is served."""
    for _ in range(3):
        manager.start(listen=_listen(manager)).event("started")
    before = [_sockets(each) for each in manager.daemons]
    options = _OPTIONS.format("TCP").encode()

    def connected() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", manager.port(1)), timeout=30)
        stack.enter_context(client)
        client.sendall(options)
        assert client.recv(4096).startswith(b"SIP/2.0 200 ")
        return client

    with contextlib.ExitStack() as stack:
        clients = [connected() for _ in range(30)]
        own = [_sockets(d) - b for d, b in zip(manager.daemons, before, strict=True)]
        assert sum(own) == len(clients)
        most = own.index(max(own))
        manager.daemons[most].process.kill()
        manager.daemons[most].process.wait(30)
        ended = [each for each in clients if not _served(each, options)]
        assert len(ended) == own[most]
        for _ in ended:
            connected()


def _sockets(daemon: Daemon) -> int:
    opened = Path(f"/proc/{daemon.process.pid}/fd").iterdir()
    return sum(str(each.readlink()).startswith("socket:") for each in opened)


def _served(client: socket.socket, request: bytes) -> bool:
    """Whether a connection still is one: no end, and no reset."""
    try:
        client.sendall(request)
        return client.recv(4096).startswith(b"SIP/2.0 200 ")
    except OSError:
        return False
