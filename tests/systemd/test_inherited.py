"""Inherited sockets and the entries of `listen`: they fit together, or it is an error."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chatredirect.config import ListenUrl, parse_listen
from chatredirect.systemd import inherited
from chatredirect.systemd.inherited import Inherited, InheritError, inherit

PID = 77


@pytest.fixture
def passed() -> Iterator["Passed"]:
    with Passed() as passed:
        yield passed


class Passed:
    """Sockets that a manager has opened, at the numbers that sd_listen_fds(3) gives them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "Passed":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, kind: socket.SocketKind, host: str = "127.0.0.1", port: int = 0) -> int:
        """Bind one more; its port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self._stack.enter_context(socket.socket(family, kind))
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        self.sockets.append(sock)
        return int(sock.getsockname()[1])

    def inherit(self, monkeypatch: pytest.MonkeyPatch, names: str = "") -> Inherited:
        """Take them over, as the process that they were meant for."""
        base = 1000
        monkeypatch.setattr(inherited, "_FIRST", base)
        for i, sock in enumerate(self.sockets):
            os.dup2(sock.fileno(), base + i)
        environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": str(len(self.sockets))}
        if names:
            environ["LISTEN_FDNAMES"] = names
        try:
            taken = inherit(environ, PID)
        except InheritError:
            for i in range(len(self.sockets)):
                os.close(base + i)
            raise
        assert environ == {}
        for sock in taken.sockets.values():
            self._stack.enter_context(sock)
        return taken


def test_nothing_inherited() -> None:
    """Without the variables, or with another process's, everything is bound by ourselves."""
    assert inherit({}, PID) == Inherited()
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert inherit(environ, PID) == Inherited()
    assert environ == {}, "children would take them for their own"
    assert Inherited().match([parse_listen("udp://127.0.0.1:5060")]) == {}


def test_matched_by_address_and_kind(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry finds its socket, TLS like TCP, whatever the order; IPv6 in any spelling."""
    udp, tcp = passed.add(socket.SOCK_DGRAM), passed.add(socket.SOCK_STREAM)
    tls = passed.add(socket.SOCK_STREAM, "::1")
    taken = passed.inherit(monkeypatch)
    urls = [
        ListenUrl("tls", "0:0:0:0:0:0:0:1", tls),
        ListenUrl("tcp", "127.0.0.1", tcp),
        ListenUrl("udp", "127.0.0.1", udp),
    ]
    matched = taken.match(urls)
    assert [matched[url].getsockname()[1] for url in urls] == [tls, tcp, udp]
    assert not any(sock.getblocking() or sock.get_inheritable() for sock in matched.values())


def test_an_entry_without_a_socket(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be lost at each restart: an error that names what to write into the unit."""
    port = passed.add(socket.SOCK_DGRAM)
    taken = passed.inherit(monkeypatch)
    wanted = [ListenUrl("udp", "127.0.0.1", port), ListenUrl("tls", "::1", 5061)]
    with pytest.raises(
        InheritError, match=r"tls://\[::1\]:5061 has no .*ListenStream=\[::1\]:5061"
    ):
        taken.match(wanted)


def test_a_socket_without_an_entry(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connected to it would wait for ever: an error that names the unit."""
    port, other = passed.add(socket.SOCK_DGRAM), passed.add(socket.SOCK_STREAM)
    taken = passed.inherit(monkeypatch, "a.socket:b.socket")
    with pytest.raises(InheritError, match=rf"ListenStream=127.0.0.1:{other} in b.socket has no"):
        taken.match([ListenUrl("udp", "127.0.0.1", port)])


def test_the_kind_counts(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TCP socket is no UDP socket, whatever its port."""
    port = passed.add(socket.SOCK_STREAM)
    with pytest.raises(InheritError, match="ListenDatagram"):
        passed.inherit(monkeypatch).match([ListenUrl("udp", "127.0.0.1", port)])


def test_reuse_port(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sockets of one address can't both be served."""
    passed.add(socket.SOCK_STREAM)
    passed.sockets.append(passed.sockets[0])
    with pytest.raises(InheritError, match="twice"):
        passed.inherit(monkeypatch)


def test_a_unix_socket(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SIP can't be served on is named."""
    left, right = socket.socketpair()
    with left, right:
        passed.sockets.append(left)
        with pytest.raises(InheritError, match=r"my.socket is neither UDP nor TCP \(AF_UNIX"):
            passed.inherit(monkeypatch, "my.socket")


def test_accept_yes(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single connection isn't a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        passed.sockets.append(sock)
        with pytest.raises(InheritError, match="Accept=no"):
            passed.inherit(monkeypatch)


def test_garbage() -> None:
    """Variables that no systemd writes are named, not guessed at."""
    with pytest.raises(InheritError, match="LISTEN_FDS is 'many'"):
        inherit({"LISTEN_PID": str(PID), "LISTEN_FDS": "many"}, PID)
    # in a process of its own, for the number may be taken here
    code = (
        "from chatredirect.systemd.inherited import inherit\n"
        "try: inherit({'LISTEN_PID': '7', 'LISTEN_FDS': '1'}, 7)\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "descriptor 3 from systemd (chatredirect.socket) is no socket" in done.stdout
