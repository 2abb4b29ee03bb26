"""Sockets that somebody else keeps: the daemon serves on them, and leaves them to who follows."""

import contextlib
import fcntl
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.service.daemon import ROOT, Daemon, command, configuration
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
    tls = {
        "certificate": str(leaf.certificate),
        "private_key": str(leaf.private_key),
        "verify_peer": "none",
    }
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
    tls = {
        "certificate": str(leaf.certificate),
        "private_key": str(leaf.private_key),
        "verify_peer": "none",
    }
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
