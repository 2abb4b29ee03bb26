"""Events in the journal's own protocol, sent to a socket of the test's own."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.log import journal
from chatredirect.log.journal import journal_writer, reads_stderr, render_for_journal
from chatredirect.log.sink import LogSink
from tests.log.test_sink import wait_for


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    """What journald listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(10)
        yield sock


def fields(datagram: bytes) -> list[tuple[str, str]]:
    """A datagram's fields, as the protocol has them: NAME=value, each ended by a line feed."""
    assert datagram.endswith(b"\n")
    lines = datagram.decode().removesuffix("\n").split("\n")
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_fields(daemon: socket.socket) -> None:
    """Each field of an event is one of the entry; a list is one that is there several times."""
    sink = LogSink(render_for_journal, journal_writer(daemon.getsockname()))
    sink.emit("warning", "odd", {"call_id": "a b@c", "targets": ["x", 1], "none": None, "ok": True})
    sink.close()
    assert fields(daemon.recv(65536)) == [
        ("CALL_ID", "a b@c"),
        ("TARGETS", "x"),
        ("TARGETS", "1"),
        ("NONE", "-"),
        ("OK", "yes"),
        ("SYSLOG_IDENTIFIER", "chatredirect"),
        ("PRIORITY", "4"),
        ("EVENT", "odd"),
        ("MESSAGE", 'odd call_id="a b@c" targets=[x, 1] none=- ok=yes'),
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("message", "MESSAGE_"),
        ("priority", "PRIORITY_"),
        ("event", "EVENT_"),
        ("syslog_pid", "SYSLOG_PID_"),
        ("code_line", "CODE_LINE_"),
        ("_PID", "PID"),
        ("1st-time", "ST_TIME"),
        ("é", "FIELD"),
        ("a\nPRIORITY=0", "A_X0APRIORITY_0"),
        ("k" * 100, "K" * 63),
    ],
)
def test_names(key: str, name: str) -> None:
    """A field's name is one that the journal takes, and never one that means something else."""
    line = render_for_journal(0, "info", "e", {key: "v"}).splitlines()[0]
    assert line == f"{name}=v"


def test_no_value_makes_a_field() -> None:
    """Octets of a peer's stay in their value: no line end gets through."""
    text = render_for_journal(0, "info", "e", {"peer": "x\nPRIORITY=0\rA=\u2028\x00"})
    assert text.splitlines()[0] == r"PEER=x\x0aPRIORITY=0\x0dA=\u2028\x00"
    assert len(text.splitlines()) == 5


def test_the_largest_event_fits(daemon: socket.socket) -> None:
    """What the limits of an event let through goes into one datagram."""
    sink = LogSink(render_for_journal, journal_writer(daemon.getsockname()))
    sink.emit("info", "e", {f"key{i}": "\U0001f600" * 1000 for i in range(1000)})
    sink.close()
    assert len(daemon.recv(1_000_000)) > 10_000


def test_a_journal_that_does_not_read(daemon: socket.socket) -> None:
    """Nobody waits for it; what finds no room is dropped and told when it reads again."""
    sink = LogSink(render_for_journal, journal_writer(daemon.getsockname()), max_lines=100)
    slowest = 0.0
    for number in range(5000):
        before = time.monotonic()
        sink.emit("info", "e", {"n": number})
        slowest = max(slowest, time.monotonic() - before)
    assert not sink.close(0.1), "the writer waits for the journal"
    assert slowest < 5
    numbers: list[int] = []
    dropped: list[int] = []

    def read() -> None:
        while len(numbers) + sum(dropped) < 5000:
            got = dict(fields(daemon.recv(65536)))
            if got["EVENT"] == "log_dropped":
                dropped.append(int(got["COUNT"]))
            else:
                numbers.append(int(got["N"]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert not reader.is_alive(), "some were neither written nor counted"
    assert len(numbers) + sum(dropped) == 5000
    assert dropped
    assert numbers == sorted(set(numbers))
    assert sink.close()


def test_the_journal_comes_back(tmp_path: Path) -> None:
    """Without a journal events are dropped and counted; a new one gets the count."""
    path = tmp_path / "socket"
    writer = journal_writer(str(path))
    sink = LogSink(render_for_journal, writer)
    sink.emit("info", "lost", {})
    wait_for(lambda: sink.dropped == 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        sink.emit("info", "kept", {})
        events = [dict(fields(sock.recv(65536)))["EVENT"] for _ in range(2)]
        sink.close()
    assert events == ["kept", "log_dropped"]


def test_where_stderr_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JOURNAL_STREAM names the socket that is the journal's (systemd.exec(5)); a file is none."""
    (tmp_path / "socket").touch()
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "socket"))
    left, right = socket.socketpair()
    with left, right:
        status = os.fstat(left.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert reads_stderr(left, environ)
        assert not reads_stderr(right, environ)
        assert not reads_stderr(left, {})
        assert not reads_stderr(left, {"JOURNAL_STREAM": "x"})
        assert not reads_stderr(object(), environ)
        monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "missing"))
        assert not reads_stderr(left, environ)
    with (tmp_path / "file").open("w") as file:
        status = os.fstat(file.fileno())
        assert not reads_stderr(file, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
